//! One trace, from wherever its spans lie.

use std::sync::Arc;

use rootspan_model::ids::TraceId;
use rootspan_wire::otlp::batch::TraceBatch;

use crate::block::Block;
use crate::block::filter::trace_hash;
use crate::block::index::BlockIndex;
use crate::block::loose::{LooseSpan, assemble};
use crate::block::read::ColumnReader;
use crate::block::rebuild::{Wanted, rebuild};
use crate::identity::resolve;
use crate::limits::Stop;
use crate::reading::Reading;
use crate::store::{QueryError, StoredTrace};

/// Spans of a trace before identical ones are folded.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) spans: Vec<LooseSpan>,
    /// Spans that the byte budget left out.
    pub(crate) omitted: u64,
}

/// Everything known of one trace.
pub(crate) fn trace(reading: &Reading<'_>, id: &TraceId) -> Result<Option<StoredTrace>, QueryError> {
    let collected = collect(reading, id)?;
    if collected.spans.is_empty() {
        return Ok(None);
    }
    let resolved = resolve(collected.spans);
    let (bytes, order) = assemble(&resolved.spans);
    let batch = TraceBatch::from_trusted(bytes).map_err(|error| QueryError::Io(error.to_string()))?;
    // `resolved.conflicting` is ascending.
    let is_conflicting = |position: &usize| resolved.conflicting.binary_search(position).is_ok();
    let conflicting =
        order.iter().enumerate().filter(|(_, position)| is_conflicting(position)).map(|(index, _)| index).collect();
    Ok(Some(StoredTrace { batch, conflicting, omitted_spans: collected.omitted }))
}

/// The trace's spans in tails and blocks.
pub(crate) fn collect(reading: &Reading<'_>, id: &TraceId) -> Result<Collected, QueryError> {
    let mut collected = Collected::default();
    for tail in &reading.snapshot.tails {
        collected.spans.extend(tail.spans(id));
    }
    let hash = trace_hash(id.as_bytes());
    for block in reading.blocks() {
        let Some(Some((index, trace))) = reading.of_block(block, find(reading, block, id, hash))? else { continue };
        let rows = index.traces.rows(trace);
        let count = u64::from(rows.end - rows.start);
        match reading.of_block(block, spans_of(reading, block, &index, trace)) {
            Ok(Some(spans)) => collected.spans.extend(spans),
            Ok(None) => {}
            Err(QueryError::Budget(_)) => collected.omitted += count,
            Err(error) => return Err(error),
        }
    }
    Ok(collected)
}

/// The trace's place in a block, if it is there; `hash` is that of its id.
pub(crate) fn find(
    reading: &Reading<'_>,
    block: &Block,
    id: &TraceId,
    hash: u64,
) -> Result<Option<(Arc<BlockIndex>, usize)>, Stop> {
    if !block.trace_filter(reading.caches())?.may_contain(hash) {
        return Ok(None);
    }
    let index = block.index(reading.caches())?;
    Ok(index.traces.find(id).map(|trace| (index, trace)))
}

fn spans_of(reading: &Reading<'_>, block: &Block, index: &BlockIndex, trace: usize) -> Result<Vec<LooseSpan>, Stop> {
    let mut columns = ColumnReader::open(block, reading.caches(), reading.guard)?;
    columns.load_all()?;
    rebuild(&columns, index, &[index.traces.rows(trace)], Wanted::All)
}
