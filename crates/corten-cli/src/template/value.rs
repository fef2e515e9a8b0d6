//! What templates look at: Go's kinds of values, read from JSON or built by a command.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

/// A value. Maps that come from JSON objects keep the order in which they came.
#[derive(Debug, Clone)]
pub enum Value {
    /// What an absent key gives: prints as `<no value>`.
    Absent,
    /// A nil pointer or interface: prints as `<nil>`.
    Nil,
    /// A slice nobody made: prints as `[]`, `null` in JSON.
    NilList,
    /// A map nobody made: prints as `map[]`, `null` in JSON.
    NilMap,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(Rc<str>),
    /// A slice.
    List(Rc<Vec<Value>>),
    /// A map: ranged over by key, printed `map[a:b]`.
    Map(Rc<Vec<(String, Value)>>),
    /// A struct: fields in order, printed `{1 2}`.
    Struct(Rc<Vec<(String, Value)>>),
    /// A field that JSON leaves out because it is empty; Go prints it all the same.
    Omitted(Rc<Value>),
    /// A row of a table, with methods.
    Row(Rc<Row>),
    /// The names of a table's columns.
    Header(Rc<BTreeMap<String, String>>),
}

/// Fields read from one JSON document.
pub type Object = Vec<(String, Value)>;

/// A row of a table: what docker's formatter contexts are. All cells are texts made by methods.
#[derive(Debug)]
pub struct Row {
    type_name: &'static str,
    cells: Vec<(&'static str, Option<String>)>,
    labels: Option<BTreeMap<String, String>>,
    used: RefCell<BTreeSet<&'static str>>,
}

impl Row {
    /// A row of Go's type `type_name` (which error texts name) with these cells; `None` is a nil pointer.
    #[must_use]
    pub fn new(type_name: &'static str, cells: Vec<(&'static str, Option<String>)>) -> Self {
        Self { type_name, cells, labels: None, used: RefCell::new(BTreeSet::new()) }
    }

    /// Gives the row the method `Label`.
    #[must_use]
    pub fn with_labels(mut self, labels: BTreeMap<String, String>) -> Self {
        self.labels = Some(labels);
        self
    }

    /// Whether a template read the cell.
    #[must_use]
    pub fn was_used(&self, name: &str) -> bool {
        self.used.borrow().contains(name)
    }

    pub(super) const fn type_name(&self) -> &'static str {
        self.type_name
    }

    pub(super) fn cell(&self, name: &str) -> Option<Value> {
        let (name, cell) = self.cells.iter().find(|(known, _)| *known == name)?;
        self.used.borrow_mut().insert(name);
        Some(cell.as_deref().map_or(Value::Nil, Value::from))
    }

    pub(super) fn label(&self, name: &str) -> Option<Value> {
        self.labels.as_ref().map(|labels| Value::from(labels.get(name).map_or("", String::as_str)))
    }

    /// The row as docker's formatter marshals it: keys in order, `<>&` escaped.
    fn write_json(&self, into: &mut String) {
        self.used.borrow_mut().extend(self.cells.iter().map(|(name, _)| name));
        let sorted: BTreeMap<_, _> = self.cells.iter().map(|(name, cell)| (*name, cell)).collect();
        into.push('{');
        for (index, (name, cell)) in sorted.into_iter().enumerate() {
            if index > 0 {
                into.push(',');
            }
            write_json_text(into, name, Escape::Html);
            into.push(':');
            match cell {
                Some(text) => write_json_text(into, text, Escape::Html),
                None => into.push_str("null"),
            }
        }
        into.push('}');
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl Value {
    /// A struct with these fields.
    #[must_use]
    pub fn object(fields: Vec<(&str, Self)>) -> Self {
        Self::Struct(Rc::new(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
    }

    /// The value as Go decodes JSON without types: every object a map, every null nothing.
    #[must_use]
    pub fn untyped(self) -> Self {
        match self {
            Self::Nil | Self::NilList | Self::NilMap => Self::Absent,
            Self::List(items) => Self::list(items.iter().cloned().map(Self::untyped).collect()),
            Self::Struct(entries) | Self::Map(entries) => {
                Self::Map(Rc::new(entries.iter().map(|(key, value)| (key.clone(), value.clone().untyped())).collect()))
            }
            Self::Omitted(_) => Self::Absent,
            other => other,
        }
    }

    /// The field of an API object that JSON leaves out when it is empty, or the value itself.
    #[must_use]
    pub fn shown(&self) -> &Self {
        match self {
            Self::Omitted(value) => value,
            other => other,
        }
    }

    /// A list.
    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items))
    }

    /// Go's idea of an empty value, which `if` and `with` test.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Self::Absent | Self::Nil | Self::NilList | Self::NilMap => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
            Self::Struct(_) | Self::Row(_) => true,
            Self::Omitted(value) => value.is_true(),
            Self::Header(columns) => !columns.is_empty(),
        }
    }

    /// The value as JSON, as Go's encoder writes it without HTML escapes.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        self.write_json(&mut text);
        text
    }

    fn write_json(&self, into: &mut String) {
        match self {
            Self::Absent | Self::Nil | Self::NilList | Self::NilMap => into.push_str("null"),
            Self::Bool(value) => into.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => into.push_str(&value.to_string()),
            Self::Float(value) => into.push_str(&super::format::float(*value)),
            Self::Text(text) => write_json_text(into, text, Escape::Plain),
            Self::List(items) => {
                into.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        into.push(',');
                    }
                    item.write_json(into);
                }
                into.push(']');
            }
            Self::Map(entries) | Self::Struct(entries) => {
                into.push('{');
                let present = entries.iter().filter(|(_, value)| !matches!(value, Self::Omitted(_)));
                for (index, (key, value)) in present.enumerate() {
                    if index > 0 {
                        into.push(',');
                    }
                    write_json_text(into, key, Escape::Plain);
                    into.push(':');
                    value.write_json(into);
                }
                into.push('}');
            }
            Self::Omitted(value) => value.write_json(into),
            Self::Row(row) => row.write_json(into),
            Self::Header(columns) => {
                let entries = columns.iter().map(|(key, value)| (key.clone(), Self::from(value.as_str()))).collect();
                Self::Map(Rc::new(entries)).write_json(into);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    Plain,
    Html,
}

