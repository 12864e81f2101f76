//! Writes a request anew: without the spans that validation rejected, and with sub-messages that came in parts merged.
//!
//! protobuf merges two occurrences of a single sub-message field as if their bytes were concatenated. The parts are
//! never copied together; a message is read from a list of ranges of the input, so that hostile nesting costs no memory.

use std::ops::Range;

use super::batch::ByteRange;
use super::field;
use super::protobuf::{FieldValue, Reader};
use super::write::put_message;

/// The request in `bytes` without the fields in `removed` (in order, apart from each other). With `merge`, every single
/// sub-message is written once.
pub(super) fn rebuild(bytes: &[u8], removed: &[ByteRange], merge: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    Rebuild { bytes, removed, merge }.message(&mut out, Message::Request, std::slice::from_ref(&(0..bytes.len())));
    out
}

/// The messages that have sub-messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Request,
    ResourceSpans,
    Resource,
    ScopeSpans,
    Scope,
    Span,
    Event,
    Link,
    Leaf,
    KeyValue,
    AnyValue,
    ArrayValue,
    KeyValueList,
}

/// What a field holds.
enum Child {
    /// A scalar, or unknown.
    None,
    Repeated(Message),
    Single(Message),
}

impl Message {
    fn child(self, number: u32) -> Child {
        match (self, number) {
            (Self::Request, field::request::RESOURCE_SPANS) => Child::Repeated(Self::ResourceSpans),
            (Self::ResourceSpans, field::resource_spans::RESOURCE) => Child::Single(Self::Resource),
            (Self::ResourceSpans, field::resource_spans::SCOPE_SPANS) => Child::Repeated(Self::ScopeSpans),
            (Self::ScopeSpans, field::scope_spans::SCOPE) => Child::Single(Self::Scope),
            (Self::ScopeSpans, field::scope_spans::SPANS) => Child::Repeated(Self::Span),
            (Self::Resource, field::resource::ATTRIBUTES)
            | (Self::Scope, field::scope::ATTRIBUTES)
            | (Self::Span, field::span::ATTRIBUTES)
            | (Self::Event, field::event::ATTRIBUTES)
            | (Self::Link, field::link::ATTRIBUTES)
            | (Self::KeyValueList, field::values::VALUES) => Child::Repeated(Self::KeyValue),
            (Self::Span, field::span::EVENTS) => Child::Repeated(Self::Event),
            (Self::Span, field::span::LINKS) => Child::Repeated(Self::Link),
            (Self::Span, field::span::STATUS) => Child::Single(Self::Leaf),
            (Self::KeyValue, field::key_value::VALUE) => Child::Single(Self::AnyValue),
            (Self::ArrayValue, field::values::VALUES) => Child::Repeated(Self::AnyValue),
            (Self::AnyValue, field::any_value::ARRAY) => Child::Single(Self::ArrayValue),
            (Self::AnyValue, field::any_value::KEY_VALUE_LIST) => Child::Single(Self::KeyValueList),
            _ => Child::None,
        }
    }
}

struct Rebuild<'a> {
    bytes: &'a [u8],
    removed: &'a [ByteRange],
    merge: bool,
}

/// The parts of one single sub-message.
struct Parts {
    number: u32,
    message: Message,
    ranges: Vec<Range<usize>>,
}

impl Rebuild<'_> {
    fn message(&self, out: &mut Vec<u8>, message: Message, ranges: &[Range<usize>]) {
        let mut single: Vec<Parts> = Vec::new();
        for range in ranges {
            let mut reader = Reader::within(self.bytes, range.clone());
            loop {
                let start = reader.position();
                let Ok(Some(found)) = reader.field() else { break };
                let whole = start..reader.position();
                let FieldValue::Bytes(content) = found.value else {
                    if message == Message::AnyValue && found.number <= field::any_value::BYTES {
                        single.clear();
                    }
                    out.extend_from_slice(&self.bytes[whole]);
                    continue;
                };
                let inside = reader.position() - content.len()..reader.position();
                match message.child(found.number) {
                    Child::Repeated(_) if self.is_removed(start) => {}
                    Child::Repeated(child) if self.merge || !self.is_copied_whole(child) => {
                        put_message(out, found.number, |out| self.message(out, child, std::slice::from_ref(&inside)));
                    }
                    Child::Single(child) if self.merge => {
                        if message == Message::AnyValue {
                            // A union: another member ends what was collected of the former.
                            single.retain(|parts| parts.number == found.number);
                        }
                        match single.iter_mut().find(|parts| parts.number == found.number) {
                            Some(parts) => parts.ranges.push(inside),
                            None => single.push(Parts { number: found.number, message: child, ranges: vec![inside] }),
                        }
                    }
                    Child::None | Child::Repeated(_) | Child::Single(_) => {
                        if message == Message::AnyValue && found.number <= field::any_value::BYTES {
                            single.clear();
                        }
                        out.extend_from_slice(&self.bytes[whole]);
                    }
                }
            }
        }
        for parts in single {
            put_message(out, parts.number, |out| self.message(out, parts.message, &parts.ranges));
        }
    }

    /// Only wrappers of spans need a second look if nothing is merged.
    fn is_copied_whole(&self, child: Message) -> bool {
        !matches!(child, Message::ResourceSpans | Message::ScopeSpans)
    }

    fn is_removed(&self, position: usize) -> bool {
        let after = self.removed.partition_point(|range| range.range().end <= position);
        self.removed.get(after).is_some_and(|range| range.range().contains(&position))
    }
}
