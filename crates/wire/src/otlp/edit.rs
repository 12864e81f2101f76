//! Editing a request in one pass: a lazy overlay over each resource and span, one write at the end. What is not touched
//! is copied as the bytes that it is; if nothing is touched, nothing is written.

use std::ops::Range;

use super::field;
use super::payload::{Payload, Signal};
use super::protobuf::{Field, FieldValue, Reader};
use super::view::{AnyValue, KeyValue, ResourceSpans, Scope, ScopeSpans, Span, find_attribute};
use super::write::put_value_body;
use super::write::{Value, begin_message, end_message, put_bytes, put_message, put_message_of_length, put_string};

/// Metrics and log records in their scope.
const ITEMS: u32 = 2;
/// `LogRecord.attributes`
const LOG_RECORD_ATTRIBUTES: u32 = 6;
/// `data_points` in each kind of data.
const DATA_POINTS: u32 = 1;
/// The kinds of a metric's data, each with the number of its points' `attributes`: gauge, sum, histogram, exponential
/// histogram, summary.
const DATA_POINT_ATTRIBUTES: &[(u32, u32)] = &[(5, 7), (7, 7), (9, 9), (10, 1), (11, 7)];

/// What is to become of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays, edited or not.
    Keep,
    /// Somebody wrote that such spans go.
    Filtered,
    /// Its trace is not sampled.
    SampledOut,
}

/// Edits the parts of a request.
pub trait Edit<'a> {
    /// Edits a resource, once, before its spans.
    fn resource(&mut self, resource: &mut AttributeEdits<'a>);

    /// Edits a span, or decides that it goes. `resource` is the edited one.
    fn span(&mut self, resource: &AttributeEdits<'a>, scope: &Scope<'a>, span: &mut SpanEdits<'a>) -> Fate;

    /// Whether [`Self::item`] does anything: what it need not see is copied as it is.
    fn edits_items(&self) -> bool;

    /// Edits the attributes of a data point or a log record. `resource` is the edited one.
    fn item(&mut self, resource: &AttributeEdits<'a>, scope: &Scope<'a>, attributes: &mut AttributeEdits<'a>);
}

/// What an edit did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// The new request; `None` if it is the old one.
    pub request: Option<Vec<u8>>,
    /// Spans removed as [`Fate::Filtered`].
    pub filtered: u64,
    /// Spans removed as [`Fate::SampledOut`].
    pub sampled_out: u64,
}

/// Edits all of a request; `buffer` is what a new request is written into.
pub fn edit<'a>(payload: &'a Payload, buffer: Vec<u8>, edit: &mut impl Edit<'a>) -> Edited {
    let mut walk = Walk {
        edit,
        signal: payload.signal(),
        out: buffer,
        is_changed: false,
        edited: Edited::default(),
        resource: AttributeEdits::default(),
        span: SpanEdits::default(),
    };
    // The wrappers around resources and scopes have the same numbers for every signal.
    for (field, whole) in RawFields::new(payload.bytes()) {
        match (field.number, field.value) {
            (field::request::RESOURCE_SPANS, FieldValue::Bytes(message)) => walk.resource_spans(message),
            _ => walk.out.extend_from_slice(whole),
        }
    }
    let Walk { out, is_changed, edited, .. } = walk;
    Edited { request: is_changed.then_some(out), ..edited }
}

struct Walk<'a, 'e, E> {
    edit: &'e mut E,
    signal: Signal,
    out: Vec<u8>,
    is_changed: bool,
    edited: Edited,
    resource: AttributeEdits<'a>,
    span: SpanEdits<'a>,
}

