//! Search: the newest traces with a matching span, as summaries of whole traces.
//!
//! Matches are gathered from the tails and then block by block, the latest start first, until `limit` traces are
//! certain: their latest matching starts are later than anything that the remaining blocks hold. Then all parts of
//! those traces are looked up in one pass over the trace tables. Order and cursor are (latest matching start
//! descending, trace id ascending): a root that arrives later does not move a trace unless it matches itself.
//!
//! With a cursor, blocks that lie wholly after it are not scanned; a candidate is only looked up in them, because a
//! later match there means that an earlier page had the trace.

pub(crate) mod plan;
mod rows;
pub(crate) mod scan;
pub(crate) mod summary;
mod tail;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use rootspan_model::ids::TraceId;
use rootspan_model::time::UnixNanos;
use rootspan_traceql::compile::TraceFacts;

use crate::block::Block;
use crate::block::filter::trace_hash;
use crate::block::index::BlockIndex;
use crate::facts::{EdgeMarks, Part};
use crate::limits::Stop;
use crate::reading::Reading;
use crate::store::{Cursor, QueryError, SearchPage, SearchRequest, ServiceCount, TraceSummary};
use crate::tail::TailView;
use crate::trace::find;
use plan::Plan;
use scan::{Match, may_match, scan};
use summary::{facts, summaries};
use tail::TailConditions;

/// See the module.
pub(crate) fn search(reading: &Reading<'_>, request: &SearchRequest) -> Result<SearchPage, QueryError> {
    let plan = Plan::new(request)?;
    let mut found = Found::new(request);
    let outcome = found.gather(reading, &plan);
    let limited = match outcome {
        Ok(()) => None,
        // What was found is better than nothing, and the answer says that it is not all.
        Err(error @ (QueryError::Deadline(_) | QueryError::Budget(_))) if !found.latest.is_empty() => {
            reading.guard.lift();
            found.is_exhausted = true;
            Some(error.to_string())
        }
        Err(error) => return Err(error),
    };
    let mut page = found.page(reading)?;
    // Only now: looking the traces up may have found more damage.
    let missing = reading.missing(request.start, request.end);
    let reasons: Vec<String> = limited.into_iter().chain(missing).collect();
    page.partial = (!reasons.is_empty()).then(|| reasons.join("; "));
    Ok(page)
}

/// Candidates so far.
struct Found {
    limit: usize,
    after: Option<Cursor>,
    /// Latest matching start by trace.
    latest: HashMap<TraceId, u64, foldhash::fast::RandomState>,
    /// Traces that earlier pages had, and traces that were looked up in the blocks after the cursor.
    earlier: HashSet<TraceId, foldhash::fast::RandomState>,
    verified: HashSet<TraceId, foldhash::fast::RandomState>,
    /// Everything was looked at.
    is_exhausted: bool,
}

impl Found {
    fn new(request: &SearchRequest) -> Self {
        Self {
            limit: request.limit,
            after: request.after,
            latest: HashMap::default(),
            earlier: HashSet::default(),
            verified: HashSet::default(),
            is_exhausted: false,
        }
    }

    fn gather(&mut self, reading: &Reading<'_>, plan: &Plan) -> Result<(), QueryError> {
        for tail in &reading.snapshot.tails {
            self.scan_tail(reading, plan, tail)?;
        }
        // Blocks that lie wholly after the cursor.
        let mut skipped: Vec<&Block> = Vec::new();
        for block in reading.blocks() {
            reading.guard.check()?;
            if self.is_certain(reading, plan, &skipped, block.entry.max_start)? {
                return Ok(());
            }
            if self.after.is_some_and(|after| block.entry.min_start > after.latest_matching_start.0) {
                skipped.push(block);
                continue;
            }
            let matches = scan_block(reading, plan, block, None);
            for (id, latest) in reading.of_block(block, matches)?.into_iter().flatten() {
                self.enter(id, latest);
            }
        }
        self.is_certain(reading, plan, &skipped, 0)?;
        self.is_exhausted = true;
        Ok(())
    }

