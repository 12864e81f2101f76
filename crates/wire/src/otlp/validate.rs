//! From foreign bytes to a [`TraceBatch`].
//!
//! One pass over the bytes checks everything and builds the index. What is wrong with the encoding condemns the
//! request; what is wrong with the content condemns a span, or the spans of a bad scope or resource. Only if something
//! was condemned, or a sub-message that should be single comes twice, the bytes are written anew (`rebuild`).

use std::fmt;

use bytes::Bytes;

use super::batch::{ByteRange, Index, TraceBatch, check_length};
use super::field;
use super::protobuf::{Fault, FieldValue, Reader, WireError};
use super::rebuild::rebuild;
use super::schema::Message;

/// Caps that a request must keep. Every one has a default with its reason and can be configured.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Deepest nesting of `AnyValue` (array or key-value list in each other). Default 64: what JSON libraries of
    /// downstream systems still read. At most [`MAX_VALUE_DEPTH`].
    pub value_depth: usize,
    /// Most attributes of one span, event, link, scope, resource, data point or log record that are accepted. Default
    /// 4096: SDKs stop at 128.
    pub attributes: usize,
    /// Most events, and most links, of one span; most exemplars of one data point. Default 65,536: SDKs stop at 128, streaming RPCs have thousands.
    pub events_and_links: usize,
    /// Most spans, data points or log records in one request. Default 1,000,000: a 64 MiB request of real spans has 100,000.
    pub spans: usize,
}

/// Bound of [`Limits::value_depth`]: values are read by recursion, and stacks are finite.
pub const MAX_VALUE_DEPTH: usize = 256;

impl Default for Limits {
    fn default() -> Self {
        Self { value_depth: 64, attributes: 4096, events_and_links: 65_536, spans: 1_000_000 }
    }
}

/// What validation gives: the spans that are fit to be kept, and what was left out.
#[derive(Debug)]
pub struct Validated {
    /// The request without the rejected spans; its bytes are the input's own if nothing was rejected.
    pub batch: TraceBatch,
    /// Spans left out, with the reason of the first (OTLP `ExportTracePartialSuccess`).
    pub rejected: Rejected,
}

/// Count and first reason of rejected items: spans, data points or log records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// How many.
    pub items: u64,
    /// Why the first was; empty if none was.
    pub first_reason: String,
}

impl Rejected {
    /// Counts `items` more, rejected because of `reason`.
    pub fn add(&mut self, items: u64, reason: impl fmt::Display) {
        if self.items == 0 && items > 0 {
            self.first_reason = reason.to_string();
        }
        self.items += items;
    }

    /// Adds what another stage rejected.
    pub fn absorb(&mut self, later: &Self) {
        self.add(later.items, &later.first_reason);
    }
}

/// The request as a whole is not OTLP protobuf (answered with 400 / `INVALID_ARGUMENT`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid OTLP request: {reason} at byte {offset}")]
pub struct InvalidRequest {
    /// What is wrong, in the words of the protobuf encoding.
    pub reason: &'static str,
    /// Offset in the request's bytes.
    pub offset: usize,
}

impl From<WireError> for InvalidRequest {
    fn from(error: WireError) -> Self {
        Self { reason: error.fault.reason(), offset: error.offset as usize }
    }
}

/// Checks wire format, UTF-8, id lengths, nesting and counts.
///
/// # Errors
/// [`InvalidRequest`] if the bytes are not the message at all; a bad span inside a good request is only rejected.
pub fn validate(mut bytes: Bytes, limits: &Limits) -> Result<Validated, InvalidRequest> {
    check_length(bytes.len())?;
    let mut rejected = Rejected::default();
    // Ends: a rebuilt request has no second sub-messages, and merging may push only single spans over a limit.
    loop {
        let mut pass = Pass::new(limits);
        pass.request(Reader::new(&bytes))?;
        let Pass { index, removed, must_merge, rejected: in_this_pass, .. } = pass;
        rejected.absorb(&in_this_pass);
        if removed.is_empty() && !must_merge {
            return Ok(Validated { batch: TraceBatch::new(bytes, index), rejected });
        }
        bytes = rebuild(Message::Request, &bytes, &removed, must_merge).into();
    }
}

