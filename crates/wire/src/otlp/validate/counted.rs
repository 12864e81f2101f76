//! Metrics and logs: one walk along the schema checks and counts.
//!
//! What is wrong with the encoding condemns the request; what is wrong with the content condemns the data point, log
//! record, metric, scope or resource that it is in, as for spans.

use bytes::Bytes;

use super::{InvalidRequest, Limits, Pass, Reason, Rejected, check_length, validate};
use crate::otlp::batch::ByteRange;
use crate::otlp::payload::{Counted, Payload, Signal};
use crate::otlp::protobuf::{Fault, FieldValue, Reader, WireError};
use crate::otlp::rebuild::rebuild;
use crate::otlp::schema::{Content, FieldSchema, Message};

/// [`validate`] for any signal.
///
/// # Errors
/// [`InvalidRequest`] if the bytes are not the message at all; a bad item inside a good request is only rejected.
pub fn validate_payload(
    signal: Signal,
    mut bytes: Bytes,
    limits: &Limits,
) -> Result<(Payload, Rejected), InvalidRequest> {
    let (request, payload): (Message, fn(Counted) -> Payload) = match signal {
        Signal::Traces => {
            return validate(bytes, limits).map(|validated| (Payload::Traces(validated.batch), validated.rejected));
        }
        Signal::Metrics => (Message::MetricsRequest, Payload::Metrics),
        Signal::Logs => (Message::LogsRequest, Payload::Logs),
    };
    check_length(bytes.len())?;
    let mut rejected = Rejected::default();
    // Ends, as `validate` does.
    loop {
        let mut walk = Walk { pass: Pass::new(limits), items: 0 };
        walk.message(request, Reader::new(&bytes))?;
        let Walk { pass, items } = walk;
        rejected.absorb(&pass.rejected);
        if pass.removed.is_empty() && !pass.must_merge {
            return Ok((payload(Counted::new(bytes, items)), rejected));
        }
        bytes = rebuild(request, &bytes, &pass.removed, pass.must_merge).into();
    }
}

/// State of one walk over a request. What is below attributes is checked as it is for spans.
struct Walk<'l> {
    pass: Pass<'l>,
    /// Items that are taken.
    items: usize,
}

impl Walk<'_> {
    fn message(&mut self, message: Message, mut reader: Reader<'_>) -> Result<(), WireError> {
        match message {
            Message::KeyValue => return self.pass.key_value(reader, self.pass.value_depth),
            Message::AnyValue => return self.pass.any_value(reader, self.pass.value_depth, false),
            Message::Resource => return self.pass.resource(reader),
            Message::Scope => return self.pass.scope(reader),
            _ => {}
        }
        let (mut attributes, mut exemplars) = (0, 0);
        // Numbers of single sub-messages that were there (the schema has none above 63), and whether a union's was.
        let (mut seen, mut has_union): (u64, bool) = (0, false);
        loop {
            let start = reader.position();
            let Some(found) = reader.field()? else { break };
            let Some(field) = message.field(found.number) else { continue };
            match (field.content, found.value) {
                (Content::Messages(inner), FieldValue::Bytes(content)) if inner.is_unit() => {
                    let whole = ByteRange::ending_at(reader.position(), reader.position() - start);
                    self.unit(inner, reader.nested(content.len()), whole)?;
                }
                (Content::Messages(inner), FieldValue::Bytes(content)) => {
                    attributes += usize::from(inner == Message::KeyValue);
                    exemplars += usize::from(inner == Message::Exemplar);
                    self.message(inner, reader.nested(content.len()))?;
                }
                (Content::Message(inner), FieldValue::Bytes(content)) => {
                    let is_in_union = message.is_in_union(found.number);
                    self.pass.must_merge |= seen >> found.number & 1 == 1 || (is_in_union && has_union);
                    seen |= 1 << found.number;
                    has_union |= is_in_union;
                    self.message(inner, reader.nested(content.len()))?;
                }
                (_, value) => self.scalar(field, value, &reader)?,
            }
        }
        self.pass.count(attributes, "attributes", self.pass.limits.attributes);
        self.pass.count(exemplars, "exemplars", self.pass.limits.events_and_links);
        Ok(())
    }

    /// Checks something that is left out as a whole if it cannot be taken.
    fn unit(&mut self, message: Message, reader: Reader<'_>, whole: ByteRange) -> Result<(), WireError> {
        let (items, rejected) = (self.items, self.pass.rejected.items);
        // What is wrong with what is around it is not its fault.
        let outer = self.pass.fault.take();
        self.message(message, reader)?;
        if message.item().is_some() {
            if self.items >= self.pass.limits.spans {
                self.pass.reject(Reason::TooMany { what: "items in one request", limit: self.pass.limits.spans });
            }
            self.items += 1;
        }
        if let Some(reason) = std::mem::replace(&mut self.pass.fault, outer) {
            self.remove(message, reason, (items, rejected), whole);
        }
        Ok(())
    }

    /// Leaves out a unit and rejects its items that were taken.
    #[cold]
    fn remove(&mut self, message: Message, reason: Reason, before: (usize, u64), whole: ByteRange) {
        let (items_before, rejected_before) = before;
        let taken = self.items - items_before;
        match message.item() {
            Some(item) => {
                let number = items_before as u64 + rejected_before;
                self.pass.rejected.add(taken as u64, format_args!("{item} {number}: {reason}"));
            }
            None => self.pass.rejected.add(taken as u64, format_args!("{message:?}: {reason}")),
        }
        self.items = items_before;
        let inside = self.pass.removed.partition_point(|earlier| earlier.start < whole.start);
        self.pass.removed.truncate(inside);
        self.pass.remove_field(whole);
    }

    fn scalar(&mut self, field: &FieldSchema, value: FieldValue<'_>, reader: &Reader<'_>) -> Result<(), WireError> {
        match (field.content, value) {
            (Content::Text | Content::Texts, FieldValue::Bytes(text)) => self.pass.utf8(text, field.snake),
            (Content::Id(expected), FieldValue::Bytes(id)) => {
                if !id.is_empty() && id.len() != expected {
                    self.pass.reject(Reason::Length { what: field.snake, length: id.len(), expected });
                }
            }
            (Content::Hex | Content::Base64, FieldValue::Bytes(_))
            | (
                Content::Bool
                | Content::Int64
                | Content::Sint32
                | Content::Uint32
                | Content::Enumeration(_)
                | Content::Uint64s,
                FieldValue::Varint(_),
            )
            | (
                Content::Double | Content::Fixed64 | Content::Sfixed64 | Content::Doubles | Content::Fixed64s,
                FieldValue::Fixed64(_),
            )
            | (Content::Fixed32, FieldValue::Fixed32(_)) => {}
            // Packed.
            (Content::Doubles | Content::Fixed64s, FieldValue::Bytes(numbers)) if numbers.len().is_multiple_of(8) => {}
            (Content::Uint64s, FieldValue::Bytes(numbers)) => {
                let mut inside = reader.nested(numbers.len());
                while inside.packed_varint()?.is_some() {}
            }
            _ => return Err(reader.error(Fault::WrongType)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
