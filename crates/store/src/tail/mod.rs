//! What was acknowledged and is not yet in blocks: the batches as they came, with a light index.
//!
//! A tail is filled by the writer, frozen when it is large or old enough, sealed by the maintenance thread, and
//! dropped in the same step in which its blocks become visible. Readers copy the list of batches and look at them
//! without a lock; only looking up a trace takes it, for microseconds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use rootspan_journal::journal::Sequence;
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::batch::TraceBatch;

use crate::block::loose::LooseSpan;
use crate::block::write::MAX_LISTED_NAME_BYTES;
use crate::coverage::gather::Gathered;
use crate::identity::same_content;

/// Nanoseconds of an hour, the unit of partitions.
pub(crate) const HOUR_NANOS: u64 = 3_600_000_000_000;

/// A generation of the tail.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    inner: RwLock<Inner>,
    gathered: RwLock<Gathered>,
}

#[derive(Debug, Default)]
struct Inner {
    batches: Vec<Arc<TailBatch>>,
    /// The last link of each trace.
    traces: HashMap<TraceId, u32, foldhash::fast::RandomState>,
    links: Vec<Link>,
    operations: BTreeMap<String, BTreeSet<String>>,
    figures: Figures,
}

/// One span in the list of its trace.
#[derive(Clone, Copy, Debug)]
struct Link {
    span_id: SpanId,
    batch: u32,
    span: u32,
    /// The trace's span before, or [`NO_LINK`].
    previous: u32,
}

const NO_LINK: u32 = u32::MAX;

/// What decides when to seal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) spans: usize,
    pub(crate) bytes: usize,
    /// What its counts take.
    pub(crate) gathered_bytes: usize,
    /// When the first batch came.
    pub(crate) oldest: Option<UnixNanos>,
    /// The last frame of the journal in here.
    pub(crate) through: Sequence,
    pub(crate) newest_start: u64,
}

/// An accepted batch.
#[derive(Debug)]
pub(crate) struct TailBatch {
    pub(crate) batch: TraceBatch,
    /// Its spans without those that were in the tail before.
    pub(crate) spans: Vec<TailSpan>,
}

/// A span of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailSpan {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) start: u64,
    pub(crate) duration: u64,
    /// Its `ResourceSpans` in the batch.
    pub(crate) resource: u32,
    /// Its partition.
    pub(crate) hour: u32,
    /// Position in the batch.
    pub(crate) index: u32,
}

/// Which starts are placed where they say; see DESIGN: others are clamped, for placement only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) earliest: u64,
    pub(crate) latest: u64,
}

impl Placement {
    /// Starts from `retention` before to an hour after the time of receipt.
    pub(crate) fn new(received: UnixNanos, retention: std::time::Duration) -> Self {
        let retention = u64::try_from(retention.as_nanos()).unwrap_or(u64::MAX);
        Self { earliest: received.0.saturating_sub(retention), latest: received.0.saturating_add(HOUR_NANOS) }
    }

    pub(crate) fn hour(&self, start: u64) -> u32 {
        // 2^64 ns are 5.1 million hours.
        u32::try_from(start.clamp(self.earliest, self.latest) / HOUR_NANOS).unwrap_or(u32::MAX)
    }
}

impl Tail {
    /// Makes a batch searchable. Identical spans that are in this tail already are left out. Returns how many spans
    /// are new.
    pub(crate) fn insert(
        &self,
        batch: TraceBatch,
        sequence: Sequence,
        received: UnixNanos,
        placement: Placement,
    ) -> usize {
        let spans: Vec<TailSpan> = batch
            .spans()
            .map(|span| TailSpan {
                trace_id: span.span.trace_id,
                span_id: span.span.span_id,
                start: span.span.start.0,
                duration: span.span.duration_nanos(),
                resource: u32::try_from(span.resource_index).unwrap_or(u32::MAX),
                hour: placement.hour(span.span.start.0),
                index: u32::try_from(span.index).unwrap_or(u32::MAX),
            })
            .collect();
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.add_operations(&batch);
        let mut kept = Vec::with_capacity(spans.len());
        for span in spans {
            // Within this batch the earlier spans are linked but not yet in `batches`.
            if !inner.has_identical(&span, &batch, &kept) {
                inner.link(&span, kept.len());
                kept.push(span);
            }
        }
        let new = kept.len();
        let figures = &mut inner.figures;
        figures.spans += new;
        figures.bytes += batch.memory_bytes();
        figures.oldest.get_or_insert(received);
        figures.through = sequence;
        // A clock that is ahead must not hide that nothing comes in any more.
        let seen = kept.iter().map(|span| span.start.min(received.0));
        figures.newest_start = seen.fold(figures.newest_start, u64::max);
        inner.batches.push(Arc::new(TailBatch { batch, spans: kept }));
        new
    }

