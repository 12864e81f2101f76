//! A trace in memory, with what several requests need of it.

use std::sync::OnceLock;

use bytes::Bytes;
use rootspan_model::ids::SpanId;
use rootspan_store::store::StoredTrace;

/// Estimated bytes of index and analysis for each span.
const BYTES_PER_SPAN: usize = 128;

/// What the store has of a trace; index and analysis are made when first asked for.
#[derive(Debug)]
pub(crate) struct LoadedTrace {
    pub(crate) stored: StoredTrace,
    /// (id, index in the batch), sorted.
    by_id: OnceLock<Vec<(SpanId, usize)>>,
}

impl LoadedTrace {
    pub(crate) fn new(stored: StoredTrace) -> Self {
        Self { stored, by_id: OnceLock::new() }
    }

    /// All spans with this id, in the batch's order: more than one if sources contradict each other.
    pub(crate) fn versions(&self, id: SpanId) -> &[(SpanId, usize)] {
        let by_id = self.by_id.get_or_init(|| {
            let mut by_id: Vec<_> = self.stored.batch.spans().map(|entry| (entry.span.span_id, entry.index)).collect();
            by_id.sort_unstable();
            by_id
        });
        let first = by_id.partition_point(|(known, _)| *known < id);
        let length = by_id[first..].partition_point(|(known, _)| *known == id);
        &by_id[first..first + length]
    }

    /// How far the span at `index` is drawn from where its own clock says.
    pub(crate) fn shift_nanos(&self, _index: usize) -> i64 {
        0
    }

    /// The binary columns that the waterfall draws.
    pub(crate) fn view(&self) -> Bytes {
        Bytes::new()
    }

    /// What keeping it costs.
    pub(crate) fn bytes(&self) -> usize {
        self.stored.batch.memory_bytes() + self.stored.batch.span_count() * BYTES_PER_SPAN
    }
}
