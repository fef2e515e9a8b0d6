//! Walks the tree and writes.

use super::format::{print, type_name};
use super::functions::{self, FunctionSet};
use super::node::{Command, Node, Operand, Pipe};
use super::value::Value;
use super::{MissingKey, Template, TemplateError};

/// Deepest nesting of `{{template}}`, as in Go; ours ends earlier than the stack does.
const DEEPEST_CALL: usize = 200;

pub fn execute(
    template: &Template,
    output: &mut String,
    data: &Value,
    functions: FunctionSet,
    missing: MissingKey,
) -> Result<(), TemplateError> {
    let mut walker =
        Walker { template, output, functions, missing, variables: vec![("$".to_owned(), data.clone())], depth: 0 };
    walker.walk(&template.root, data).map(drop)
}

struct Walker<'a> {
    template: &'a Template,
    output: &'a mut String,
    functions: FunctionSet,
    missing: MissingKey,
    variables: Vec<(String, Value)>,
    depth: usize,
}

/// How a list of nodes ended.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Flow {
    Through,
    Break,
    Continue,
}

type Walked<T> = Result<T, TemplateError>;

impl Walker<'_> {
    fn walk(&mut self, nodes: &[Node], dot: &Value) -> Walked<Flow> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::Through {
                return Ok(flow);
            }
        }
        Ok(Flow::Through)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Walked<Flow> {
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    self.output.push_str(&print(&value));
                }
            }
            Node::If { pipe, then, otherwise } => {
                return self.scoped(|walker| walker.branch(pipe, then, otherwise, dot, false));
            }
            Node::With { pipe, then, otherwise } => {
                return self.scoped(|walker| walker.branch(pipe, then, otherwise, dot, true));
            }
            Node::Range { pipe, body, otherwise } => {
                return self.scoped(|walker| walker.range(pipe, body, otherwise, dot));
            }
            Node::Call { pos, name, pipe } => self.call_template(*pos, name, pipe.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Through)
    }

    fn scoped<T>(&mut self, walk: impl FnOnce(&mut Self) -> Walked<T>) -> Walked<T> {
        let scope = self.variables.len();
        let result = walk(self);
        self.variables.truncate(scope);
        result
    }

    fn branch(&mut self, pipe: &Pipe, then: &[Node], otherwise: &[Node], dot: &Value, moves_dot: bool) -> Walked<Flow> {
        let value = self.pipe(pipe, dot)?;
        if value.is_true() {
            return self.walk(then, if moves_dot { &value } else { dot });
        }
        self.walk(otherwise, dot)
    }

    fn range(&mut self, pipe: &Pipe, body: &[Node], otherwise: &[Node], dot: &Value) -> Walked<Flow> {
        // Variables of the pipe get each element, not the whole.
        let whole = self.commands(pipe, dot)?;
        let items: Vec<(Value, Value)> = match &whole {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| (Value::Int(i64::try_from(at).unwrap_or(i64::MAX)), item.clone()))
                .collect(),
            Value::Map(entries) | Value::Struct(entries) => {
                let mut sorted: Vec<_> = entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                sorted.sort_by(|left, right| left.0.cmp(&right.0));
                sorted.into_iter().map(|(key, value)| (Value::from(key), value)).collect()
            }
            Value::Header(columns) => {
                columns.iter().map(|(key, value)| (Value::from(key.as_str()), Value::from(value.as_str()))).collect()
            }
            Value::Int(count) => (0..*count).map(|at| (Value::Int(at), Value::Int(at))).collect(),
            Value::Nil | Value::Absent | Value::NilList | Value::NilMap => Vec::new(),
            other => {
                return self.fail_at(
                    pipe.pos,
                    &pipe.to_string(),
                    &format!("range can't iterate over {}", print(other)),
                );
            }
        };
        if items.is_empty() {
            return self.walk(otherwise, dot);
        }
        for (key, item) in items {
            let flow = self.scoped(|walker| {
                match pipe.variables.as_slice() {
                    [] => {}
                    [only] => walker.set(only, item.clone(), pipe.assigns),
                    [first, second, ..] => {
                        walker.set(first, key, pipe.assigns);
                        walker.set(second, item.clone(), pipe.assigns);
                    }
                }
                walker.walk(body, &item)
            })?;
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Through)
    }

    fn call_template(&mut self, pos: usize, name: &str, pipe: Option<&Pipe>, dot: &Value) -> Walked<()> {
        let template = self.template;
        let Some(nodes) = template.defined.get(name) else {
            return self.fail_at(pos, &format!("{{{{template {name:?}}}}}"), &format!("template {name:?} not defined"));
        };
        if self.depth >= DEEPEST_CALL {
            return self.fail_at(pos, name, &format!("exceeded maximum template depth ({DEEPEST_CALL})"));
        }
        let value = pipe.map_or(Ok(Value::Nil), |pipe| self.pipe(pipe, dot))?;
        self.depth += 1;
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), value.clone())]);
        let result = self.walk(nodes, &value);
        self.variables = outer;
        self.depth -= 1;
        result.map(drop)
    }

    fn set(&mut self, name: &str, value: Value, assigns: bool) {
        if assigns && let Some(known) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            known.1 = value;
            return;
        }
        self.variables.push((name.to_owned(), value));
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Walked<Value> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            self.set(name, value.clone(), pipe.assigns);
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value) -> Walked<Value> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Value::Absent))
    }

    fn command(&mut self, command: &Command, dot: &Value, last: Option<Value>) -> Walked<Value> {
        let (first, rest) = command.arguments.split_first().expect("the parser makes no empty command");
        match first {
            Operand::Function { pos, name } => return self.function(*pos, name, command, rest, dot, last),
            Operand::Field { pos, names } => {
                return self.chain(*pos, &first.to_string(), dot.clone(), names, rest, dot, last);
            }
            Operand::Variable { pos, name, names } if !names.is_empty() => {
                let value = self.variable(name);
                return self.chain(*pos, &first.to_string(), value, names, rest, dot, last);
            }
            Operand::Chain { pos, of, names } => {
                let value = self.operand(of, dot)?;
                return self.chain(*pos, &first.to_string(), value, names, rest, dot, last);
            }
            _ => {}
        }
        if !rest.is_empty() || last.is_some() {
            return self.fail_at(
                first.pos(),
                &first.to_string(),
                &format!("can't give argument to non-function {first}"),
            );
        }
        if matches!(first, Operand::Nil { .. }) {
            return self.fail_at(first.pos(), "nil", "nil is not a command");
        }
        self.operand(first, dot)
    }

    fn function(
        &mut self,
        pos: usize,
        name: &str,
        command: &Command,
        rest: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Walked<Value> {
        if matches!(name, "and" | "or") {
            return self.and_or(name == "and", pos, rest, dot, last);
        }
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(last);
        if name == "call"
            && let (Some(operand), Some(value)) = (rest.first(), arguments.first())
        {
            let message = format!("error calling call: non-function {operand} of type {}", type_name(value));
            return self.fail_at(pos, &command.to_string(), &message);
        }
        // A map without types has no zero value for a key it lacks.
        let is_absent = self.missing == MissingKey::Error && name == "index";
        let found = functions::call(self.functions, name, &arguments);
        let found = found.map(|value| match &value {
            Value::Text(text) if is_absent && text.is_empty() && !holds_empty(&arguments) => Value::Absent,
            _ => value,
        });
        found.or_else(|message| {
            let is_count = message.starts_with("wrong number of args");
            let is_type = message.starts_with("wrong type for value") || message.starts_with("invalid value;");
            if is_count {
                return self.fail_at(pos, name, &message);
            }
            if is_type {
                let (at, text) =
                    rest.first().map_or((pos, name.to_owned()), |operand| (operand.pos(), operand.to_string()));
                return self.fail_at(at, &text, &message);
            }
            self.fail_at(pos, &command.to_string(), &format!("error calling {name}: {message}"))
        })
    }

    fn and_or(
        &mut self,
        is_and: bool,
        pos: usize,
        rest: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Walked<Value> {
        let mut value = None;
        for operand in rest {
            let current = self.operand(operand, dot)?;
            if current.is_true() != is_and {
                return Ok(current);
            }
            value = Some(current);
        }
        let name = if is_and { "and" } else { "or" };
        match last.or(value) {
            Some(value) => Ok(value),
            None => self.fail_at(pos, name, &format!("wrong number of args for {name}: want at least 1 got 0")),
        }
    }

    fn variable(&self, name: &str) -> Value {
        self.variables.iter().rev().find(|(known, _)| known == name).map_or(Value::Absent, |(_, value)| value.clone())
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Walked<Value> {
        Ok(match operand {
            Operand::Dot { .. } => dot.clone(),
            Operand::Nil { .. } => Value::Nil,
            Operand::Bool { value, .. } => Value::Bool(*value),
            Operand::Int { value, .. } => Value::Int(*value),
            Operand::Float { value, .. } => Value::Float(*value),
            Operand::Text { value, .. } => Value::from(value.as_str()),
            Operand::Pipe { pipe, .. } => self.pipe(pipe, dot)?,
            Operand::Field { pos, names } => {
                self.chain(*pos, &operand.to_string(), dot.clone(), names, &[], dot, None)?
            }
            Operand::Variable { pos, name, names } => {
                let value = self.variable(name);
                self.chain(*pos, &operand.to_string(), value, names, &[], dot, None)?
            }
            Operand::Chain { pos, of, names } => {
                let value = self.operand(of, dot)?;
                self.chain(*pos, &operand.to_string(), value, names, &[], dot, None)?
            }
            Operand::Function { pos, name } => {
                let command = Command { arguments: vec![operand.clone()] };
                self.function(*pos, name, &command, &[], dot, None)?
            }
        })
    }

    /// Follows field names; arguments go to the last one.
    #[allow(clippy::too_many_arguments)]
    fn chain(
        &mut self,
        pos: usize,
        context: &str,
        mut value: Value,
        names: &[String],
        rest: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Walked<Value> {
        for (at, name) in names.iter().enumerate() {
            let mut arguments = Vec::new();
            if at + 1 == names.len() {
                for operand in rest {
                    arguments.push(self.operand(operand, dot)?);
                }
                arguments.extend(last.clone());
            }
            value = self.field(pos, context, &value, name, &arguments)?;
        }
        Ok(value)
    }

    fn field(&self, pos: usize, context: &str, of: &Value, name: &str, arguments: &[Value]) -> Walked<Value> {
        if let Some(method) = method(of, name, arguments) {
            return method.or_else(|message| self.fail_at(pos, context, &message));
        }
        if !arguments.is_empty() {
            return self.fail_at(pos, context, &format!("{name} has arguments but cannot be invoked as function"));
        }
        let missing = |walker: &Self| match walker.missing {
            MissingKey::NoValue => Ok(Value::Absent),
            MissingKey::TypeError(_) if matches!(of, Value::Map(_) | Value::NilMap) => Ok(Value::Absent),
            MissingKey::TypeError(kind) => {
                walker.fail_at(pos, context, &format!("can't evaluate field {name} in type {kind}"))
            }
            MissingKey::ZeroOrError if matches!(of, Value::Map(_) | Value::NilMap) => Ok(Value::Absent),
            MissingKey::ZeroOrError if zero_field(name).is_some() => Ok(zero_field(name).unwrap_or(Value::Absent)),
            MissingKey::ZeroOrError | MissingKey::Error => {
                walker.fail_at(pos, context, &format!("map has no entry for key {name:?}"))
            }
        };
        match of {
            Value::Struct(fields) | Value::Map(fields) => match lookup(fields, name, self.missing) {
                Some(value) => Ok(value.shown().clone()),
                None => missing(self),
            },
            Value::NilMap => missing(self),
            Value::Header(columns) => Ok(columns.get(name).map_or(Value::Absent, |text| Value::from(text.as_str()))),
            Value::Row(row) => match row.cell(name) {
                Some(cell) => Ok(cell),
                None => self.fail_at(pos, context, &format!("can't evaluate field {name} in type {}", row.type_name())),
            },
            Value::Absent | Value::Nil | Value::NilList => {
                self.fail_at(pos, context, &format!("nil data; no entry for key {name:?}"))
            }
            other => self.fail_at(pos, context, &format!("can't evaluate field {name} in type {}", type_name(other))),
        }
    }

    fn fail_at<T>(&self, pos: usize, context: &str, message: &str) -> Walked<T> {
        let before = &self.template.text[..pos.min(self.template.text.len())];
        let line = 1 + before.matches('\n').count();
        let column = before.rfind('\n').map_or(pos, |newline| pos - newline - 1);
        let name = &self.template.name;
        Err(TemplateError(format!("template: {name}:{line}:{column}: executing {name:?} at <{context}>: {message}")))
    }
}

/// Whether the last map indexed really holds an empty text under its key.
fn holds_empty(arguments: &[Value]) -> bool {
    match arguments {
        [Value::Map(entries), Value::Text(key)] => entries.iter().any(|(name, _)| **name == **key),
        [Value::Map(_), ..] | [] => false,
        _ => true,
    }
}

/// The only methods there are: a row's and a header's `Label`.
fn method(of: &Value, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    if name != "Label" {
        return None;
    }
    let key = match arguments {
        [Value::Text(key)] => key,
        _ => return Some(Err(format!("wrong number of args for Label: want 1 got {}", arguments.len()))),
    };
    match of {
        Value::Row(row) => row.label(key).map(Ok),
        Value::Header(_) => {
            let last = key.rsplit('.').next().unwrap_or_default();
            Some(Ok(last.replace(['-', '_'], " ").into()))
        }
        _ => None,
    }
}

/// The zero value of a field that the Engine API leaves out when it is empty.
fn zero_field(name: &str) -> Option<Value> {
    Some(match name {
        "Health"
        | "Healthcheck"
        | "Init"
        | "StopTimeout"
        | "SizeRw"
        | "SizeRootFs"
        | "ImageManifestDescriptor"
        | "Descriptor" => Value::Nil,
        "StopSignal" | "MacAddress" | "Comment" | "Variant" | "OsVersion" => Value::from(""),
        "Shell" | "Mounts" => Value::NilList,
        "Tmpfs" | "Sysctls" | "Annotations" | "StorageOpt" => Value::NilMap,
        "NetworkDisabled" | "ArgsEscaped" => Value::Bool(false),
        _ => return None,
    })
}

/// Fields that Go spells otherwise than JSON does.
const SPELLINGS: [(&str, &str); 14] = [
    ("ID", "Id"),
    ("DNS", "Dns"),
    ("DNSOptions", "DnsOptions"),
    ("DNSSearch", "DnsSearch"),
    ("CPUShares", "CpuShares"),
    ("NanoCPUs", "NanoCpus"),
    ("CPUPeriod", "CpuPeriod"),
    ("CPUQuota", "CpuQuota"),
    ("CPURealtimePeriod", "CpuRealtimePeriod"),
    ("CPURealtimeRuntime", "CpuRealtimeRuntime"),
    ("APIVersion", "ApiVersion"),
    ("NCPU", "NCPU"),
    ("OSType", "OSType"),
    ("Os", "OS"),
];

/// A field by the name Go's types have, or, of a document without types, by its own.
fn lookup<'a>(fields: &'a [(String, Value)], name: &str, missing: MissingKey) -> Option<&'a Value> {
    let find = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let is_typed = missing != MissingKey::Error;
    if missing == MissingKey::ZeroOrError && SPELLINGS.iter().any(|(go, json)| *json == name && go != json) {
        return None;
    }
    find(name).or_else(|| {
        let (_, json) = SPELLINGS.iter().find(|(go, _)| is_typed && *go == name)?;
        find(json)
    })
}
