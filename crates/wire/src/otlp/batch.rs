//! A validated request and the index of its spans.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::field;
use super::protobuf::{Fault, FieldValue, Reader, WireError};
use super::validate::InvalidRequest;
use super::view::{Request, Resource, Scope, Span};

/// One validated, uncompressed `ExportTraceServiceRequest`. Cloning shares the bytes and the index.
#[derive(Clone, Default)]
pub struct TraceBatch {
    bytes: Bytes,
    index: Arc<Index>,
}

impl TraceBatch {
    /// Indexes a request that this program wrote or validated before (built with [`mod@super::write`], read back from
    /// a journal). The insides of spans are not looked at, except in debug builds, where [`super::validate`] must
    /// agree.
    ///
    /// # Errors
    /// [`InvalidRequest`] if the bytes cannot be split into spans.
    pub fn from_trusted(bytes: Bytes) -> Result<Self, InvalidRequest> {
        let index = index_spans(&bytes)?;
        #[cfg(debug_assertions)]
        super::validate::debug_check(&bytes);
        Ok(Self { bytes, index: Arc::new(index) })
    }

    pub(super) fn new(bytes: Bytes, index: Index) -> Self {
        Self { bytes, index: Arc::new(index) }
    }

    /// One batch with the spans of all, in order. Concatenated requests are one request, so nothing is decoded.
    ///
    /// # Errors
    /// [`InvalidRequest`] if the whole is longer than protobuf's 2 GiB.
    pub fn concatenate(batches: &[Self]) -> Result<Self, InvalidRequest> {
        if let [only] = batches {
            return Ok(only.clone());
        }
        let length = batches.iter().map(|batch| batch.bytes.len()).sum();
        check_length(length)?;
        let mut bytes = Vec::with_capacity(length);
        let mut index = Index::default();
        for batch in batches {
            index.append(&batch.index, position(bytes.len()));
            bytes.extend_from_slice(&batch.bytes);
        }
        Ok(Self::new(bytes.into(), index))
    }

    /// The request's protobuf bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of memory that the batch holds: the request's and the index's.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.index.memory_bytes()
    }

    /// Number of spans, over all resources and scopes.
    #[must_use]
    pub fn span_count(&self) -> usize {
        self.index.spans.len()
    }

    /// Whether there is no span.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.spans.is_empty()
    }

    /// The request as a tree of views.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        Request { bytes: &self.bytes }
    }

    /// The spans in order of their bytes, each with its resource and scope. O(1) per span by the index.
    #[must_use]
    pub fn spans(&self) -> Spans<'_> {
        Spans { batch: self, next: 0, last: None }
    }

    /// The span at `index` (< [`Self::span_count`]).
    ///
    /// # Panics
    /// If `index` is out of bounds.
    #[must_use]
    pub fn span(&self, index: usize) -> SpanInBatch<'_> {
        let entry = self.index.spans[index];
        let scope_entry = self.index.scopes[entry.scope as usize];
        let resource_entry = self.index.resources[scope_entry.resource as usize];
        SpanInBatch {
            index,
            resource_index: scope_entry.resource as usize,
            scope_index: entry.scope as usize,
            resource: Resource {
                bytes: resource_entry.message.of(&self.bytes),
                schema_url: super::protobuf::text(resource_entry.schema_url.of(&self.bytes)),
            },
            scope: Scope::decode(
                scope_entry.message.of(&self.bytes),
                super::protobuf::text(scope_entry.schema_url.of(&self.bytes)),
            ),
            span: Span::decode(entry.message.of(&self.bytes)),
        }
    }
}

impl fmt::Debug for TraceBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceBatch")
            .field("bytes", &self.bytes.len())
            .field("spans", &self.index.spans.len())
            .finish_non_exhaustive()
    }
}

/// A span with what surrounds it.
#[derive(Clone, Copy, Debug)]
pub struct SpanInBatch<'a> {
    /// Position in the batch.
    pub index: usize,
    /// Which `ResourceSpans` of the batch, counted from 0 over those with spans: equal numbers mean the same resource.
    pub resource_index: usize,
    /// Which `ScopeSpans` of the batch, counted from 0 over those with spans, over the whole batch.
    pub scope_index: usize,
    /// The resource; absent reads as empty.
    pub resource: Resource<'a>,
    /// The instrumentation scope; absent reads as empty.
    pub scope: Scope<'a>,
    /// The span.
    pub span: Span<'a>,
}

/// Iterator of [`TraceBatch::spans`]. Resource and scope are decoded once for a run of spans.
#[derive(Clone, Debug)]
pub struct Spans<'a> {
    batch: &'a TraceBatch,
    next: usize,
    last: Option<SpanInBatch<'a>>,
}

impl<'a> Iterator for Spans<'a> {
    type Item = SpanInBatch<'a>;

    fn next(&mut self) -> Option<SpanInBatch<'a>> {
        let entry = *self.batch.index.spans.get(self.next)?;
        let span = match self.last {
            Some(last) if last.scope_index == entry.scope as usize => {
                SpanInBatch { index: self.next, span: Span::decode(entry.message.of(&self.batch.bytes)), ..last }
            }
            _ => self.batch.span(self.next),
        };
        self.next += 1;
        self.last = Some(span);
        Some(span)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.index.spans.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Spans<'_> {}

// === the index ===

/// A part of the request's bytes. 32 bits suffice because protobuf messages are shorter than 2 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByteRange {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl ByteRange {
    /// The last `length` bytes before `end`: a length-delimited field that was just read.
    pub(super) fn ending_at(end: usize, length: usize) -> Self {
        Self { start: position(end - length), end: position(end) }
    }

