//! What the store's threads and its callers share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rootspan_journal::directory::Directory;
use rootspan_model::time::UnixNanos;

use crate::block::entry::BlockEntry;
use crate::block::{Block, Caches};
use crate::cache::Cache;
use crate::catalog::Catalog;
use crate::coverage::backends::Known;
use crate::coverage::entry::CoverageEntry;
use crate::coverage::file::Content;
use crate::store::{Options, StoreStatus};
use crate::tail::{HOUR_NANOS, Tail, TailView};

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) options: Options,
    pub(crate) caches: Caches,
    pub(crate) counters: Counters,
    pub(crate) coverage_cache: Cache<Content>,
    /// Requests whose back ends have told.
    pub(crate) known_backends: Known,
    state: RwLock<State>,
    catalog: Mutex<Catalog>,
    /// The hours of blocks that are set aside, one each; `None`: not known.
    set_aside: Mutex<Vec<Option<u64>>>,
}

/// Everything that is searched. Changed in one step, so that a span is never seen twice or not at all.
#[derive(Debug, Default)]
struct State {
    /// The latest start first.
    blocks: Arc<Vec<Arc<LiveBlock>>>,
    /// By hour, then age.
    coverage: Arc<Vec<Arc<LiveCoverage>>>,
    /// Oldest first; the last one is being filled.
    tails: Vec<Arc<Tail>>,
}

/// A block and its operations' numbers in the catalogue.
#[derive(Debug)]
pub(crate) struct LiveBlock {
    pub(crate) block: Block,
    operations: Vec<u32>,
}

/// A file of coverage.
#[derive(Debug)]
pub(crate) struct LiveCoverage {
    pub(crate) entry: CoverageEntry,
}

/// The store at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) blocks: Arc<Vec<Arc<LiveBlock>>>,
    pub(crate) coverage: Arc<Vec<Arc<LiveCoverage>>>,
    pub(crate) tails: Vec<TailView>,
}

/// Figures that only grow, and sizes that their owners set.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) ingested_spans: AtomicU64,
    pub(crate) damaged_blocks: AtomicU64,
    pub(crate) last_ingest: AtomicU64,
    pub(crate) newest_start: AtomicU64,
    pub(crate) journal_bytes: AtomicU64,
    pub(crate) manifest_bytes: AtomicU64,
}

/// Sums of some hours that are looked at again and again.
const COVERAGE_CACHE_BYTES: usize = 32 << 20;

