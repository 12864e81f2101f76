//! Attributes and their values.

use std::fmt;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::field;
use crate::otlp::protobuf::{FieldValue, Fields, delimited_tag, repeated, split_delimited, text};

/// `KeyValue`.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyValue<'a> {
    /// The whole message's bytes, for lossless copies.
    pub bytes: &'a [u8],
    /// `key`.
    pub key: &'a str,
    /// `value`.
    pub value: AnyValue<'a>,
}

impl<'a> KeyValue<'a> {
    /// Reads the `KeyValue` message in `bytes`.
    #[must_use]
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Self {
        if let Some((key, rest)) = split_delimited(bytes, delimited_tag(field::key_value::KEY))
            && let Some((value, [])) = split_delimited(rest, delimited_tag(field::key_value::VALUE))
        {
            return Self { bytes, key: text(key), value: AnyValue::decode(value) };
        }
        let mut pair = Self { bytes, ..Self::default() };
        for field in Fields::new(bytes) {
            match (field.number, field.value) {
                (field::key_value::KEY, FieldValue::Bytes(key)) => pair.key = text(key),
                (field::key_value::VALUE, FieldValue::Bytes(value)) => pair.value = AnyValue::decode(value),
                _ => {}
            }
        }
        pair
    }

    /// The key's bytes in the `KeyValue` message in `bytes`; nothing else of it is looked at if it has the usual form.
    #[inline]
    pub(in crate::otlp) fn key_of(bytes: &'a [u8]) -> &'a [u8] {
        if let Some((key, rest)) = split_delimited(bytes, delimited_tag(field::key_value::KEY))
            && split_delimited(rest, delimited_tag(field::key_value::VALUE)).is_some_and(|(_, end)| end.is_empty())
        {
            return key;
        }
        let keys = Fields::new(bytes).filter_map(|field| match field.value {
            FieldValue::Bytes(key) if field.number == field::key_value::KEY => Some(key),
            _ => None,
        });
        keys.last().unwrap_or_default()
    }
}

/// Key and value alike; unknown fields do not count.
impl PartialEq for KeyValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

/// The value of the first `KeyValue` called `key` among the fields `number` of `message`. Compares the key's bytes
/// before anything is decoded.
pub(in crate::otlp) fn find<'a>(message: &'a [u8], number: u32, key: &str) -> Option<AnyValue<'a>> {
    let is_called_key = |pair: &&[u8]| KeyValue::key_of(pair) == key.as_bytes();
    repeated(message, number).find(is_called_key).map(|pair| KeyValue::decode(pair).value)
}

/// `AnyValue`.
#[derive(Clone, Copy, Debug, Default)]
pub enum AnyValue<'a> {
    /// No value set.
    #[default]
    Empty,
    /// `string_value`.
    String(&'a str),
    /// `bool_value`.
    Bool(bool),
    /// `int_value`.
    Int(i64),
    /// `double_value`.
    Double(f64),
    /// `bytes_value`.
    Bytes(&'a [u8]),
    /// `array_value`.
    Array(ArrayValue<'a>),
    /// `kvlist_value`.
    KeyValueList(KeyValueList<'a>),
}

impl<'a> AnyValue<'a> {
    /// Reads the `AnyValue` message in `bytes`; of several members of the union the last wins.
    #[must_use]
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Self {
        if let Some((content, [])) = split_delimited(bytes, delimited_tag(field::any_value::STRING)) {
            return Self::String(text(content));
        }
        let mut value = Self::Empty;
        for field in Fields::new(bytes) {
            match (field.number, field.value) {
                (field::any_value::STRING, FieldValue::Bytes(bytes)) => value = Self::String(text(bytes)),
                (field::any_value::BOOL, FieldValue::Varint(number)) => value = Self::Bool(number != 0),
                (field::any_value::INT, FieldValue::Varint(number)) => value = Self::Int(number.cast_signed()),
                (field::any_value::DOUBLE, FieldValue::Fixed64(bits)) => value = Self::Double(f64::from_bits(bits)),
                (field::any_value::ARRAY, FieldValue::Bytes(bytes)) => value = Self::Array(ArrayValue { bytes }),
                (field::any_value::KEY_VALUE_LIST, FieldValue::Bytes(bytes)) => {
                    value = Self::KeyValueList(KeyValueList { bytes });
                }
                (field::any_value::BYTES, FieldValue::Bytes(bytes)) => value = Self::Bytes(bytes),
                _ => {}
            }
        }
        value
    }

    /// The text, if it is a string.
    #[must_use]
    pub const fn as_str(self) -> Option<&'a str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is an integer.
    #[must_use]
    pub const fn as_int(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is a double or an integer (which loses digits beyond 2^53).
    #[must_use]
    pub const fn as_double(self) -> Option<f64> {
        match self {
            Self::Double(value) => Some(value),
            Self::Int(value) => Some(value as f64),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub const fn as_bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Writes the value as it stands within an array or a key-value list: as JSON.
    fn fmt_nested(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("null"),
            Self::String(text) => write_json_string(f, text),
            Self::Bytes(bytes) => write!(f, "\"{}\"", Base64Display::new(bytes, &STANDARD)),
            Self::Bool(_) | Self::Int(_) | Self::Double(_) | Self::Array(_) | Self::KeyValueList(_) => {
                fmt::Display::fmt(&self, f)
            }
        }
    }
}

/// Same type and same content. Doubles compare by their bits, so that a NaN equals itself.
impl PartialEq for AnyValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Empty, Self::Empty) => true,
            (Self::String(left), Self::String(right)) => left == right,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Double(left), Self::Double(right)) => left.to_bits() == right.to_bits(),
            (Self::Bytes(left), Self::Bytes(right)) => left == right,
            (Self::Array(left), Self::Array(right)) => left.values().eq(right.values()),
            (Self::KeyValueList(left), Self::KeyValueList(right)) => left.values().eq(right.values()),
            _ => false,
        }
    }
}

/// The value as people read it: strings and numbers bare, bytes as base64, lists as compact JSON, empty as nothing.
impl fmt::Display for AnyValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => Ok(()),
            Self::String(text) => f.write_str(text),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value}"),
            Self::Bytes(bytes) => f.write_str(&STANDARD.encode(bytes)),
            Self::Array(array) => {
                f.write_str("[")?;
                for (index, value) in array.values().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    value.fmt_nested(f)?;
                }
                f.write_str("]")
            }
            Self::KeyValueList(list) => {
                f.write_str("{")?;
                for (index, pair) in list.values().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    write_json_string(f, pair.key)?;
                    f.write_str(":")?;
                    pair.value.fmt_nested(f)?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_json_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

/// `ArrayValue`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArrayValue<'a> {
    /// The message's bytes.
    pub bytes: &'a [u8],
}

impl<'a> ArrayValue<'a> {
    /// `values`.
    pub fn values(self) -> impl Iterator<Item = AnyValue<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::values::VALUES).map(AnyValue::decode)
    }
}

/// `KeyValueList`.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyValueList<'a> {
    /// The message's bytes.
    pub bytes: &'a [u8],
}

impl<'a> KeyValueList<'a> {
    /// `values`.
    pub fn values(self) -> impl Iterator<Item = KeyValue<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::values::VALUES).map(KeyValue::decode)
    }
}
