//! The functions a template can call: Go's built-in ones and docker's.

use super::format::{self, print_all, print_line, printf, type_name};
use super::value::Value;
use std::rc::Rc;

/// Which bodies the functions have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionSet {
    /// The functions as they are.
    Values,
    /// For the header of a table: those that change a text give it back unchanged.
    Header,
}

const NAMES: [&str; 29] = [
    "and",
    "call",
    "eq",
    "ge",
    "getDetailsOrder",
    "gt",
    "html",
    "index",
    "join",
    "js",
    "json",
    "le",
    "len",
    "lower",
    "lt",
    "ne",
    "not",
    "or",
    "pad",
    "print",
    "printf",
    "println",
    "slice",
    "split",
    "title",
    "truncate",
    "upper",
    "urlquery",
    "table",
];

/// Whether a template may call `name`.
pub fn is_function(name: &str) -> bool {
    name != "table" && NAMES.contains(&name)
}

type Answer = Result<Value, String>;

/// Calls a function. `and` and `or` are not here: they do not evaluate all arguments.
pub fn call(set: FunctionSet, name: &str, arguments: &[Value]) -> Answer {
    if set == FunctionSet::Header
        && matches!(name, "json" | "split" | "join" | "title" | "lower" | "upper" | "truncate")
    {
        return arguments.first().cloned().ok_or_else(|| wrong_count(name, 1, 0));
    }
    match name {
        "not" => one(name, arguments).map(|value| Value::Bool(!value.is_true())),
        "len" => one(name, arguments).and_then(length),
        "index" => index(arguments),
        "slice" => slice(arguments),
        "print" => Ok(print_all(arguments).into()),
        "println" => Ok(print_line(arguments).into()),
        "printf" => match arguments.split_first() {
            Some((Value::Text(format), rest)) => Ok(printf(format, rest).into()),
            Some((other, _)) => Err(format!("wrong type for value; expected string; got {}", type_name(other))),
            None => Err("wrong number of args for printf: want at least 1 got 0".to_owned()),
        },
        "html" => Ok(escape_html(&print_all(arguments)).into()),
        "js" => Ok(escape_js(&print_all(arguments)).into()),
        "urlquery" => Ok(escape_query(&print_all(arguments)).into()),
        "eq" => equals_any(arguments).map(Value::Bool),
        "ne" => two(name, arguments).and_then(|(left, right)| Ok(Value::Bool(!equal(left, right)?))),
        "lt" => two(name, arguments).and_then(|(left, right)| Ok(Value::Bool(less(left, right)?))),
        "gt" => {
            two(name, arguments).and_then(|(left, right)| Ok(Value::Bool(!less(left, right)? && !equal(left, right)?)))
        }
        "le" => {
            two(name, arguments).and_then(|(left, right)| Ok(Value::Bool(less(left, right)? || equal(left, right)?)))
        }
        "ge" => two(name, arguments).and_then(|(left, right)| Ok(Value::Bool(!less(left, right)?))),
        "call" => Err("non-function of type string".to_owned()),
        "json" => one(name, arguments).map(|value| value.to_json().into()),
        "lower" => text_of(name, arguments).map(|text| text.to_lowercase().into()),
        "upper" => text_of(name, arguments).map(|text| text.to_uppercase().into()),
        "title" => text_of(name, arguments).map(|text| title(text).into()),
        "split" => match arguments {
            [Value::Text(text), Value::Text(separator)] => Ok(split(text, separator)),
            _ => Err(bad_arguments(name, arguments, 2)),
        },
        "join" => match arguments {
            [Value::List(items), Value::Text(separator)] => {
                let parts: Vec<_> = items.iter().map(format::print).collect();
                Ok(parts.join(separator).into())
            }
            [Value::NilList, Value::Text(_)] => Ok("".into()),
            _ => Err(bad_arguments(name, arguments, 2)),
        },
        "pad" => match arguments {
            [Value::Text(text), Value::Int(before), Value::Int(after)] => {
                let spaces = |count: &i64| " ".repeat(usize::try_from(*count).unwrap_or(0));
                Ok(if text.is_empty() {
                    "".into()
                } else {
                    format!("{}{text}{}", spaces(before), spaces(after)).into()
                })
            }
            _ => Err(bad_arguments(name, arguments, 3)),
        },
        "truncate" => match arguments {
            [Value::Text(text), Value::Int(length)] => {
                let length = usize::try_from(*length).map_err(|_| "slice bounds out of range".to_owned())?;
                let kept = text.get(..length.min(text.len())).unwrap_or(text);
                Ok(kept.into())
            }
            _ => Err(bad_arguments(name, arguments, 2)),
        },
        // docker's version template asks for the keys of a component's details in order.
        "getDetailsOrder" => one(name, arguments).map(details_order),
        _ => Err(format!("function {name:?} not defined")),
    }
}