    fn enter(&mut self, id: TraceId, latest: u64) {
        let known = self.latest.entry(id).or_insert(latest);
        *known = (*known).max(latest);
    }

    /// Candidates behind the cursor, in order.
    fn eligible(&self, later_than: Option<u64>) -> Vec<(TraceId, u64)> {
        let is_behind = |id: &TraceId, latest: u64| match self.after {
            None => true,
            Some(after) => {
                let start = after.latest_matching_start.0;
                latest < start || latest == start && *id > after.trace_id
            }
        };
        let mut eligible: Vec<(TraceId, u64)> = self
            .latest
            .iter()
            .map(|(id, latest)| (*id, *latest))
            .filter(|(id, latest)| later_than.is_none_or(|bound| *latest > bound) && is_behind(id, *latest))
            .filter(|(id, _)| !self.earlier.contains(id))
            .collect();
        eligible.sort_unstable_by_key(|(id, latest)| (std::cmp::Reverse(*latest), *id));
        eligible
    }

    /// Whether one trace more than the limit is known to come before everything that starts at `bound` or earlier.
    fn is_certain(
        &mut self,
        reading: &Reading<'_>,
        plan: &Plan,
        skipped: &[&Block],
        bound: u64,
    ) -> Result<bool, QueryError> {
        loop {
            let wanted = self.limit.saturating_add(1);
            if self.latest.len() < wanted && skipped.is_empty() {
                return Ok(false);
            }
            let later_than = (bound > 0).then_some(bound);
            let mut eligible = self.eligible(later_than);
            let is_enough = eligible.len() >= wanted;
            eligible.truncate(wanted);
            let unverified: Vec<TraceId> =
                eligible.into_iter().map(|(id, _)| id).filter(|id| !self.verified.contains(id)).collect();
            // While there are too few, looking them up would be too early: later blocks may add others.
            if skipped.is_empty() || unverified.is_empty() || !is_enough && bound > 0 {
                return Ok(is_enough);
            }
            self.verify(reading, plan, skipped, &unverified)?;
        }
    }

    /// Looks candidates up in the blocks after the cursor.
    fn verify(
        &mut self,
        reading: &Reading<'_>,
        plan: &Plan,
        skipped: &[&Block],
        ids: &[TraceId],
    ) -> Result<(), QueryError> {
        self.verified.extend(ids.iter().copied());
        for block in skipped {
            let matches = scan_block(reading, plan, block, Some(ids));
            let matches = reading.of_block(block, matches)?.unwrap_or_default();
            self.earlier.extend(matches.into_iter().map(|(id, _)| id));
        }
        Ok(())
    }

    fn scan_tail(&mut self, reading: &Reading<'_>, plan: &Plan, tail: &TailView) -> Result<(), QueryError> {
        let mut known: HashMap<TraceId, Option<Part>, foldhash::fast::RandomState> = HashMap::default();
        for batch in &tail.batches {
            reading.guard.check()?;
            let mut conditions = TailConditions::new(plan);
            for span in batch.spans.iter().filter(|span| plan.window.contains(span.start)) {
                // A trace's older spans change nothing.
                let is_older = self.latest.get(&span.trace_id).is_some_and(|latest| *latest >= span.start);
                if is_older || !conditions.may_match(&batch.batch, span) {
                    continue;
                }
                let view = batch.batch.span(span.index as usize);
                let holds = if plan.uses_trace() {
                    let part = match known.entry(span.trace_id) {
                        Entry::Occupied(part) => part.into_mut(),
                        Entry::Vacant(place) => {
                            place.insert(summaries(reading, &[span.trace_id])?.remove(&span.trace_id))
                        }
                    };
                    plan.whole.matches(&view, &part.as_ref().map(facts).unwrap_or_default())
                } else {
                    plan.whole.matches(&view, &TraceFacts::default())
                };
                if holds {
                    self.enter(span.trace_id, span.start);
                }
            }
        }
        Ok(())
    }