/// Asserts that a request of our own making would pass [`validate`] as it is.
#[cfg(debug_assertions)]
pub(super) fn debug_check(bytes: &Bytes) {
    let limits = Limits {
        attributes: usize::MAX,
        events_and_links: usize::MAX,
        spans: usize::MAX,
        value_depth: MAX_VALUE_DEPTH,
    };
    let mut pass = Pass::new(&limits);
    let outcome = pass.request(Reader::new(bytes));
    assert!(outcome.is_ok(), "trusted bytes are no request: {outcome:?}");
    assert!(pass.rejected.items == 0, "trusted bytes hold a bad span: {}", pass.rejected.first_reason);
    assert!(!pass.must_merge, "trusted bytes hold a single sub-message twice");
}

/// Why a span, a scope or a resource is not taken.
#[derive(Clone, Copy, Debug)]
enum Reason {
    Missing { what: &'static str },
    Length { what: &'static str, length: usize, expected: usize },
    AllZero { what: &'static str },
    NotUtf8 { what: &'static str },
    TooMany { what: &'static str, limit: usize },
    TooDeep { limit: usize },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what } => write!(f, "{what} is missing"),
            Self::Length { what, length, expected } => write!(f, "{what} has {length} bytes instead of {expected}"),
            Self::AllZero { what } => write!(f, "{what} is all zeroes"),
            Self::NotUtf8 { what } => write!(f, "{what} is not valid UTF-8"),
            Self::TooMany { what, limit } => write!(f, "more than {limit} {what}"),
            Self::TooDeep { limit } => write!(f, "attribute value is nested more than {limit} levels deep"),
        }
    }
}

/// State of one pass over a request.
struct Pass<'l> {
    limits: &'l Limits,
    value_depth: usize,
    index: Index,
    /// Fields to leave out, in order and apart from each other.
    removed: Vec<ByteRange>,
    rejected: Rejected,
    /// A sub-message that should be single was seen twice.
    must_merge: bool,
    /// Spans seen, for messages.
    seen_spans: u64,
    /// Why the message being read is not taken: the first reason.
    fault: Option<Reason>,
}

impl<'l> Pass<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            value_depth: limits.value_depth.min(MAX_VALUE_DEPTH),
            index: Index::default(),
            removed: Vec::new(),
            rejected: Rejected::default(),
            must_merge: false,
            seen_spans: 0,
            fault: None,
        }
    }

    fn request(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        let mut resource_number: u64 = 0;
        loop {
            let start = reader.position();
            let Some(found) = reader.field()? else { return Ok(()) };
            match (found.number, found.value) {
                (field::request::RESOURCE_SPANS, FieldValue::Bytes(message)) => {
                    let first_span = self.index.span_count();
                    if let Some(reason) = self.resource_spans(reader.nested(message.len()))? {
                        let what = format_args!("resource {resource_number}: {reason}");
                        self.remove(
                            ByteRange::ending_at(reader.position(), reader.position() - start),
                            first_span,
                            what,
                        );
                    }
                    resource_number += 1;
                }
                (field::request::RESOURCE_SPANS, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
    }

    /// Returns why the resource, and with it all its spans, is not taken.
    fn resource_spans(&mut self, mut reader: Reader<'_>) -> Result<Option<Reason>, WireError> {
        let first_span = self.index.span_count();
        let (mut resource, mut schema_url) = (None, ByteRange::default());
        let mut reason = None;
        loop {
            let start = reader.position();
            let Some(found) = reader.field()? else { break };
            match (found.number, found.value) {
                (field::resource_spans::SCOPE_SPANS, FieldValue::Bytes(message)) => {
                    let first_span = self.index.span_count();
                    if let Some(reason) = self.scope_spans(reader.nested(message.len()))? {
                        let what = format_args!("scope: {reason}");
                        self.remove(
                            ByteRange::ending_at(reader.position(), reader.position() - start),
                            first_span,
                            what,
                        );
                    }
                }
                (field::resource_spans::RESOURCE, FieldValue::Bytes(message)) => {
                    self.must_merge |= resource.is_some();
                    resource = Some(ByteRange::ending_at(reader.position(), message.len()));
                    self.fault = None;
                    self.resource(reader.nested(message.len()))?;
                    reason = reason.or(self.fault);
                }
                (field::resource_spans::SCHEMA_URL, FieldValue::Bytes(url)) => {
                    schema_url = ByteRange::ending_at(reader.position(), url.len());
                    self.fault = None;
                    self.utf8(url, "schema_url");
                    reason = reason.or(self.fault);
                }
                (1..=3, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        if reason.is_none() {
            self.index.end_resource(first_span, resource.unwrap_or_default(), schema_url);
        }
        Ok(reason)
    }

    /// Returns why the scope, and with it all its spans, is not taken.
    fn scope_spans(&mut self, mut reader: Reader<'_>) -> Result<Option<Reason>, WireError> {
        let first_span = self.index.span_count();
        let (mut scope, mut schema_url) = (None, ByteRange::default());
        let mut reason = None;
        loop {
            let start = reader.position();
            let Some(found) = reader.field()? else { break };
            match (found.number, found.value) {
                (field::scope_spans::SPANS, FieldValue::Bytes(message)) => {
                    let whole = ByteRange::ending_at(reader.position(), reader.position() - start);
                    self.take_span(reader.nested(message.len()), whole)?;
                }
                (field::scope_spans::SCOPE, FieldValue::Bytes(message)) => {
                    self.must_merge |= scope.is_some();
                    scope = Some(ByteRange::ending_at(reader.position(), message.len()));
                    self.fault = None;
                    self.scope(reader.nested(message.len()))?;
                    reason = reason.or(self.fault);
                }
                (field::scope_spans::SCHEMA_URL, FieldValue::Bytes(url)) => {
                    schema_url = ByteRange::ending_at(reader.position(), url.len());
                    self.fault = None;
                    self.utf8(url, "schema_url");
                    reason = reason.or(self.fault);
                }
                (1..=3, _) => return Err(reader.error(Fault::WrongType)),
                _ => {}
            }
        }
        if reason.is_none() {
            self.index.end_scope(first_span, scope.unwrap_or_default(), schema_url);
        }
        Ok(reason)
    }

    /// Checks one span and adds it to the index, or to what is removed.
    fn take_span(&mut self, reader: Reader<'_>, whole: ByteRange) -> Result<(), WireError> {
        let number = self.seen_spans;
        self.seen_spans += 1;
        let message = ByteRange::ending_at(whole.end as usize, reader.rest().len());
        self.fault = None;
        self.span(reader)?;
        if self.index.span_count() >= self.limits.spans {
            self.reject(Reason::TooMany { what: "spans in one request", limit: self.limits.spans });
        }
        match self.fault {
            None => self.index.push_span(message),
            Some(reason) => {
                self.rejected.add(1, format_args!("span {number}: {reason}"));
                self.remove_field(whole);
            }
        }
        Ok(())
    }

    /// Leaves out a whole scope or resource and rejects its spans that were taken, those since `first_span`.
    #[cold]
    fn remove(&mut self, whole: ByteRange, first_span: usize, reason: fmt::Arguments<'_>) {
        let taken = self.index.span_count() - first_span;
        self.rejected.add(taken as u64, reason);
        self.index.truncate(first_span);
        let inside = self.removed.partition_point(|earlier| earlier.start < whole.start);
        self.removed.truncate(inside);
        self.remove_field(whole);
    }

    fn remove_field(&mut self, whole: ByteRange) {
        match self.removed.last_mut() {
            // One entry for a run of bad spans: millions of empty ones must not cost memory.
            Some(last) if last.end == whole.start => last.end = whole.end,
            _ => self.removed.push(whole),
        }
    }

    fn reject(&mut self, reason: Reason) {
        self.fault.get_or_insert(reason);
    }

    #[inline]
    fn utf8(&mut self, bytes: &[u8], what: &'static str) {
        if simdutf8::basic::from_utf8(bytes).is_err() {
            self.reject(Reason::NotUtf8 { what });
        }
    }

    fn count(&mut self, count: usize, what: &'static str, limit: usize) {
        if count > limit {
            self.reject(Reason::TooMany { what, limit });
        }
    }
}

/// The messages below scopes and resources.
mod content;
/// Metrics and logs.
mod counted;

pub use counted::validate_payload;

#[cfg(test)]
mod tests;