impl<'a, E: Edit<'a>> Walk<'a, '_, E> {
    fn resource_spans(&mut self, message: &'a [u8]) {
        let start = self.out.len();
        self.resource.begin(ResourceSpans::decode(message).resource.bytes, field::resource::ATTRIBUTES);
        self.edit.resource(&mut self.resource);
        // Only a resource that is not there at all has no field of its own to be rewritten.
        let mut is_resource_due = self.resource.is_changed();
        self.is_changed |= is_resource_due;
        let open = begin_message(&mut self.out, field::request::RESOURCE_SPANS, 3);
        let mut kept = 0;
        for (field, whole) in RawFields::new(message) {
            match (field.number, field.value) {
                (field::resource_spans::RESOURCE, FieldValue::Bytes(_)) if is_resource_due => {
                    is_resource_due = false;
                    self.resource_field();
                }
                (field::resource_spans::SCOPE_SPANS, FieldValue::Bytes(message)) if self.signal == Signal::Traces => {
                    kept += self.scope_spans(message);
                }
                (field::resource_spans::SCOPE_SPANS, FieldValue::Bytes(message)) if self.edit.edits_items() => {
                    self.scope_items(message);
                }
                _ => self.out.extend_from_slice(whole),
            }
        }
        if is_resource_due {
            self.resource_field();
        }
        end_message(&mut self.out, open);
        if kept == 0 && self.signal == Signal::Traces {
            self.out.truncate(start);
        }
    }

    fn resource_field(&mut self) {
        let resource = &mut self.resource;
        put_message_of_length(&mut self.out, field::resource_spans::RESOURCE, 2, |out| resource.write(out));
    }

    /// How many spans stay.
    fn scope_spans(&mut self, message: &'a [u8]) -> usize {
        let start = self.out.len();
        let scope = ScopeSpans::decode(message).scope;
        let open = begin_message(&mut self.out, field::resource_spans::SCOPE_SPANS, 3);
        let mut kept = 0;
        for (field, whole) in RawFields::new(message) {
            match (field.number, field.value) {
                (field::scope_spans::SPANS, FieldValue::Bytes(message)) => {
                    kept += usize::from(self.span(&scope, message, whole));
                }
                _ => self.out.extend_from_slice(whole),
            }
        }
        end_message(&mut self.out, open);
        if kept == 0 {
            self.out.truncate(start);
        }
        kept
    }

    /// A scope of metrics or logs: nothing is removed.
    fn scope_items(&mut self, message: &'a [u8]) {
        let scope = ScopeSpans::decode(message).scope;
        let open = begin_message(&mut self.out, field::resource_spans::SCOPE_SPANS, 3);
        for (field, whole) in RawFields::new(message) {
            match (field.number, field.value, self.signal) {
                (ITEMS, FieldValue::Bytes(metric), Signal::Metrics) => self.metric(&scope, metric),
                (ITEMS, FieldValue::Bytes(record), Signal::Logs) => {
                    self.item(&scope, record, whole, ITEMS, LOG_RECORD_ATTRIBUTES);
                }
                _ => self.out.extend_from_slice(whole),
            }
        }
        end_message(&mut self.out, open);
    }

    fn metric(&mut self, scope: &Scope<'a>, metric: &'a [u8]) {
        let open_metric = begin_message(&mut self.out, ITEMS, 2);
        for (field, whole) in RawFields::new(metric) {
            let attributes = DATA_POINT_ATTRIBUTES.iter().find(|(number, _)| *number == field.number);
            let (Some((number, attributes)), FieldValue::Bytes(data)) = (attributes, field.value) else {
                self.out.extend_from_slice(whole);
                continue;
            };
            let open_data = begin_message(&mut self.out, *number, 2);
            for (field, whole) in RawFields::new(data) {
                match (field.number, field.value) {
                    (DATA_POINTS, FieldValue::Bytes(point)) => {
                        self.item(scope, point, whole, DATA_POINTS, *attributes);
                    }
                    _ => self.out.extend_from_slice(whole),
                }
            }
            end_message(&mut self.out, open_data);
        }
        end_message(&mut self.out, open_metric);
    }

    /// A data point or log record under `number`, whose attributes are under `attributes`.
    fn item(&mut self, scope: &Scope<'a>, message: &'a [u8], whole: &[u8], number: u32, attributes: u32) {
        let edits = &mut self.span.attributes;
        edits.begin(message, attributes);
        self.edit.item(&self.resource, scope, edits);
        if !edits.is_changed() {
            self.out.extend_from_slice(whole);
            return;
        }
        self.is_changed = true;
        put_message_of_length(&mut self.out, number, 2, |out| edits.write(out));
    }