    pub(super) const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.range()]
    }

    const fn shifted(self, offset: u32) -> Self {
        Self { start: self.start + offset, end: self.end + offset }
    }
}

#[derive(Clone, Copy, Debug)]
struct SpanEntry {
    message: ByteRange,
    scope: u32,
}

#[derive(Clone, Copy, Debug)]
struct ScopeEntry {
    message: ByteRange,
    schema_url: ByteRange,
    resource: u32,
}

#[derive(Clone, Copy, Debug)]
struct ResourceEntry {
    message: ByteRange,
    schema_url: ByteRange,
}

/// Where spans, scopes and resources lie. Only scopes and resources with spans have entries, so that a request of
/// empty wrappers costs no memory.
#[derive(Debug, Default)]
pub(super) struct Index {
    spans: Vec<SpanEntry>,
    scopes: Vec<ScopeEntry>,
    resources: Vec<ResourceEntry>,
}

impl Index {
    pub(super) fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// Adds a span of the scope that [`Self::end_scope`] will describe.
    pub(super) fn push_span(&mut self, message: ByteRange) {
        self.spans.push(SpanEntry { message, scope: position(self.scopes.len()) });
    }

    /// Describes the scope of all spans since `first_span`; without any, nothing is added.
    pub(super) fn end_scope(&mut self, first_span: usize, message: ByteRange, schema_url: ByteRange) {
        if self.spans.len() > first_span {
            self.scopes.push(ScopeEntry { message, schema_url, resource: position(self.resources.len()) });
        }
    }

    /// Describes the resource of all scopes since `first_span`; without any, nothing is added.
    pub(super) fn end_resource(&mut self, first_span: usize, message: ByteRange, schema_url: ByteRange) {
        if self.spans.len() > first_span {
            self.resources.push(ResourceEntry { message, schema_url });
        }
    }

    /// Forgets the spans since `first_span`, and their scopes.
    pub(super) fn truncate(&mut self, first_span: usize) {
        self.spans.truncate(first_span);
        let scopes = self.spans.last().map_or(0, |last| last.scope as usize + 1);
        self.scopes.truncate(scopes);
    }

    fn append(&mut self, other: &Self, offset: u32) {
        let (scope, resource) = (position(self.scopes.len()), position(self.resources.len()));
        self.spans.extend(
            other
                .spans
                .iter()
                .map(|entry| SpanEntry { message: entry.message.shifted(offset), scope: entry.scope + scope }),
        );
        self.scopes.extend(other.scopes.iter().map(|entry| ScopeEntry {
            message: entry.message.shifted(offset),
            schema_url: entry.schema_url.shifted(offset),
            resource: entry.resource + resource,
        }));
        self.resources.extend(other.resources.iter().map(|entry| ResourceEntry {
            message: entry.message.shifted(offset),
            schema_url: entry.schema_url.shifted(offset),
        }));
    }

    fn memory_bytes(&self) -> usize {
        size_of_val(self.spans.as_slice())
            + size_of_val(self.scopes.as_slice())
            + size_of_val(self.resources.as_slice())
    }
}

/// A position in a request, or a number of things that each take at least one byte of it.
fn position(value: usize) -> u32 {
    u32::try_from(value).expect("requests are at most 2 GiB long")
}

/// Refuses requests beyond protobuf's limit of 2 GiB, to which [`ByteRange`] trusts.
pub(super) fn check_length(length: usize) -> Result<(), InvalidRequest> {
    if i32::try_from(length).is_ok() {
        return Ok(());
    }
    Err(InvalidRequest { reason: Fault::TooLong.reason(), offset: length })
}

fn index_spans(bytes: &[u8]) -> Result<Index, InvalidRequest> {
    check_length(bytes.len())?;
    let mut index = Index::default();
    let mut reader = Reader::new(bytes);
    while let Some(found) = reader.field()? {
        if let (field::request::RESOURCE_SPANS, FieldValue::Bytes(message)) = (found.number, found.value) {
            index_resource_spans(&mut index, reader.nested(message.len()))?;
        }
    }
    Ok(index)
}

fn index_resource_spans(index: &mut Index, mut reader: Reader<'_>) -> Result<(), WireError> {
    let first_span = index.span_count();
    let (mut resource, mut schema_url) = (ByteRange::default(), ByteRange::default());
    while let Some(found) = reader.field()? {
        let FieldValue::Bytes(content) = found.value else { continue };
        let range = ByteRange::ending_at(reader.position(), content.len());
        match found.number {
            field::resource_spans::RESOURCE => resource = range,
            field::resource_spans::SCHEMA_URL => schema_url = range,
            field::resource_spans::SCOPE_SPANS => index_scope_spans(index, reader.nested(content.len()))?,
            _ => {}
        }
    }
    index.end_resource(first_span, resource, schema_url);
    Ok(())
}

fn index_scope_spans(index: &mut Index, mut reader: Reader<'_>) -> Result<(), WireError> {
    let first_span = index.span_count();
    let (mut scope, mut schema_url) = (ByteRange::default(), ByteRange::default());
    while let Some(found) = reader.field()? {
        let FieldValue::Bytes(content) = found.value else { continue };
        let range = ByteRange::ending_at(reader.position(), content.len());
        match found.number {
            field::scope_spans::SCOPE => scope = range,
            field::scope_spans::SCHEMA_URL => schema_url = range,
            field::scope_spans::SPANS => index.push_span(range),
            _ => {}
        }
    }
    index.end_scope(first_span, scope, schema_url);
    Ok(())
}