fn details_order(component: &Value) -> Value {
    let fields = match component {
        Value::Struct(fields) | Value::Map(fields) => fields,
        _ => return Value::NilList,
    };
    let Some((_, Value::Map(details) | Value::Struct(details))) = fields.iter().find(|(name, _)| name == "Details")
    else {
        return Value::NilList;
    };
    let mut keys: Vec<_> = details.iter().map(|(key, _)| key.clone()).collect();
    keys.sort();
    Value::list(keys.into_iter().map(Value::from).collect())
}

fn wrong_count(name: &str, want: usize, got: usize) -> String {
    format!("wrong number of args for {name}: want {want} got {got}")
}

fn bad_arguments(name: &str, arguments: &[Value], want: usize) -> String {
    if arguments.len() != want {
        return wrong_count(name, want, arguments.len());
    }
    let wrong = arguments.first().map_or("<nil>", type_name);
    let expected = if name == "join" { "[]string" } else { "string" };
    format!("wrong type for value; expected {expected}; got {wrong}")
}

fn one<'a>(name: &str, arguments: &'a [Value]) -> Result<&'a Value, String> {
    match arguments {
        [value] => Ok(value),
        other => Err(wrong_count(name, 1, other.len())),
    }
}

fn two<'a>(name: &str, arguments: &'a [Value]) -> Result<(&'a Value, &'a Value), String> {
    match arguments {
        [left, right] => Ok((left, right)),
        other => Err(wrong_count(name, 2, other.len())),
    }
}

fn text_of<'a>(name: &str, arguments: &'a [Value]) -> Result<&'a str, String> {
    match one(name, arguments)? {
        Value::Text(text) => Ok(text),
        Value::Nil | Value::Absent => Err("invalid value; expected string".to_owned()),
        other => Err(format!("wrong type for value; expected string; got {}", type_name(other))),
    }
}

fn split(text: &str, separator: &str) -> Value {
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars().map(|letter| Value::from(letter.to_string())).collect()
    } else {
        text.split(separator).map(Value::from).collect()
    };
    Value::list(parts)
}

fn title(text: &str) -> String {
    let mut previous_is_letter = false;
    text.chars()
        .map(|letter| {
            let begins = !previous_is_letter;
            previous_is_letter = letter.is_alphanumeric() || letter == '_' || letter == '\'';
            if begins { letter.to_uppercase().to_string() } else { letter.to_string() }
        })
        .collect()
}

fn length(value: &Value) -> Answer {
    let count = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        // An object that is a struct to Go was a map when only JSON is looked at.
        Value::Struct(entries) => entries.len(),
        Value::NilList | Value::NilMap => 0,
        Value::Header(columns) => columns.len(),
        Value::Nil | Value::Absent => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", type_name(other))),
    };
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

