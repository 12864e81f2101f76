//! Summaries of whole traces, wherever their spans lie: one pass over all trace tables for all ids asked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parquet::data_type::Int64Type;
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_traceql::compile::TraceFacts;
use rootspan_wire::otlp::batch::TraceBatch;

use crate::block::Block;
use crate::block::filter::trace_hash;
use crate::block::index::BlockIndex;
use crate::block::loose::assemble;
use crate::block::read::ColumnReader;
use crate::block::schema::Leaf;
use crate::facts::{Names, Part, SpanFacts, merge, summarise};
use crate::identity::resolve;
use crate::limits::Stop;
use crate::reading::Reading;
use crate::store::QueryError;
use crate::tail::TailView;
use crate::trace::{collect, find};

/// Where a part of a trace lies.
enum Place<'a> {
    Tail(&'a TailView, Part),
    Block(&'a Block, Arc<BlockIndex>, usize),
}

/// What `traceql` wants to know of the trace.
pub(crate) fn facts(part: &Part) -> TraceFacts<'_> {
    TraceFacts {
        root_name: Some(&part.top.name),
        root_service_name: Some(&part.top.service),
        duration_nanos: Some(part.end - part.start),
    }
}

/// The summaries of those of `ids` that exist.
pub(crate) fn summaries(
    reading: &Reading<'_>,
    ids: &[TraceId],
) -> Result<HashMap<TraceId, Part, foldhash::fast::RandomState>, QueryError> {
    let mut names = Names::default();
    let mut places: Vec<Vec<Place<'_>>> = ids.iter().map(|_| Vec::new()).collect();
    for tail in &reading.snapshot.tails {
        for (id, places) in ids.iter().zip(&mut places) {
            if let Some(part) = tail_part(tail, id, &mut names) {
                places.push(Place::Tail(tail, part));
            }
        }
    }
    let hashes: Vec<u64> = ids.iter().map(|id| trace_hash(id.as_bytes())).collect();
    for block in reading.blocks() {
        for ((id, hash), places) in ids.iter().zip(&hashes).zip(&mut places) {
            if let Some(Some((index, trace))) = reading.of_block(block, find(reading, block, id, *hash))? {
                places.push(Place::Block(block, index, trace));
            }
        }
    }
    let mut found = HashMap::default();
    for (id, places) in ids.iter().zip(places) {
        reading.guard.check()?;
        if let Some(part) = whole(reading, id, places, &mut names)? {
            found.insert(*id, part);
        }
    }
    Ok(found)
}

fn tail_part(tail: &TailView, id: &TraceId, names: &mut Names) -> Option<Part> {
    let views: Vec<_> = tail
        .positions(id)
        .into_iter()
        .map(|(batch, span)| {
            let batch = &tail.batches[batch];
            batch.batch.span(batch.spans[span].index as usize)
        })
        .collect();
    let facts: Vec<SpanFacts<'_>> = views.iter().map(SpanFacts::of).collect();
    (!facts.is_empty()).then(|| summarise(&facts, names))
}

/// One trace from its parts: merged if that is exact, else from its spans.
fn whole(
    reading: &Reading<'_>,
    id: &TraceId,
    mut places: Vec<Place<'_>>,
    names: &mut Names,
) -> Result<Option<Part>, QueryError> {
    if places.len() == 1 {
        return match places.pop() {
            Some(Place::Tail(_, part)) => Ok(Some(part)),
            Some(Place::Block(block, index, trace)) => {
                let row = index.traces.row(trace).map_err(|error| Stop::Block(block.malformed(&error)));
                Ok(reading.of_block(block, row)?.map(|row| row.part))
            }
            None => Ok(None),
        };
    }
    if places.is_empty() {
        return Ok(None);
    }
    let mut parts = Vec::with_capacity(places.len());
    let mut span_ids: HashSet<SpanId, foldhash::fast::RandomState> = HashSet::default();
    let mut is_disjoint = true;
    for place in &places {
        let (part, ids) = match place {
            Place::Tail(tail, part) => (part.clone(), tail_ids(tail, id)),
            Place::Block(block, index, trace) => {
                let part = block_part(reading, block, index, *trace);
                let Some(part) = reading.of_block(block, part)? else { continue };
                part
            }
        };
        parts.push(Arc::new(part));
        let ids: HashSet<SpanId, foldhash::fast::RandomState> = ids.into_iter().collect();
        is_disjoint &= ids.is_disjoint(&span_ids);
        span_ids.extend(ids);
    }
    if is_disjoint && let Some(merged) = merge(&parts) {
        return Ok(Some(merged));
    }
    from_spans(reading, id, names)
}

fn tail_ids(tail: &TailView, id: &TraceId) -> Vec<SpanId> {
    tail.positions(id).into_iter().map(|(batch, span)| tail.batches[batch].spans[span].span_id).collect()
}

/// A part with its top's id, and the ids of its spans.
fn block_part(
    reading: &Reading<'_>,
    block: &Block,
    index: &BlockIndex,
    trace: usize,
) -> Result<(Part, Vec<SpanId>), Stop> {
    let mut row = index.traces.row(trace).map_err(|error| block.malformed(&error))?;
    let rows = index.traces.rows(trace);
    let columns = ColumnReader::open(block, reading.caches(), reading.guard)?;
    let ids = columns.read::<Int64Type>(Leaf::SpanId as usize, std::slice::from_ref(&rows))?.values;
    let ids: Vec<SpanId> = ids.into_iter().map(|id| SpanId::new(id.to_be_bytes())).collect();
    row.part.top.span_id = ids.get((row.top_row - rows.start) as usize).copied().unwrap_or_default();
    Ok((row.part, ids))
}

fn from_spans(reading: &Reading<'_>, id: &TraceId, names: &mut Names) -> Result<Option<Part>, QueryError> {
    let spans = resolve(collect(reading, id)?.spans).spans;
    if spans.is_empty() {
        return Ok(None);
    }
    let (bytes, _) = assemble(&spans);
    let batch = TraceBatch::from_trusted(bytes).map_err(|error| QueryError::Io(error.to_string()))?;
    let views: Vec<_> = batch.spans().collect();
    let facts: Vec<SpanFacts<'_>> = views.iter().map(SpanFacts::of).collect();
    Ok(Some(summarise(&facts, names)))
}
