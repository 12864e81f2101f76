//! What a query works on: the store at one moment, its limits, and what to do with a block that cannot be read.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rootspan_model::ids::TraceId;
use rootspan_model::time::UnixNanos;

use crate::block::filter::{Filter, trace_hash};
use crate::block::{Block, Caches};
use crate::limits::{Guard, Stop};
use crate::maintenance::Work;
use crate::shared::{Shared, Snapshot};
use crate::store::QueryError;

/// See the module.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) snapshot: Snapshot,
    pub(crate) guard: &'a Guard,
    shared: &'a Shared,
    work: &'a Work,
    /// What was left out.
    omitted: RefCell<Option<String>>,
    /// The trace filters of all blocks, for queries that ask them about every trace.
    filters: OnceCell<Vec<(u64, Arc<Filter>)>>,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(shared: &'a Shared, work: &'a Work, guard: &'a Guard) -> Self {
        Self { snapshot: shared.snapshot(), guard, shared, work, omitted: RefCell::new(None), filters: OnceCell::new() }
    }

    /// The same, but for blocks of other hours.
    pub(crate) fn limited_to(&self, hours: std::ops::RangeInclusive<u64>) -> Self {
        let blocks = self.snapshot.blocks.iter().filter(|live| hours.contains(&live.block.entry.hour));
        let snapshot = Snapshot {
            blocks: Arc::new(blocks.cloned().collect()),
            coverage: Arc::default(),
            tails: self.snapshot.tails.clone(),
        };
        let (omitted, filters) = (RefCell::new(None), OnceCell::new());
        Self { snapshot, guard: self.guard, shared: self.shared, work: self.work, omitted, filters }
    }

    pub(crate) fn caches(&self) -> &'a Caches {
        &self.shared.caches
    }

    /// Blocks that can be read, the latest start first.
    pub(crate) fn blocks(&self) -> impl DoubleEndedIterator<Item = &Block> {
        self.snapshot.blocks.iter().map(|live| &live.block).filter(|block| !block.is_damaged())
    }

    /// Whether no part of a trace can lie anywhere but in `block`. A block whose filter cannot be read may have one.
    pub(crate) fn is_only_in(&self, block: &Block, id: &TraceId) -> bool {
        let filters = self.filters.get_or_init(|| {
            let filter = |block: &Block| Some((block.entry.id, block.trace_filter(self.caches()).ok()?));
            self.blocks().filter_map(filter).collect()
        });
        let hash = trace_hash(id.as_bytes());
        filters.len() == self.blocks().count()
            && filters.iter().all(|(other, filter)| *other == block.entry.id || !filter.may_contain(hash))
            && self.snapshot.tails.iter().all(|tail| !tail.contains(id))
    }

    /// The result of reading `block`, or `None` if the block is damaged: then it is reported and left out from now on.
    /// What is not damage (a limit, a failing disk) ends the query.
    pub(crate) fn of_block<T>(&self, block: &Block, result: Result<T, Stop>) -> Result<Option<T>, QueryError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Stop::Limit(error)) => Err(error),
            Err(Stop::Block(error)) => self.unreadable(block, &error).map(|()| None),
        }
    }

    fn unreadable(&self, block: &Block, error: &io::Error) -> Result<(), QueryError> {
        match error.kind() {
            // Retention removed it while this query ran.
            io::ErrorKind::NotFound if !self.shared.has_block(block.entry.id) => Ok(()),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => {
                if block.set_damaged() {
                    self.shared.counters.damaged_blocks.fetch_add(1, Ordering::Relaxed);
                    self.shared.add_set_aside(Some(block.entry.hour));
                    self.work.report_damaged(block.entry.id, error.to_string());
                }
                *self.omitted.borrow_mut() = Some(format!("a damaged block was set aside: {error}"));
                Ok(())
            }
            _ => Err(QueryError::Io(error.to_string())),
        }
    }

    /// Why an answer about starts in this range is incomplete, if it is: also for blocks that earlier queries, or an
    /// earlier process, found damaged.
    pub(crate) fn missing(&self, start: Option<UnixNanos>, end: Option<UnixNanos>) -> Option<String> {
        self.shared.missing(start, end).or_else(|| self.omitted.borrow().clone())
    }
}
