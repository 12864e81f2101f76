//! Any message along the schema: for metrics and logs, which have no views. What is there is written, in the order of
//! the field numbers; what is unknown is left out, as JSON has no way to carry it.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{put_any_value, put_fmt, put_hex, put_json_double, put_json_string, put_key_value};
use crate::otlp::protobuf::{FieldValue, Fields, Reader, repeated, text};
use crate::otlp::schema::{Content, FieldSchema, Message};
use crate::otlp::view::{AnyValue, KeyValue};

/// So much is collected before it is handed on: memory does not grow with the request.
const FLUSH_BYTES: usize = 64 << 10;

/// Writes a checked message.
pub(super) fn write_message(message: Message, bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    let mut writer = Writer { buffer: Vec::new(), out };
    writer.message(message, bytes)?;
    writer.flush()
}

struct Writer<'o, W> {
    buffer: Vec<u8>,
    out: &'o mut W,
}

impl<W: Write> Writer<'_, W> {
    fn message(&mut self, message: Message, bytes: &[u8]) -> io::Result<()> {
        match message {
            Message::KeyValue => put_key_value(&mut self.buffer, KeyValue::decode(bytes)),
            Message::AnyValue => put_any_value(&mut self.buffer, AnyValue::decode(bytes)),
            _ => {
                self.buffer.push(b'{');
                let union_member = Fields::new(bytes).filter(|field| message.is_in_union(field.number)).last();
                let mut is_empty = true;
                for field in message.fields() {
                    if !message.is_in_union(field.number)
                        || union_member.is_some_and(|member| member.number == field.number)
                    {
                        self.field(field, bytes, &mut is_empty)?;
                    }
                }
                self.buffer.push(b'}');
            }
        }
        if message.item().is_some() && self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn field(&mut self, field: &FieldSchema, bytes: &[u8], is_empty: &mut bool) -> io::Result<()> {
        match field.content {
            Content::Messages(inner) => {
                let mut is_open = false;
                for content in repeated(bytes, field.number) {
                    self.element(field, is_empty, &mut is_open);
                    self.message(inner, content)?;
                }
                self.close(is_open);
            }
            Content::Texts => {
                let mut is_open = false;
                for content in repeated(bytes, field.number) {
                    self.element(field, is_empty, &mut is_open);
                    put_json_string(&mut self.buffer, text(content));
                }
                self.close(is_open);
            }
            Content::Doubles | Content::Fixed64s | Content::Uint64s => self.numbers(field, bytes, is_empty),
            Content::Message(inner) => {
                if let Some(content) = repeated(bytes, field.number).last() {
                    self.key(field, is_empty);
                    self.message(inner, content)?;
                }
            }
            content => {
                if let Some(found) = Fields::new(bytes).filter(|found| found.number == field.number).last() {
                    self.key(field, is_empty);
                    self.scalar(content, found.value);
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, field: &FieldSchema, is_empty: &mut bool) {
        if !std::mem::take(is_empty) {
            self.buffer.push(b',');
        }
        put_fmt(&mut self.buffer, format_args!("\"{}\":", field.name));
    }

    /// Before an element of an array: the key before the first, a comma before the others.
    fn element(&mut self, field: &FieldSchema, is_empty: &mut bool, is_open: &mut bool) {
        if std::mem::replace(is_open, true) {
            self.buffer.push(b',');
        } else {
            self.key(field, is_empty);
            self.buffer.push(b'[');
        }
    }

    fn close(&mut self, is_open: bool) {
        if is_open {
            self.buffer.push(b']');
        }
    }

    /// Numbers, each in a field of its own or many in one.
    fn numbers(&mut self, field: &FieldSchema, bytes: &[u8], is_empty: &mut bool) {
        let mut is_open = false;
        for found in Fields::new(bytes).filter(|found| found.number == field.number) {
            let mut number = |number: u64| {
                self.element(field, is_empty, &mut is_open);
                self.scalar(field.content, FieldValue::Fixed64(number));
            };
            match (field.content, found.value) {
                (Content::Uint64s, FieldValue::Bytes(packed)) => {
                    let mut packed = Reader::new(packed);
                    while let Ok(Some(value)) = packed.packed_varint() {
                        number(value);
                    }
                }
                (_, FieldValue::Bytes(packed)) => {
                    packed.as_chunks().0.iter().for_each(|chunk| number(u64::from_le_bytes(*chunk)));
                }
                (_, FieldValue::Varint(value) | FieldValue::Fixed64(value)) => number(value),
                (_, FieldValue::Fixed32(_) | FieldValue::Group) => {}
            }
        }
        self.close(is_open);
    }

    fn scalar(&mut self, content: Content, value: FieldValue<'_>) {
        let out = &mut self.buffer;
        match (content, value) {
            (Content::Text, FieldValue::Bytes(content)) => put_json_string(out, text(content)),
            (Content::Hex | Content::Id(_), FieldValue::Bytes(bytes)) => put_hex(out, bytes),
            (Content::Base64, FieldValue::Bytes(bytes)) => put_fmt(out, format_args!("\"{}\"", STANDARD.encode(bytes))),
            (Content::Bool, FieldValue::Varint(value)) => put_fmt(out, format_args!("{}", value != 0)),
            (Content::Double | Content::Doubles, FieldValue::Fixed64(bits)) => {
                put_json_double(out, f64::from_bits(bits));
            }
            (Content::Int64, FieldValue::Varint(value)) => {
                put_fmt(out, format_args!("\"{}\"", value.cast_signed()));
            }
            (Content::Sfixed64, FieldValue::Fixed64(value)) => {
                put_fmt(out, format_args!("\"{}\"", value.cast_signed()));
            }
            (Content::Enumeration(_), FieldValue::Varint(value)) => {
                put_fmt(out, format_args!("{}", (value as u32).cast_signed()));
            }
            (Content::Uint32, FieldValue::Varint(value)) => put_fmt(out, format_args!("{}", value as u32)),
            // ZigZag: the sign is the lowest bit.
            (Content::Sint32, FieldValue::Varint(value)) => {
                let value = value as u32;
                put_fmt(out, format_args!("{}", (value >> 1).cast_signed() ^ -(value & 1).cast_signed()));
            }
            (Content::Fixed32, FieldValue::Fixed32(value)) => put_fmt(out, format_args!("{value}")),
            (_, FieldValue::Fixed64(value)) => put_fmt(out, format_args!("\"{value}\"")),
            // Checked when it came in.
            _ => out.extend_from_slice(b"null"),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