    /// Whether the span stays.
    fn span(&mut self, scope: &Scope<'a>, message: &'a [u8], whole: &[u8]) -> bool {
        self.span.begin(Span::decode(message));
        match self.edit.span(&self.resource, scope, &mut self.span) {
            Fate::Keep if self.span.is_changed() => {
                self.is_changed = true;
                let span = &mut self.span;
                put_message_of_length(&mut self.out, field::scope_spans::SPANS, 2, |out| span.write(out));
                return true;
            }
            Fate::Keep => {
                self.out.extend_from_slice(whole);
                return true;
            }
            Fate::Filtered => self.edited.filtered += 1,
            Fate::SampledOut => self.edited.sampled_out += 1,
        }
        self.is_changed = true;
        false
    }
}

/// The fields of a checked message, each with all of its bytes.
struct RawFields<'a> {
    message: &'a [u8],
    reader: Reader<'a>,
}

impl<'a> RawFields<'a> {
    fn new(message: &'a [u8]) -> Self {
        Self { message, reader: Reader::new(message) }
    }
}

impl<'a> Iterator for RawFields<'a> {
    type Item = (Field<'a>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.reader.position();
        let field = self.reader.field().ok()??;
        Some((field, self.message.get(start..self.reader.position())?))
    }
}

/// A span and what was changed of it.
#[derive(Debug, Default)]
pub struct SpanEdits<'a> {
    /// The span as it was.
    pub span: Span<'a>,
    /// Its attributes as they are now.
    pub attributes: AttributeEdits<'a>,
    trace_state: Option<String>,
}

impl<'a> SpanEdits<'a> {
    fn begin(&mut self, span: Span<'a>) {
        self.attributes.begin(span.bytes, field::span::ATTRIBUTES);
        self.span = span;
        self.trace_state = None;
    }

    /// `trace_state` as it is now.
    #[must_use]
    pub fn trace_state(&self) -> &str {
        self.trace_state.as_deref().unwrap_or(self.span.trace_state)
    }

    /// Replaces `trace_state`.
    pub fn set_trace_state(&mut self, trace_state: String) {
        self.trace_state = (trace_state != self.span.trace_state).then_some(trace_state);
    }

    fn is_changed(&self) -> bool {
        self.attributes.is_changed() || self.trace_state.is_some()
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        let bytes = self.span.bytes;
        let mut reader = Reader::new(bytes);
        // What is not touched is copied in long runs.
        let mut untouched = 0;
        loop {
            let start = reader.position();
            let Ok(Some(field)) = reader.field() else { break };
            let change = match (field.number, field.value) {
                (field::span::ATTRIBUTES, FieldValue::Bytes(pair)) => match self.attributes.change_of(pair) {
                    Some(change) => Some(change),
                    None => continue,
                },
                (field::span::TRACE_STATE, _) if self.trace_state.is_some() => None,
                _ => continue,
            };
            out.extend_from_slice(&bytes[untouched..start]);
            untouched = reader.position();
            if let Some(change) = change {
                self.attributes.write_change(out, change);
            }
        }
        out.extend_from_slice(&bytes[untouched..]);
        if let Some(trace_state) = &self.trace_state
            && !trace_state.is_empty()
        {
            put_string(out, field::span::TRACE_STATE, trace_state);
        }
        self.attributes.write_new(out);
    }
}

/// Attributes and what was changed of them. A key that is given twice, which OTLP forbids, counts as its first one;
/// changing it removes the others.
#[derive(Debug, Default)]
pub struct AttributeEdits<'a> {
    message: &'a [u8],
    number: u32,
    changes: Vec<Change<'a>>,
    /// Changed values, encoded.
    values: Vec<u8>,
}

#[derive(Debug)]
struct Change<'a> {
    key: &'a str,
    /// In `values`; `None`: removed.
    value: Option<Range<usize>>,
    is_written: bool,
}

