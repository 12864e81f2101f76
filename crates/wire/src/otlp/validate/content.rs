//! Checks of single messages: spans with what they contain, resources, scopes, attributes.
//!
//! Number ranges like `1..=16` stand for the message's known fields: with the wrong wire type they condemn the request.

use super::{Pass, Reason};
use crate::otlp::field;
use crate::otlp::protobuf::{Fault, FieldValue, Reader, WireError, delimited_tag, split_delimited};

impl Pass<'_> {
    pub(super) fn span(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        let (mut trace_id, mut span_id, mut parent_span_id) = (&[][..], &[][..], &[][..]);
        let (mut attributes, mut events, mut links) = (0, 0, 0);
        let mut has_status = false;
        loop {
            attributes += self.key_values(&mut reader, field::span::ATTRIBUTES)?;
            let Some(found) = reader.field()? else { break };
            match (found.number, found.value) {
                (field::span::ATTRIBUTES, FieldValue::Bytes(pair)) => {
                    attributes += 1;
                    self.key_value(reader.nested(pair.len()), self.value_depth)?;
                }
                (field::span::TRACE_ID, FieldValue::Bytes(id)) => trace_id = id,
                (field::span::SPAN_ID, FieldValue::Bytes(id)) => span_id = id,
                (field::span::PARENT_SPAN_ID, FieldValue::Bytes(id)) => parent_span_id = id,
                (field::span::TRACE_STATE, FieldValue::Bytes(state)) => self.utf8(state, "trace_state"),
                (field::span::NAME, FieldValue::Bytes(name)) => self.utf8(name, "name"),
                (field::span::KIND, FieldValue::Varint(_))
                | (field::span::START_TIME_UNIX_NANO | field::span::END_TIME_UNIX_NANO, FieldValue::Fixed64(_))
                | (
                    field::span::DROPPED_ATTRIBUTES_COUNT
                    | field::span::DROPPED_EVENTS_COUNT
                    | field::span::DROPPED_LINKS_COUNT,
                    FieldValue::Varint(_),
                )
                | (field::span::FLAGS, FieldValue::Fixed32(_)) => {}
                (field::span::EVENTS, FieldValue::Bytes(event)) => {
                    events += 1;
                    self.event(reader.nested(event.len()))?;
                }
                (field::span::LINKS, FieldValue::Bytes(link)) => {
                    links += 1;
                    self.link(reader.nested(link.len()))?;
                }
                (field::span::STATUS, FieldValue::Bytes(status)) => {
                    self.must_merge |= has_status;
                    has_status = true;
                    self.status(reader.nested(status.len()))?;
                }
                (1..=16, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        self.own_id(trace_id, 16, "trace_id");
        self.own_id(span_id, 8, "span_id");
        // An absent or all-zero parent is a root.
        if !matches!(parent_span_id.len(), 0 | 8) {
            self.reject(Reason::Length { what: "parent_span_id", length: parent_span_id.len(), expected: 8 });
        }
        self.count(attributes, "attributes", self.limits.attributes);
        self.count(events, "events", self.limits.events_and_links);
        self.count(links, "links", self.limits.events_and_links);
        Ok(())
    }

    pub(super) fn resource(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        let mut attributes = 0;
        loop {
            attributes += self.key_values(&mut reader, field::resource::ATTRIBUTES)?;
            let Some(found) = reader.field()? else { break };
            match (found.number, found.value) {
                (field::resource::ATTRIBUTES, FieldValue::Bytes(pair)) => {
                    attributes += 1;
                    self.key_value(reader.nested(pair.len()), self.value_depth)?;
                }
                (field::resource::DROPPED_ATTRIBUTES_COUNT, FieldValue::Varint(_)) => {}
                (field::resource::ENTITY_REFS, FieldValue::Bytes(entity)) => {
                    self.entity_ref(reader.nested(entity.len()))?;
                }
                (1..=3, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        self.count(attributes, "attributes", self.limits.attributes);
        Ok(())
    }

    fn entity_ref(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        while let Some(found) = reader.field()? {
            match (found.number, found.value) {
                (1..=4, FieldValue::Bytes(text)) => self.utf8(text, "entity reference"),
                (1..=4, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn scope(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        let mut attributes = 0;
        while let Some(found) = reader.field()? {
            match (found.number, found.value) {
                (field::scope::NAME | field::scope::VERSION, FieldValue::Bytes(text)) => {
                    self.utf8(text, "scope name or version");
                }
                (field::scope::ATTRIBUTES, FieldValue::Bytes(pair)) => {
                    attributes += 1;
                    self.key_value(reader.nested(pair.len()), self.value_depth)?;
                }
                (field::scope::DROPPED_ATTRIBUTES_COUNT, FieldValue::Varint(_)) => {}
                (1..=4, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        self.count(attributes, "attributes", self.limits.attributes);
        Ok(())
    }

    fn status(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        while let Some(found) = reader.field()? {
            match (found.number, found.value) {
                (field::status::MESSAGE, FieldValue::Bytes(message)) => self.utf8(message, "status message"),
                (field::status::CODE, FieldValue::Varint(_)) => {}
                (2..=3, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        Ok(())
    }

    fn event(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        let mut attributes = 0;
        while let Some(found) = reader.field()? {
            match (found.number, found.value) {
                (field::event::ATTRIBUTES, FieldValue::Bytes(pair)) => {
                    attributes += 1;
                    self.key_value(reader.nested(pair.len()), self.value_depth)?;
                }
                (field::event::NAME, FieldValue::Bytes(name)) => self.utf8(name, "event name"),
                (field::event::TIME_UNIX_NANO, FieldValue::Fixed64(_))
                | (field::event::DROPPED_ATTRIBUTES_COUNT, FieldValue::Varint(_)) => {}
                (1..=4, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        self.count(attributes, "attributes of an event", self.limits.attributes);
        Ok(())
    }

    /// Ids of links may have any length: nothing is found by them, and they are shown as they are.
    fn link(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        let mut attributes = 0;
        while let Some(found) = reader.field()? {
            match (found.number, found.value) {
                (field::link::ATTRIBUTES, FieldValue::Bytes(pair)) => {
                    attributes += 1;
                    self.key_value(reader.nested(pair.len()), self.value_depth)?;
                }
                (field::link::TRACE_STATE, FieldValue::Bytes(state)) => self.utf8(state, "trace_state of a link"),
                (field::link::TRACE_ID | field::link::SPAN_ID, FieldValue::Bytes(_))
                | (field::link::DROPPED_ATTRIBUTES_COUNT, FieldValue::Varint(_))
                | (field::link::FLAGS, FieldValue::Fixed32(_)) => {}
                (1..=6, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        self.count(attributes, "attributes of a link", self.limits.attributes);
        Ok(())
    }

    /// Checks the run of attributes at the reader's position, as far as they have the common form, and counts them.
    #[inline]
    fn key_values(&mut self, reader: &mut Reader<'_>, number: u32) -> Result<usize, WireError> {
        let mut count = 0;
        while let Some(pair) = reader.delimited_with_tag(delimited_tag(number)) {
            count += 1;
            if !is_plain_key_value(pair) {
                self.key_value(reader.nested(pair.len()), self.value_depth)?;
            }
        }
        Ok(count)
    }

    /// `depth`: how many levels of arrays and lists the value may still have.
    pub(super) fn key_value(&mut self, mut reader: Reader<'_>, depth: usize) -> Result<(), WireError> {
        // Most attributes are ASCII from tag to last character: one look instead of one per string.
        let is_ascii = reader.rest().is_ascii();
        let mut has_value = false;
        while let Some(found) = reader.field()? {
            match (found.number, found.value) {
                (field::key_value::KEY, FieldValue::Bytes(key)) => self.utf8_unless(is_ascii, key, "attribute key"),
                (field::key_value::VALUE, FieldValue::Bytes(value)) => {
                    self.must_merge |= has_value;
                    has_value = true;
                    self.any_value(reader.nested(value.len()), depth, is_ascii)?;
                }
                (1..=2, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn any_value(&mut self, mut reader: Reader<'_>, depth: usize, is_ascii: bool) -> Result<(), WireError> {
        let mut has_list = false;
        while let Some(found) = reader.field()? {
            match (found.number, found.value) {
                (field::any_value::STRING, FieldValue::Bytes(text)) => {
                    self.utf8_unless(is_ascii, text, "attribute value")
                }
                (field::any_value::BOOL | field::any_value::INT, FieldValue::Varint(_))
                | (field::any_value::DOUBLE, FieldValue::Fixed64(_))
                | (field::any_value::BYTES, FieldValue::Bytes(_)) => {}
                (number @ (field::any_value::ARRAY | field::any_value::KEY_VALUE_LIST), FieldValue::Bytes(list)) => {
                    // A list that comes twice is one list.
                    self.must_merge |= has_list;
                    has_list = true;
                    if depth == 0 {
                        // Not read further: the span is left out, and depth is what must be bounded here.
                        self.reject(Reason::TooDeep { limit: self.value_depth });
                    } else {
                        self.list(reader.nested(list.len()), number, depth - 1)?;
                    }
                }
                (1..=7, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        Ok(())
    }

    fn list(&mut self, mut reader: Reader<'_>, kind: u32, depth: usize) -> Result<(), WireError> {
        while let Some(found) = reader.field()? {
            match (found.number, found.value) {
                (field::values::VALUES, FieldValue::Bytes(value)) => {
                    let nested = reader.nested(value.len());
                    if kind == field::any_value::ARRAY {
                        self.any_value(nested, depth, false)?;
                    } else {
                        self.key_value(nested, depth)?;
                    }
                }
                (field::values::VALUES, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        Ok(())
    }

    #[inline]
    fn utf8_unless(&mut self, is_ascii: bool, bytes: &[u8], what: &'static str) {
        if !is_ascii {
            self.utf8(bytes, what);
        }
    }

    fn own_id(&mut self, id: &[u8], expected: usize, what: &'static str) {
        if id.is_empty() {
            self.reject(Reason::Missing { what });
        } else if id.len() != expected {
            self.reject(Reason::Length { what, length: id.len(), expected });
        } else if id.iter().all(|&byte| byte == 0) {
            self.reject(Reason::AllZero { what });
        }
    }
}

/// Whether a `KeyValue` is a key and a scalar in the form that every SDK writes, with ASCII text: nothing to be found
/// fault with, at a glance. Others need a closer look, which the overwhelming majority is spared.
#[inline]
fn is_plain_key_value(pair: &[u8]) -> bool {
    const KEY: u8 = delimited_tag(field::key_value::KEY);
    const VALUE: u8 = delimited_tag(field::key_value::VALUE);
    const STRING: u8 = delimited_tag(field::any_value::STRING);
    const BOOL: u8 = (field::any_value::BOOL << 3) as u8;
    const INT: u8 = (field::any_value::INT << 3) as u8;
    const DOUBLE: u8 = (field::any_value::DOUBLE << 3 | 1) as u8;
    let Some((key, rest)) = split_delimited(pair, KEY) else { return false };
    let Some((value, [])) = split_delimited(rest, VALUE) else { return false };
    match value {
        [STRING, ..] => match split_delimited(value, STRING) {
            // One look at both texts and the few bytes between; lengths of 128 and more are no ASCII.
            Some((text, [])) => is_ascii(pair) || (is_ascii(key) && is_ascii(text)),
            _ => false,
        },
        [BOOL | INT, byte] => *byte < 0x80 && is_ascii(key),
        [INT, more @ .., last] => {
            more.len() < 9 && *last < 0x80 && more.iter().all(|byte| *byte >= 0x80) && is_ascii(key)
        }
        [DOUBLE, bits @ ..] => bits.len() == 8 && is_ascii(key),
        _ => false,
    }
}

/// Sixteen bytes at a time, which the compiler makes one instruction of: the standard library's goes by eight and looks
/// for an early end, which attributes do not have.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const STEP: usize = 16;
    let Some((_, tail)) = bytes.split_last_chunk::<STEP>() else {
        return bytes.iter().fold(0, |seen, byte| seen | byte) < 0x80;
    };
    // The last step may look at bytes again.
    let mut seen = *tail;
    for chunk in bytes.as_chunks::<STEP>().0 {
        for (seen, byte) in seen.iter_mut().zip(chunk) {
            *seen |= byte;
        }
    }
    seen.iter().fold(0, |seen, byte| seen | byte) < 0x80
}