impl Shared {
    pub(crate) fn new(directory: Arc<dyn Directory>, options: Options) -> Self {
        Self {
            directory,
            options,
            caches: Caches::new(),
            counters: Counters::default(),
            coverage_cache: Cache::new(COVERAGE_CACHE_BYTES),
            known_backends: Known::default(),
            state: RwLock::new(State { tails: vec![Arc::default()], ..State::default() }),
            catalog: Mutex::default(),
            set_aside: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> UnixNanos {
        (self.options.clock)()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.read();
        let (blocks, coverage) = (Arc::clone(&state.blocks), Arc::clone(&state.coverage));
        Snapshot { blocks, coverage, tails: state.tails.iter().map(Tail::view).collect() }
    }

    /// The tail that is being filled.
    pub(crate) fn active_tail(&self) -> Arc<Tail> {
        Arc::clone(self.read().tails.last().expect("there is always an active tail"))
    }

    /// Begins a new tail; the old one is returned and stays searchable until [`Shared::replace_tail`].
    pub(crate) fn freeze_tail(&self) -> Arc<Tail> {
        let mut state = self.write();
        state.tails.push(Arc::default());
        Arc::clone(&state.tails[state.tails.len() - 2])
    }

    /// Adds a seal's blocks and drops the tail they were made of.
    pub(crate) fn replace_tail(&self, tail: Option<&Arc<Tail>>, blocks: Vec<Block>, coverage: Vec<CoverageEntry>) {
        let mut live: Vec<Arc<LiveBlock>> = Vec::with_capacity(blocks.len());
        let newest = match tail {
            Some(tail) => tail.figures().newest_start,
            None => blocks.iter().map(|block| newest_start(&block.entry, self.now())).max().unwrap_or(0),
        };
        self.counters.newest_start.fetch_max(newest, Ordering::Relaxed);
        {
            let mut catalog = self.catalog();
            for mut block in blocks {
                let operations = catalog.add(&std::mem::take(&mut block.entry.operations));
                live.push(Arc::new(LiveBlock { block, operations }));
            }
        }
        let mut state = self.write();
        let mut all: Vec<Arc<LiveBlock>> = state.blocks.iter().cloned().chain(live).collect();
        all.sort_by_key(|live| std::cmp::Reverse((live.block.entry.max_start, live.block.entry.id)));
        state.blocks = Arc::new(all);
        if !coverage.is_empty() {
            let added = coverage.into_iter().map(|entry| Arc::new(LiveCoverage { entry }));
            let mut all: Vec<Arc<LiveCoverage>> = state.coverage.iter().cloned().chain(added).collect();
            all.sort_by_key(|live| (live.entry.hour, live.entry.id));
            state.coverage = Arc::new(all);
        }
        if let Some(tail) = tail {
            state.tails.retain(|other| !Arc::ptr_eq(other, tail));
        }
    }

    /// Takes blocks out.
    pub(crate) fn remove_blocks(&self, ids: &BTreeSet<u64>) {
        let mut state = self.write();
        let (gone, kept): (Vec<_>, Vec<_>) =
            state.blocks.iter().cloned().partition(|live| ids.contains(&live.block.entry.id));
        state.blocks = Arc::new(kept);
        drop(state);
        let mut catalog = self.catalog();
        for live in gone {
            catalog.remove(&live.operations);
            self.caches.remove(live.block.entry.id);
        }
    }

    /// Takes files of coverage out.
    pub(crate) fn remove_coverage(&self, ids: &BTreeSet<u64>) {
        let mut state = self.write();
        let kept = state.coverage.iter().filter(|live| !ids.contains(&live.entry.id)).cloned().collect();
        state.coverage = Arc::new(kept);
        drop(state);
        ids.iter().for_each(|id| self.coverage_cache.remove(*id));
    }

    pub(crate) fn coverage(&self) -> Arc<Vec<Arc<LiveCoverage>>> {
        Arc::clone(&self.read().coverage)
    }

    pub(crate) fn has_coverage(&self, id: u64) -> bool {
        self.read().coverage.iter().any(|live| live.entry.id == id)
    }

    /// The entries of all blocks, complete, if their number is such that somebody wants them.
    pub(crate) fn entries_if(&self, wanted: impl FnOnce(usize) -> bool) -> Option<Vec<BlockEntry>> {
        let blocks = Arc::clone(&self.read().blocks);
        if !wanted(blocks.len()) {
            return None;
        }
        let catalog = self.catalog();
        let entry = |live: &Arc<LiveBlock>| BlockEntry {
            operations: catalog.operations(&live.operations),
            ..live.block.entry.clone()
        };
        Some(blocks.iter().map(entry).collect())
    }

    pub(crate) fn blocks(&self) -> Arc<Vec<Arc<LiveBlock>>> {
        Arc::clone(&self.read().blocks)
    }

    pub(crate) fn has_block(&self, id: u64) -> bool {
        self.read().blocks.iter().any(|live| live.block.entry.id == id)
    }

    /// Remembers that a block of `hour` is not read.
    pub(crate) fn add_set_aside(&self, hour: Option<u64>) {
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner).push(hour);
    }

    /// One sentence if blocks are set aside that may hold spans with such starts. What retention would have removed
    /// meanwhile is not missed.
    pub(crate) fn missing(&self, start: Option<UnixNanos>, end: Option<UnixNanos>) -> Option<String> {
        let retention = u64::try_from(self.options.retention.as_nanos()).unwrap_or(u64::MAX);
        let oldest_kept = self.now().0.saturating_sub(retention);
        let from = start.map_or(0, |start| start.0).max(oldest_kept);
        let until = end.map_or(u64::MAX, |end| end.0);
        let may_hold = |hour: &Option<u64>| {
            hour.is_none_or(|hour| {
                (hour + 1).saturating_mul(HOUR_NANOS) > from && hour.saturating_mul(HOUR_NANOS) < until
            })
        };
        let aside = self.set_aside.lock().unwrap_or_else(PoisonError::into_inner);
        match aside.iter().filter(|hour| may_hold(hour)).count() {
            0 => None,
            1 => Some("1 damaged block is set aside, and its spans are missing".to_owned()),
            count => Some(format!("{count} damaged blocks are set aside, and their spans are missing")),
        }
    }

    pub(crate) fn services(&self) -> BTreeSet<String> {
        let mut services = BTreeSet::new();
        self.catalog().services(&mut services);
        for tail in &self.read().tails {
            tail.services(&mut services);
        }
        services
    }

    pub(crate) fn operations(&self, service: &str) -> BTreeSet<String> {
        let mut operations = BTreeSet::new();
        self.catalog().operations_of(service, &mut operations);
        for tail in &self.read().tails {
            tail.operations(service, &mut operations);
        }
        operations
    }

    /// Bytes on disk in all.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        let state = self.read();
        let blocks: u64 = state.blocks.iter().map(|live| live.block.entry.bytes).sum();
        let coverage: u64 = state.coverage.iter().map(|live| live.entry.bytes).sum();
        let journals = &self.counters;
        blocks
            + coverage
            + journals.journal_bytes.load(Ordering::Relaxed)
            + journals.manifest_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn status(&self) -> StoreStatus {
        let counters = &self.counters;
        let some = |nanos: u64| (nanos > 0).then_some(UnixNanos(nanos));
        let snapshot = self.blocks();
        let tail_figures: Vec<_> = self.read().tails.iter().map(|tail| tail.figures()).collect();
        let newest = tail_figures.iter().map(|figures| figures.newest_start).max().unwrap_or(0);
        StoreStatus {
            ingested_spans: counters.ingested_spans.load(Ordering::Relaxed),
            tail_spans: tail_figures.iter().map(|figures| figures.spans as u64).sum(),
            block_spans: snapshot.iter().map(|live| live.block.entry.spans).sum(),
            blocks: snapshot.len() as u64,
            damaged_blocks: counters.damaged_blocks.load(Ordering::Relaxed),
            bytes_on_disk: self.bytes_on_disk(),
            max_bytes: self.options.max_bytes,
            newest_span_start: some(newest.max(counters.newest_start.load(Ordering::Relaxed))),
            last_ingest: some(counters.last_ingest.load(Ordering::Relaxed)),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest start in a block, without what clocks that were ahead claimed: a block's hour is at most the one after
/// its spans were received.
fn newest_start(entry: &BlockEntry, now: UnixNanos) -> u64 {
    entry.max_start.min((entry.hour + 1).saturating_mul(HOUR_NANOS)).min(now.0)
}