    fn page(self, reading: &Reading<'_>) -> Result<SearchPage, QueryError> {
        let mut eligible = self.eligible(None);
        let has_more = eligible.len() > self.limit || !self.is_exhausted;
        eligible.truncate(self.limit);
        let ids: Vec<TraceId> = eligible.iter().map(|(id, _)| *id).collect();
        let mut parts = summaries(reading, &ids)?;
        let mut traces = Vec::with_capacity(eligible.len());
        for (id, latest) in &eligible {
            if let Some(part) = parts.remove(id) {
                traces.push(summary_of(*id, &part, *latest));
            }
        }
        let last = eligible.last().filter(|_| has_more);
        let next =
            last.map(|(trace_id, latest)| Cursor { latest_matching_start: UnixNanos(*latest), trace_id: *trace_id });
        Ok(SearchPage { traces, next, partial: None })
    }
}

/// Matching traces of a block with their latest matching starts; of these `ids` only, if given.
fn scan_block(
    reading: &Reading<'_>,
    plan: &Plan,
    block: &Block,
    ids: Option<&[TraceId]>,
) -> Result<Vec<(TraceId, u64)>, Stop> {
    if !may_match(reading, block, plan)? {
        return Ok(Vec::new());
    }
    let (index, traces) = match ids {
        None => (block.index(reading.caches())?, None),
        Some(ids) => {
            let mut traces = Vec::new();
            for id in ids {
                if let Some((_, trace)) = find(reading, block, id, trace_hash(id.as_bytes()))? {
                    traces.push(trace);
                }
            }
            if traces.is_empty() {
                return Ok(Vec::new());
            }
            traces.sort_unstable();
            (block.index(reading.caches())?, Some(traces))
        }
    };
    let matches = scan(reading, block, &index, plan, traces.as_deref(), &|trace, ask| {
        ask_facts(reading, block, &index, trace, ask)
    })?;
    Ok(matches.into_iter().map(|Match { trace, latest }| (index.traces.id(trace), latest)).collect())
}

fn ask_facts(
    reading: &Reading<'_>,
    block: &Block,
    index: &BlockIndex,
    trace: usize,
    ask: &mut dyn FnMut(&TraceFacts<'_>) -> bool,
) -> Result<bool, Stop> {
    let id = index.traces.id(trace);
    if reading.is_only_in(block, &id) {
        let row = index.traces.row(trace).map_err(|error| block.malformed(&error))?;
        return Ok(ask(&facts(&row.part)));
    }
    let part = summaries(reading, &[id])?.remove(&id);
    Ok(ask(&part.as_ref().map(facts).unwrap_or_default()))
}

fn summary_of(trace_id: TraceId, part: &Part, latest: u64) -> TraceSummary {
    let service = |service: &crate::facts::ServicePart| ServiceCount {
        name: service.name.to_string(),
        spans: u64::from(service.spans),
        errors: u64::from(service.errors),
    };
    TraceSummary {
        trace_id,
        root_service: part.top.service.to_string(),
        root_name: part.top.name.to_string(),
        root_missing: !part.top.is_root,
        start: UnixNanos(part.start),
        duration_nanos: part.end - part.start,
        span_count: u64::from(part.spans),
        error_count: u64::from(part.errors),
        services: part.services.iter().map(service).collect(),
        edge_nanos: part.edge_nanos(),
        derived_ids: part.top.marks.contain(EdgeMarks::DERIVED_IDS),
        // A back end that samples by itself may be there all the same.
        backend_not_recorded: part.top.marks.contain(EdgeMarks::KEPT) && part.services.len() == 1,
        error_extent: part.error_extent.map(|(first, last)| (first - part.start, last - part.start)),
        latest_matching_start: UnixNanos(latest),
    }
}
