//! A validated request and the index of its spans.

use bytes::Bytes;

use super::view::{Request, Resource, Scope, Span};

/// One validated, uncompressed `ExportTraceServiceRequest`. Cloning shares the bytes and the index.
#[derive(Clone, Debug)]
pub struct TraceBatch {
    _bytes: Bytes,
}

impl TraceBatch {
    /// The request's protobuf bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        unimplemented!("wire contract")
    }

    /// Number of spans, over all resources and scopes.
    #[must_use]
    pub fn span_count(&self) -> usize {
        unimplemented!("wire contract")
    }

    /// The request as a tree of views.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        unimplemented!("wire contract")
    }

    /// The spans in order of their bytes, each with its resource and scope. O(1) per span by the index.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = SpanInBatch<'_>> + '_ {
        std::iter::empty()
    }

    /// The span at `index` (< [`Self::span_count`]).
    #[must_use]
    pub fn span(&self, _index: usize) -> SpanInBatch<'_> {
        unimplemented!("wire contract")
    }
}

/// A span with what surrounds it.
#[derive(Clone, Copy, Debug)]
pub struct SpanInBatch<'a> {
    /// Position in the batch.
    pub index: usize,
    /// Which `ResourceSpans` of the batch, counted from 0: equal numbers mean the same resource.
    pub resource_index: usize,
    /// Which `ScopeSpans` of the batch, counted from 0 over the whole batch.
    pub scope_index: usize,
    /// The resource; absent reads as empty.
    pub resource: Resource<'a>,
    /// The instrumentation scope; absent reads as empty.
    pub scope: Scope<'a>,
    /// The span.
    pub span: Span<'a>,
}