fn write_json_text(into: &mut String, text: &str, escape: Escape) {
    into.push('"');
    for letter in text.chars() {
        match letter {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            '\u{8}' => into.push_str("\\b"),
            '\u{c}' => into.push_str("\\f"),
            '<' | '>' | '&' if escape == Escape::Html => into.push_str(&format!("\\u{:04x}", u32::from(letter))),
            '\u{2028}' | '\u{2029}' => into.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter if u32::from(letter) < 0x20 => into.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => into.push(letter),
        }
    }
    into.push('"');
}

/// A JSON document read as templates see it; objects keep their order.
///
/// Which objects are Go maps and which are structs is not in JSON; it shows only in how they print
/// and is told by the names of the fields that hold maps in the Engine API.
#[derive(Debug, Clone)]
pub struct Json(pub Value);

/// Fields of the Engine API whose value is a Go map.
const MAP_FIELDS: [&str; 19] = [
    "Annotations",
    "Attributes",
    "AuxiliaryAddresses",
    "Config",
    "Data",
    "Details",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Runtimes",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
    "IndexConfigs",
];

/// Fields of the Engine API whose value is a Go pointer; all other nulls are nil slices.
const POINTER_FIELDS: [&str; 9] = [
    "Health",
    "Healthcheck",
    "IPAMConfig",
    "Init",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "Platform",
    "StopTimeout",
];

impl Json {
    /// Reads a document.
    ///
    /// # Errors
    /// serde's, when it is no JSON.
    pub fn parse(text: &[u8]) -> serde_json::Result<Value> {
        serde_json::from_slice::<Self>(text).map(|json| json.0)
    }
}

impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> serde::de::Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json(Value::Nil))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json(Value::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        #[allow(clippy::cast_precision_loss)] // beyond 2^63 nothing is counted one by one
        Ok(Json(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json(Value::from(value)))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(Json(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Json(Value::list(list)))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object: Object = Vec::new();
        while let Some((key, Json(value))) = entries.next_entry::<String, Json>()? {
            // `Config` is a map only in a log configuration, where all its values are texts.
            let is_map = MAP_FIELDS.contains(&key.as_str());
            let value = match value {
                Value::Struct(inner)
                    if is_map
                        && (key != "Config" || inner.iter().all(|(_, value)| matches!(value, Value::Text(_)))) =>
                {
                    Value::Map(inner)
                }
                Value::Nil if is_map => Value::NilMap,
                Value::Nil if !POINTER_FIELDS.contains(&key.as_str()) => Value::NilList,
                other => other,
            };
            object.push((key, value));
        }
        Ok(Json(Value::Struct(Rc::new(object))))
    }
}
