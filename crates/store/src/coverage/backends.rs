//! Whether a back end has told of what the edge sent it.
//!
//! It has if there is a span below the viewer's that is not the CDN's own: Lambda@Edge's spans lie between, and say nothing
//! of what is behind them. Most traces begin at the edge and are one request, so the trace table answers without a span being
//! read: a trace of one span has no back end, and one with another service's spans has one. What the table leaves open (a
//! trace that the viewer began) is read, up to a bound.
//!
//! A back end that has told stays told, so that is remembered; the others are looked up each time.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use rootspan_model::ids::{SpanId, TraceId};
use rootspan_wire::otlp::batch::TraceBatch;

use super::gather::Miss;
use crate::block::loose::assemble;
use crate::facts::{Part, SpanFacts};
use crate::identity::resolve;
use crate::reading::Reading;
use crate::search::summary::summaries;
use crate::shared::Shared;
use crate::store::QueryError;
use crate::trace::collect;

/// Traces that are looked up in one pass over the trace tables.
const BATCH: usize = 512;
/// Traces whose spans are read for one question.
const MAX_READ_TRACES: usize = 2_000;
/// Requests whose back ends are remembered, in each of two halves: some 10 MB.
const MAX_KNOWN: usize = 500_000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// With the number of its key, and whether there is a back end. A request whose own span is gone is not among them.
    pub(super) misses: Vec<(u32, Miss, bool)>,
    pub(super) partial: Option<String>,
}

/// Requests whose back ends have told. What is forgotten is looked up again.
#[derive(Debug, Default)]
pub(crate) struct Known {
    halves: Mutex<[HashSet<u64, foldhash::fast::RandomState>; 2]>,
}

impl Known {
    fn contains(&self, miss: &Miss) -> bool {
        let halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.iter().any(|half| half.contains(&Self::hash(miss)))
    }

    fn insert(&self, miss: &Miss) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if halves[0].len() >= MAX_KNOWN {
            halves.swap(0, 1);
            halves[0].clear();
        }
        halves[0].insert(Self::hash(miss));
    }

    /// Ids are hashes already.
    fn hash(miss: &Miss) -> u64 {
        let [low, _] = halves_of(miss.trace_id);
        low ^ u64::from_le_bytes(*miss.span_id.as_bytes()).rotate_left(7)
    }
}

fn halves_of(id: TraceId) -> [u64; 2] {
    let bytes = u128::from_le_bytes(*id.as_bytes());
    [bytes as u64, (bytes >> 64) as u64]
}

/// Looks all of them up.
pub(super) fn check(reading: &Reading<'_>, shared: &Shared, misses: Vec<(u32, Miss)>) -> Result<Checked, QueryError> {
    let mut checked = Checked::default();
    let mut unread = MAX_READ_TRACES;
    let mut open: Vec<(u32, Miss)> = Vec::new();
    for (key, miss) in misses {
        if shared.known_backends.contains(&miss) {
            checked.misses.push((key, miss, true));
        } else {
            open.push((key, miss));
        }
    }
    // They come the latest first, so those of an hour are together.
    for of_hour in open.chunk_by(|(_, left), (_, right)| left.minute / 60 == right.minute / 60) {
        let hour = u64::from(of_hour.first().map_or(0, |(_, miss)| miss.minute) / 60);
        // A back end's clock may be off, and a request may take long.
        let near = reading.limited_to(hour.saturating_sub(1)..=hour + 1);
        for batch in of_hour.chunks(BATCH) {
            match check_batch(&near, shared, batch, &mut unread, &mut checked) {
                Ok(()) => {}
                Err(error @ (QueryError::Deadline(_) | QueryError::Budget(_))) => {
                    checked.partial = Some(format!("of older requests no back end was looked for: {error}"));
                    return Ok(checked);
                }
                Err(error) => return Err(error),
            }
        }
    }
    if unread == 0 {
        checked.partial = Some(format!(
            "of some requests no back end was looked for: the spans of at most {MAX_READ_TRACES} traces are read"
        ));
    }
    Ok(checked)
}

fn check_batch(
    reading: &Reading<'_>,
    shared: &Shared,
    batch: &[(u32, Miss)],
    unread: &mut usize,
    checked: &mut Checked,
) -> Result<(), QueryError> {
    reading.guard.check()?;
    let ids: Vec<TraceId> = batch.iter().map(|(_, miss)| miss.trace_id).collect();
    let parts = summaries(reading, &ids)?;
    for (key, miss) in batch {
        let Some(part) = parts.get(&miss.trace_id) else { continue };
        let has_backend = match by_table(part) {
            Some(has_backend) => has_backend,
            None if *unread == 0 => continue,
            None => {
                *unread -= 1;
                let Some(has_backend) = by_spans(reading, miss)? else { continue };
                has_backend
            }
        };
        if has_backend {
            shared.known_backends.insert(miss);
        }
        checked.misses.push((*key, *miss, has_backend));
    }
    Ok(())
}

/// What the trace table tells.
fn by_table(part: &Part) -> Option<bool> {
    if part.spans == 1 {
        return Some(false);
    }
    let begins_at_the_edge = part.top.is_root && part.top.cdn;
    let has_other_service = part.services.iter().any(|service| service.name != part.top.service);
    (begins_at_the_edge && has_other_service).then_some(true)
}

/// Whether a span that is not the CDN's lies below the viewer's; `None` if the viewer's is not there.
fn by_spans(reading: &Reading<'_>, miss: &Miss) -> Result<Option<bool>, QueryError> {
    let spans = resolve(collect(reading, &miss.trace_id)?.spans).spans;
    let (bytes, _) = assemble(&spans);
    let batch = TraceBatch::from_trusted(bytes).map_err(|error| QueryError::Io(error.to_string()))?;
    let views: Vec<_> = batch.spans().collect();
    let mut children: HashMap<SpanId, Vec<SpanFacts<'_>>, foldhash::fast::RandomState> = HashMap::default();
    let mut is_there = false;
    for facts in views.iter().map(SpanFacts::of) {
        is_there |= facts.span_id == miss.span_id;
        children.entry(facts.parent).or_default().push(facts);
    }
    if !is_there {
        return Ok(None);
    }
    let mut waiting = vec![miss.span_id];
    while let Some(parent) = waiting.pop() {
        // Taking them out ends the walk also where spans are each other's parents.
        for child in children.remove(&parent).unwrap_or_default() {
            if !child.cdn {
                return Ok(Some(true));
            }
            waiting.push(child.span_id);
        }
    }
    Ok(Some(false))
}