    /// Counts what a frame of observations has: `count` does it.
    pub(crate) fn gather<T>(&self, count: impl FnOnce(&mut Gathered) -> T) -> T {
        count(&mut self.gathered.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was counted in it.
    pub(crate) fn gathered<T>(&self, read: impl FnOnce(&Gathered) -> T) -> T {
        read(&self.gathered.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A frame of observations is in it.
    pub(crate) fn gathered_through(&self, sequence: Sequence, received: UnixNanos) {
        let bytes = self.gathered(Gathered::bytes);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.figures.oldest.get_or_insert(received);
        inner.figures.through = sequence;
        inner.figures.gathered_bytes = bytes;
    }

    pub(crate) fn figures(&self) -> Figures {
        self.read().figures
    }

    /// Everything in it now; later batches are not seen through it.
    pub(crate) fn view(self: &Arc<Self>) -> TailView {
        TailView { batches: self.read().batches.clone(), tail: Arc::clone(self) }
    }

    pub(crate) fn services(&self, into: &mut BTreeSet<String>) {
        into.extend(self.read().operations.keys().cloned());
    }

    pub(crate) fn operations(&self, service: &str, into: &mut BTreeSet<String>) {
        into.extend(self.read().operations.get(service).into_iter().flatten().cloned());
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tail at one moment.
#[derive(Clone, Debug)]
pub(crate) struct TailView {
    pub(crate) batches: Vec<Arc<TailBatch>>,
    tail: Arc<Tail>,
}

impl TailView {
    /// Positions (batch, span within it) of a trace's spans.
    pub(crate) fn positions(&self, id: &TraceId) -> Vec<(usize, usize)> {
        let inner = self.tail.read();
        let mut positions = Vec::new();
        for link in inner.trace(id) {
            if (link.batch as usize) < self.batches.len() {
                positions.push((link.batch as usize, link.span as usize));
            }
        }
        positions
    }

    /// Whether it has, or had by now, a span of the trace.
    pub(crate) fn contains(&self, id: &TraceId) -> bool {
        self.tail.read().traces.contains_key(id)
    }

    /// What was counted in it.
    pub(crate) fn gathered<T>(&self, read: impl FnOnce(&Gathered) -> T) -> T {
        self.tail.gathered(read)
    }

    /// Copies of a trace's spans.
    pub(crate) fn spans(&self, id: &TraceId) -> Vec<LooseSpan> {
        let loose = |(batch, span): (usize, usize)| {
            let batch = &self.batches[batch];
            LooseSpan::of(&batch.batch.span(batch.spans[span].index as usize), &batch.batch)
        };
        self.positions(id).into_iter().map(loose).collect()
    }
}

impl Inner {
    fn trace(&self, id: &TraceId) -> impl Iterator<Item = &Link> {
        let mut next = self.traces.get(id).copied().unwrap_or(NO_LINK);
        std::iter::from_fn(move || {
            let link = self.links.get(next as usize)?;
            next = link.previous;
            Some(link)
        })
    }

    fn has_identical(&self, span: &TailSpan, batch: &TraceBatch, kept: &[TailSpan]) -> bool {
        self.trace(&span.trace_id).any(|link| {
            if link.span_id != span.span_id {
                return false;
            }
            let new = LooseSpan::of(&batch.span(span.index as usize), batch);
            let old = match self.batches.get(link.batch as usize) {
                Some(other) => {
                    let index = other.spans[link.span as usize].index as usize;
                    LooseSpan::of(&other.batch.span(index), &other.batch)
                }
                None => LooseSpan::of(&batch.span(kept[link.span as usize].index as usize), batch),
            };
            same_content(&new, &old)
        })
    }

    fn link(&mut self, span: &TailSpan, position: usize) {
        let number = u32::try_from(self.links.len()).expect("a tail has fewer than 2^32 spans");
        let previous = self.traces.insert(span.trace_id, number).unwrap_or(NO_LINK);
        self.links.push(Link {
            span_id: span.span_id,
            batch: u32::try_from(self.batches.len()).expect("a tail has fewer than 2^32 batches"),
            span: u32::try_from(position).expect("a batch has fewer than 2^32 spans"),
            previous,
        });
    }

    fn add_operations(&mut self, batch: &TraceBatch) {
        for span in batch.spans() {
            let service = span.resource.service_name();
            if !self.operations.contains_key(service) {
                self.operations.insert(service.to_owned(), BTreeSet::new());
            }
            let Some(names) = self.operations.get_mut(service) else { continue };
            let is_listed = names.len() < MAX_OPERATIONS && span.span.name.len() <= MAX_LISTED_NAME_BYTES;
            if is_listed && !names.contains(span.span.name) {
                names.insert(span.span.name.to_owned());
            }
        }
    }
}

/// Most span names per service that the tail lists.
const MAX_OPERATIONS: usize = 5000;

#[cfg(test)]
mod tests;
