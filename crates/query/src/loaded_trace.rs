//! A trace in memory, with what several requests need of it.

use std::sync::OnceLock;

use bytes::Bytes;
use rootspan_analytics::view::TraceView;
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
    analysis: OnceLock<Analysis>,
}

/// What `analytics` makes of it.
#[derive(Debug)]
struct Analysis {
    view: Bytes,
    /// (id, nanoseconds), sorted; only spans that are shifted.
    shifts: Vec<(SpanId, i64)>,
}

impl LoadedTrace {
    pub(crate) fn new(stored: StoredTrace) -> Self {
        Self { stored, by_id: OnceLock::new(), analysis: OnceLock::new() }
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

    /// How far the span is drawn from where its own clock says. Versions of one span are from one clock.
    pub(crate) fn shift_nanos(&self, id: SpanId) -> i64 {
        let shifts = &self.analysis().shifts;
        let found = shifts.binary_search_by_key(&id, |(known, _)| *known);
        found.ok().and_then(|index| shifts.get(index)).map_or(0, |(_, nanos)| *nanos)
    }

    /// The binary columns that the waterfall draws.
    pub(crate) fn view(&self) -> Bytes {
        self.analysis().view.clone()
    }

    fn analysis(&self) -> &Analysis {
        self.analysis.get_or_init(|| {
            let StoredTrace { batch, conflicting, omitted_spans } = &self.stored;
            let view = TraceView::build(batch, conflicting, *omitted_spans);
            let ids = &view.rows.span_id;
            // A shift beyond 292 years is drawn at the edge of what the page can show, if at all.
            let mut shifts: Vec<_> = view
                .shifts
                .iter()
                .filter_map(|(row, nanos)| Some((*ids.get(*row as usize)?, i64::try_from(*nanos).unwrap_or(i64::MAX))))
                .collect();
            shifts.sort_unstable();
            Analysis { view: view.encode().into(), shifts }
        })
    }

    /// What keeping it costs.
    pub(crate) fn bytes(&self) -> usize {
        self.stored.batch.memory_bytes() + self.stored.batch.span_count() * BYTES_PER_SPAN
    }
}

#[cfg(test)]
mod tests;
