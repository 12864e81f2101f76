//! Writes a request anew: without the spans that validation rejected, and with sub-messages that came in parts merged.
//!
//! protobuf merges two occurrences of a single sub-message field as if their bytes were concatenated. The parts are
//! never copied together; a message is read from a list of ranges of the input, so that hostile nesting costs no memory.

use std::ops::Range;

use super::batch::ByteRange;
use super::protobuf::{FieldValue, Reader};
use super::schema::{Content, Message};
use super::write::put_message;

/// The request of type `message` in `bytes` without the fields in `removed` (in order, apart from each other). With
/// `merge`, every single sub-message is written once.
pub(super) fn rebuild(message: Message, bytes: &[u8], removed: &[ByteRange], merge: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    Rebuild { bytes, removed, merge }.message(&mut out, message, std::slice::from_ref(&(0..bytes.len())));
    out
}

/// What a field holds.
enum Child {
    /// A scalar, or unknown.
    None,
    Repeated(Message),
    Single(Message),
}

impl Child {
    fn of(message: Message, number: u32) -> Self {
        match message.field(number).map(|field| field.content) {
            Some(Content::Messages(child)) => Self::Repeated(child),
            Some(Content::Message(child)) => Self::Single(child),
            _ => Self::None,
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
                    forget_union(message, found.number, &mut single);
                    out.extend_from_slice(&self.bytes[whole]);
                    continue;
                };
                let inside = reader.position() - content.len()..reader.position();
                match Child::of(message, found.number) {
                    Child::Repeated(_) if self.is_removed(start) => {}
                    // Only what has units needs a second look if nothing is merged.
                    Child::Repeated(child) if self.merge || child.has_units() => {
                        put_message(out, found.number, |out| self.message(out, child, std::slice::from_ref(&inside)));
                    }
                    Child::Single(child) if self.merge => {
                        if !single.iter().any(|parts| parts.number == found.number) {
                            forget_union(message, found.number, &mut single);
                        }
                        match single.iter_mut().find(|parts| parts.number == found.number) {
                            Some(parts) => parts.ranges.push(inside),
                            None => single.push(Parts { number: found.number, message: child, ranges: vec![inside] }),
                        }
                    }
                    Child::Single(child) if child.has_units() => {
                        put_message(out, found.number, |out| self.message(out, child, std::slice::from_ref(&inside)));
                    }
                    Child::None | Child::Repeated(_) | Child::Single(_) => {
                        forget_union(message, found.number, &mut single);
                        out.extend_from_slice(&self.bytes[whole]);
                    }
                }
            }
        }
        for parts in single {
            put_message(out, parts.number, |out| self.message(out, parts.message, &parts.ranges));
        }
    }

    fn is_removed(&self, position: usize) -> bool {
        let after = self.removed.partition_point(|range| range.range().end <= position);
        self.removed.get(after).is_some_and(|range| range.range().contains(&position))
    }
}

/// Another member of a union ends what was collected of the former.
fn forget_union(message: Message, number: u32, single: &mut Vec<Parts>) {
    if message.is_in_union(number) {
        single.retain(|parts| !message.is_in_union(parts.number));
    }
}
