//! Attributes of the usual kinds, whose lengths are known before they are written.

use super::{Value, put_key_value, put_message_head, put_string, varint_length};
use crate::otlp::field;

/// A field `KeyValue`.
///
/// Most attributes are short texts and numbers under a key that the compiler knows: their lengths are known before, so that
/// nothing is moved, and what does not depend on the value is copied in a few instructions.
// Always: else the key would not be known.
#[inline(always)]
pub fn put_attribute<'a>(out: &mut Vec<u8>, field: u32, key: &str, value: impl Into<Value<'a>>) {
    match value.into() {
        Value::String(text) => put_text_attribute(out, field, key, text),
        Value::Int(value) => {
            let mut varint = [0; MAX_NUMBER_BYTES];
            let length = write_varint(&mut varint, value.cast_unsigned());
            put_number_attribute(out, field, key, tag(field::any_value::INT, 0), varint, length);
        }
        Value::Double(value) => {
            let mut bytes = [0; MAX_NUMBER_BYTES];
            bytes[..8].copy_from_slice(&value.to_bits().to_le_bytes());
            put_number_attribute(out, field, key, tag(field::any_value::DOUBLE, 1), bytes, 8);
        }
        Value::Strings([text]) => put_single_text_attribute(out, field, key, text),
        value => put_key_value(out, field, key, value),
    }
}

/// Most bytes of a varint.
const MAX_NUMBER_BYTES: usize = 10;

#[inline(always)]
fn put_text_attribute(out: &mut Vec<u8>, field: u32, key: &str, text: &str) {
    // Tag and length of the key, of the value, and of the text in it; all lengths take one byte.
    let length = key.len() + text.len() + 6;
    if length >= 0x80 || field >= 0x10 {
        return put_long_text_attribute(out, field, key, text);
    }
    out.extend_from_slice(&[tag(field, 2), length as u8, tag(field::key_value::KEY, 2), key.len() as u8]);
    out.extend_from_slice(key.as_bytes());
    let text_length = text.len() as u8;
    let head = [tag(field::key_value::VALUE, 2), text_length + 2, tag(field::any_value::STRING, 2), text_length];
    out.extend_from_slice(&head);
    out.extend_from_slice(text.as_bytes());
}

/// Bytes of a field whose number is below 16 and whose content has this length.
#[inline]
const fn field_length(content: usize) -> usize {
    1 + varint_length(content) + content
}

/// An array of one text.
fn put_single_text_attribute(out: &mut Vec<u8>, field: u32, key: &str, text: &str) {
    let element_length = field_length(text.len());
    let array_length = field_length(element_length);
    let value_length = field_length(array_length);
    put_message_head(out, field, field_length(key.len()) + field_length(value_length));
    put_string(out, field::key_value::KEY, key);
    put_message_head(out, field::key_value::VALUE, value_length);
    put_message_head(out, field::any_value::ARRAY, array_length);
    put_message_head(out, field::values::VALUES, element_length);
    put_string(out, field::any_value::STRING, text);
}

fn put_long_text_attribute(out: &mut Vec<u8>, field: u32, key: &str, text: &str) {
    let value_length = field_length(text.len());
    put_message_head(out, field, field_length(key.len()) + field_length(value_length));
    put_string(out, field::key_value::KEY, key);
    put_message_head(out, field::key_value::VALUE, value_length);
    put_string(out, field::any_value::STRING, text);
}

/// A number of `length` bytes behind its tag.
#[inline]
fn put_number_attribute(
    out: &mut Vec<u8>,
    field: u32,
    key: &str,
    number_tag: u8,
    number: [u8; MAX_NUMBER_BYTES],
    length: usize,
) {
    let value_length = 1 + length;
    put_message_head(out, field, 1 + varint_length(key.len()) + key.len() + 2 + value_length);
    put_string(out, field::key_value::KEY, key);
    out.extend_from_slice(&[tag(field::key_value::VALUE, 2), value_length as u8, number_tag]);
    let end = out.len() + length;
    // All of it, for that is one instruction or two, and then what is meant.
    out.extend_from_slice(&number);
    out.truncate(end);
}

/// Gives the length.
#[inline]
fn write_varint(bytes: &mut [u8; MAX_NUMBER_BYTES], mut value: u64) -> usize {
    for (index, byte) in bytes.iter_mut().enumerate() {
        if value < 0x80 {
            *byte = value as u8;
            return index + 1;
        }
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    MAX_NUMBER_BYTES
}

/// The tag of a field whose number is below 16.
#[inline]
const fn tag(field: u32, wire_type: u32) -> u8 {
    (field << 3 | wire_type) as u8
}