fn index(arguments: &[Value]) -> Answer {
    let Some((first, indices)) = arguments.split_first() else {
        return Err("wrong number of args for index: want at least 1 got 0".to_owned());
    };
    let mut value = first.clone();
    for index in indices {
        value = match (&value, index) {
            (Value::List(items), Value::Int(at)) => usize::try_from(*at)
                .ok()
                .and_then(|at| items.get(at))
                .cloned()
                .ok_or_else(|| format!("index out of range: {at}"))?,
            (Value::NilList, Value::Int(at)) => return Err(format!("index out of range: {at}")),
            (Value::Text(text), Value::Int(at)) => usize::try_from(*at)
                .ok()
                .and_then(|at| text.as_bytes().get(at))
                .map(|byte| Value::Int(i64::from(*byte)))
                .ok_or_else(|| format!("index out of range: {at}"))?,
            (Value::Map(entries) | Value::Struct(entries), Value::Text(key)) => entries
                .iter()
                .find(|(name, _)| **name == **key)
                .map_or_else(|| zero_of(entries), |(_, value)| value.clone()),
            (Value::Header(columns), Value::Text(key)) => Value::from(columns.get(&**key).map_or("", String::as_str)),
            (Value::NilMap, Value::Text(_)) => Value::Text(Rc::from("")),
            (Value::List(_) | Value::NilList | Value::Text(_), other) => {
                return Err(format!("cannot index slice/array with type {}", type_name(other)));
            }
            (Value::Map(_) | Value::Struct(_) | Value::NilMap, other) => {
                return Err(format!("value has type {}; should be string", type_name(other)));
            }
            (Value::Nil | Value::Absent, _) => return Err("index of untyped nil".to_owned()),
            (other, _) => return Err(format!("can't index item of type {}", type_name(other))),
        };
    }
    Ok(value)
}

/// What indexing a map by an absent key gives: the zero value of its values' type.
fn zero_of(entries: &[(String, Value)]) -> Value {
    match entries.first() {
        Some((_, Value::List(_) | Value::NilList)) => Value::NilList,
        Some((_, Value::Struct(_) | Value::Nil)) => Value::Nil,
        Some((_, Value::Map(_) | Value::NilMap)) => Value::NilMap,
        _ => Value::Text(Rc::from("")),
    }
}

fn slice(arguments: &[Value]) -> Answer {
    let Some((value, bounds)) = arguments.split_first() else {
        return Err("wrong number of args for slice: want at least 1 got 0".to_owned());
    };
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(Value::Int(value)) => usize::try_from(*value).map_err(|_| format!("index out of range: {value}")),
        Some(other) => Err(format!("cannot index slice/array with type {}", type_name(other))),
    };
    match value {
        Value::Text(text) => {
            let (from, to) = (bound(0, 0)?, bound(1, text.len())?);
            if to > text.len() {
                return Err(format!("index out of range: {to}"));
            }
            text.get(from..to).map(Value::from).ok_or_else(|| format!("invalid slice index: {from} > {to}"))
        }
        Value::List(items) => {
            let (from, to) = (bound(0, 0)?, bound(1, items.len())?);
            if to > items.len() {
                return Err(format!("index out of range: {to}"));
            }
            items
                .get(from..to)
                .map(|part| Value::list(part.to_vec()))
                .ok_or_else(|| format!("invalid slice index: {from} > {to}"))
        }
        other => Err(format!("can't slice item of type {}", type_name(other))),
    }
}

fn equals_any(arguments: &[Value]) -> Result<bool, String> {
    let Some((first, rest)) = arguments.split_first() else {
        return Err("wrong number of args for eq: want at least 1 got 0".to_owned());
    };
    if rest.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in rest {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_nil(value: &Value) -> bool {
    matches!(value, Value::Nil | Value::Absent | Value::NilList | Value::NilMap)
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Int(left), Value::Int(right)) => Ok(left == right),
        #[allow(clippy::float_cmp)] // Go compares so too
        (Value::Float(left), Value::Float(right)) => Ok(left == right),
        (Value::Text(left), Value::Text(right)) => Ok(left == right),
        (left, right) if is_nil(left) || is_nil(right) => Ok(is_nil(left) && is_nil(right)),
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => {
            Err("non-comparable type ".to_owned() + type_name(left))
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn less(left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Ok(left < right),
        (Value::Float(left), Value::Float(right)) => Ok(left < right),
        (Value::Text(left), Value::Text(right)) => Ok(left < right),
        (Value::Int(_) | Value::Float(_) | Value::Text(_), Value::Int(_) | Value::Float(_) | Value::Text(_)) => {
            Err("incompatible types for comparison".to_owned())
        }
        _ => Err("invalid type for comparison".to_owned()),
    }
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\0' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn escape_js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' => escaped.push_str("\\u003C"),
            '>' => escaped.push_str("\\u003E"),
            '&' => escaped.push_str("\\u0026"),
            '=' => escaped.push_str("\\u003D"),
            letter if u32::from(letter) < 0x20 => escaped.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn escape_query(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
