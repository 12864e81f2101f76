//! A value of any type, as YAML understands it: what an action writes into an attribute.

use rootspan_wire::otlp::write::Value;

use super::decode::Decode;
use super::node::{Node, Scalar, Value as NodeValue};
use super::problems::Problems;

/// A value of any type.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyConfig {
    /// Text.
    String(String),
    /// `true` or `false`, not quoted.
    Bool(bool),
    /// A whole number, not quoted.
    Int(i64),
    /// Another number, not quoted.
    Double(f64),
    /// A list.
    List(Vec<Self>),
    /// A map.
    Map(Vec<(String, Self)>),
}

impl Decode for AnyConfig {
    const KIND: &'static str = "a value of any type";
    const STRUCTURED: bool = true;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let node = node.structure();
        match &node.value {
            NodeValue::Scalar(scalar) => Some(Self::of_scalar(scalar)),
            NodeValue::List(items) => {
                items.iter().map(|item| Self::decode(item, problems)).collect::<Option<_>>().map(Self::List)
            }
            NodeValue::Map(entries) => {
                let pair = |entry: &super::node::Entry, problems: &mut Problems| {
                    Some((entry.key.clone(), Self::decode(&entry.value, problems)?))
                };
                entries.iter().map(|entry| pair(entry, problems)).collect::<Option<_>>().map(Self::Map)
            }
        }
    }
}

impl AnyConfig {
    /// YAML's core schema: what is quoted is text.
    pub(crate) fn of_scalar(scalar: &Scalar) -> Self {
        let text = scalar.text.as_str();
        if !scalar.plain {
            return Self::String(text.to_owned());
        }
        match text {
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        if let Ok(number) = text.parse::<i64>() {
            return Self::Int(number);
        }
        // Rust reads `inf` and `nan` as numbers, YAML does not.
        let is_number = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
            && !text.contains(|c: char| c.is_ascii_alphabetic() && !"eE".contains(c));
        match text.parse::<f64>() {
            Ok(number) if is_number => Self::Double(number),
            _ => Self::String(text.to_owned()),
        }
    }

    /// The value for a writer.
    pub fn with_value<R>(&self, then: impl FnOnce(Value<'_>) -> R) -> R {
        match self {
            Self::String(text) => then(Value::String(text)),
            Self::Bool(value) => then(Value::Bool(*value)),
            Self::Int(value) => then(Value::Int(*value)),
            Self::Double(value) => then(Value::Double(*value)),
            Self::List(_) | Self::Map(_) => {
                then(Value::Any(rootspan_wire::otlp::view::AnyValue::decode(&self.encoded())))
            }
        }
    }

    /// The `AnyValue` message.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        use rootspan_wire::otlp::field::{any_value, key_value, values};
        use rootspan_wire::otlp::write::{put_bool, put_bytes, put_double, put_int, put_message, put_string};
        let mut out = Vec::new();
        match self {
            Self::String(text) => put_string(&mut out, any_value::STRING, text),
            Self::Bool(value) => put_bool(&mut out, any_value::BOOL, *value),
            Self::Int(value) => put_int(&mut out, any_value::INT, *value),
            Self::Double(value) => put_double(&mut out, any_value::DOUBLE, *value),
            Self::List(items) => put_message(&mut out, any_value::ARRAY, |out| {
                for item in items {
                    put_bytes(out, values::VALUES, &item.encoded());
                }
            }),
            Self::Map(pairs) => put_message(&mut out, any_value::KEY_VALUE_LIST, |out| {
                for (key, value) in pairs {
                    put_message(out, values::VALUES, |out| {
                        put_string(out, key_value::KEY, key);
                        put_bytes(out, key_value::VALUE, &value.encoded());
                    });
                }
            }),
        }
        out
    }
}

/// A regular expression.
#[derive(Clone, Debug)]
pub struct Pattern(pub regex::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Decode for Pattern {
    const KIND: &'static str = "a regular expression";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = &super::values::scalar(node, Self::KIND, problems)?.text;
        match regex::Regex::new(text) {
            Ok(pattern) => Some(Self(pattern)),
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default();
                problems.error(&node.position, format!("not a regular expression: {reason}"));
                None
            }
        }
    }
}