impl<'a> AttributeEdits<'a> {
    fn begin(&mut self, message: &'a [u8], number: u32) {
        self.message = message;
        self.number = number;
        self.changes.clear();
        self.values.clear();
    }

    /// The value of `key` as it is now.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<AnyValue<'_>> {
        match self.changes.iter().find(|change| change.key == key) {
            Some(change) => change.value.clone().map(|range| AnyValue::decode(&self.values[range])),
            None => find_attribute(self.message, self.number, key),
        }
    }

    /// Sets `key`, whether it is there or not.
    pub fn set(&mut self, key: &'a str, value: Value<'_>) {
        let start = self.values.len();
        put_value_body(&mut self.values, value);
        self.change(key, Some(start..self.values.len()));
    }

    /// Sets `key` to the value of `from`; whether that is there.
    pub fn copy(&mut self, key: &'a str, from: &str) -> bool {
        let mut copied = Vec::new();
        let Some(value) = self.get(from) else { return false };
        put_value_body(&mut copied, Value::Any(value));
        let start = self.values.len();
        self.values.extend_from_slice(&copied);
        self.change(key, Some(start..self.values.len()));
        true
    }

    /// Removes `key` if it is there.
    pub fn remove(&mut self, key: &'a str) {
        if self.get(key).is_some() {
            self.change(key, None);
        }
    }

    /// The keys as they are now.
    #[must_use]
    pub fn keys(&self) -> Vec<&'a str> {
        let is_changed = |key: &str| self.changes.iter().any(|change| change.key == key);
        let original = RawFields::new(self.message).filter_map(|(field, _)| match field.value {
            FieldValue::Bytes(pair) if field.number == self.number => Some(KeyValue::decode(pair).key),
            _ => None,
        });
        let changed = self.changes.iter().filter(|change| change.value.is_some()).map(|change| change.key);
        original.filter(|key| !is_changed(key)).chain(changed).collect()
    }

    fn change(&mut self, key: &'a str, value: Option<Range<usize>>) {
        match self.changes.iter_mut().find(|change| change.key == key) {
            Some(change) => change.value = value,
            None => self.changes.push(Change { key, value, is_written: false }),
        }
    }

    fn is_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Writes the whole message.
    fn write(&mut self, out: &mut Vec<u8>) {
        for (field, whole) in RawFields::new(self.message) {
            match field.value {
                FieldValue::Bytes(pair) if field.number == self.number => self.write_field(out, pair, whole),
                _ => out.extend_from_slice(whole),
            }
        }
        self.write_new(out);
    }

    /// Writes what became of one attribute of the original.
    fn write_field(&mut self, out: &mut Vec<u8>, pair: &[u8], whole: &[u8]) {
        match self.change_of(pair) {
            None => out.extend_from_slice(whole),
            Some(change) => self.write_change(out, change),
        }
    }

    /// Which change the attribute in `pair` has.
    #[inline]
    fn change_of(&self, pair: &[u8]) -> Option<usize> {
        if self.changes.is_empty() {
            return None;
        }
        let key = KeyValue::key_of(pair);
        self.changes.iter().position(|change| change.key.as_bytes() == key)
    }

    fn write_change(&mut self, out: &mut Vec<u8>, change: usize) {
        self.changes[change].write(out, self.number, &self.values);
    }

    /// Writes what was not in the original.
    fn write_new(&mut self, out: &mut Vec<u8>) {
        for change in &mut self.changes {
            change.write(out, self.number, &self.values);
        }
    }
}

impl Change<'_> {
    /// Writes the attribute unless it is removed or was written.
    fn write(&mut self, out: &mut Vec<u8>, number: u32, values: &[u8]) {
        if let Some(range) = self.value.clone()
            && !self.is_written
        {
            self.is_written = true;
            put_message(out, number, |out| {
                put_string(out, field::key_value::KEY, self.key);
                put_bytes(out, field::key_value::VALUE, &values[range]);
            });
        }
    }
}

#[cfg(test)]
mod tests;
