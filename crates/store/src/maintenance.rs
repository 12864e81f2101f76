//! The maintenance thread: seals frozen tails, removes what is too old or too much, sets damaged blocks aside.
//! It alone writes the manifest and touches block files. (Compaction of closed hours will be one more duty here.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rootspan_journal::directory::checksum;
use rootspan_journal::journal::Sequence;

use crate::block::set_aside;
use crate::coverage::entry::CoverageEntry;
use crate::manifest::{Contents, Manifest};
use crate::seal::seal;
use crate::shared::{LiveBlock, Shared};
use crate::tail::{HOUR_NANOS, Tail};

/// Retention is looked at this often when nothing is sealed.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// A failed seal is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What waits to be done; shared with the writer and the queries.
#[derive(Debug, Default)]
pub(crate) struct Work {
    state: Mutex<WorkState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct WorkState {
    /// The tail to be sealed.
    frozen: Option<Arc<Tail>>,
    /// Why the last attempt to seal it failed.
    failure: Option<SealFailure>,
    /// The journal up to here is in blocks.
    applied: Option<Sequence>,
    /// Blocks that a query found damaged, with the reason.
    damaged: Vec<(u64, String)>,
    stopped: bool,
}

/// Why the last attempt to seal a tail failed, for those who wait for it.
#[derive(Clone, Debug)]
pub(crate) struct SealFailure {
    pub(crate) reason: String,
    /// An operator can do something about it: make space.
    pub(crate) is_disk_full: bool,
}

impl Work {
    /// Hands over a tail. There is none before it: the writer waits.
    pub(crate) fn seal(&self, tail: Arc<Tail>) {
        let mut state = self.lock();
        debug_assert!(state.frozen.is_none(), "one tail is sealed at a time");
        state.frozen = Some(tail);
        state.failure = None;
        self.changed.notify_all();
    }

    pub(crate) fn is_sealing(&self) -> bool {
        self.lock().frozen.is_some()
    }

    /// Forgets why the last attempt failed, so that the next one begins at once.
    pub(crate) fn retry(&self) {
        self.lock().failure = None;
        self.changed.notify_all();
    }

    /// Waits until no tail is being sealed; an error if it fails to.
    pub(crate) fn wait_for_seal(&self) -> Result<(), SealFailure> {
        let mut state = self.lock();
        loop {
            if state.frozen.is_none() {
                return Ok(());
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.stopped {
                return Err(SealFailure { reason: "the store is closed".to_owned(), is_disk_full: false });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The journal up to here may be removed.
    pub(crate) fn take_applied(&self) -> Option<Sequence> {
        self.lock().applied.take()
    }

    pub(crate) fn report_damaged(&self, block: u64, reason: String) {
        self.lock().damaged.push((block, reason));
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, WorkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's state.
pub(crate) struct Maintenance {
    pub(crate) shared: Arc<Shared>,
    pub(crate) work: Arc<Work>,
    pub(crate) manifest: Manifest,
    pub(crate) next_id: u64,
    pub(crate) applied_through: Sequence,
}

impl Maintenance {
    /// Runs until the writer stops it.
    pub(crate) fn run(mut self) {
        // However this thread ends, nobody may wait for it.
        let _stop = StopOnDrop(Arc::clone(&self.work));
        let mut pause = Duration::ZERO;
        loop {
            let Some((frozen, damaged)) = self.next(pause) else { return };
            pause = RETENTION_INTERVAL;
            if let Some(tail) = frozen
                && !self.seal(&tail)
            {
                pause = RETRY_AFTER;
            }
            if !damaged.is_empty() {
                self.set_aside(damaged);
            }
            self.count_manifest();
            self.apply_retention();
            self.count_manifest();
        }
    }

    fn count_manifest(&self) {
        self.shared.counters.manifest_bytes.store(self.manifest.bytes_on_disk(), Ordering::Relaxed);
    }

    /// Waits for something to do, at most `pause`. `None`: stop.
    #[expect(clippy::type_complexity, reason = "a pair that is taken apart at once")]
    fn next(&self, pause: Duration) -> Option<(Option<Arc<Tail>>, Vec<(u64, String)>)> {
        let mut state = self.work.lock();
        let has_work = |state: &WorkState| {
            state.stopped || !state.damaged.is_empty() || state.frozen.is_some() && state.failure.is_none()
        };
        if !has_work(&state) {
            let waited = self.work.changed.wait_timeout_while(state, pause, |state| !has_work(state));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        // Damaged blocks are set aside before the end, or the next start would find them again.
        if state.stopped && state.damaged.is_empty() {
            return None;
        }
        // Whoever waits now waits for this attempt.
        state.failure = None;
        Some((state.frozen.clone(), std::mem::take(&mut state.damaged)))
    }

    fn seal(&mut self, tail: &Arc<Tail>) -> bool {
        let through = tail.figures().through;
        let result = seal(&self.shared, &mut self.manifest, &mut self.next_id, tail);
        let mut state = self.work.lock();
        let sealed = result.is_ok();
        match result {
            Ok(()) => {
                self.applied_through = through;
                state.applied = Some(through);
                state.frozen = None;
                state.failure = None;
            }
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(error = reason, "spans could not be sealed into blocks and stay in the journal");
                state.failure = Some(SealFailure { reason, is_disk_full: error.is_disk_full() });
            }
        }
        self.work.changed.notify_all();
        sealed
    }

    /// Takes damaged blocks out of the store and out of the way.
    fn set_aside(&mut self, damaged: Vec<(u64, String)>) {
        let blocks = self.shared.blocks();
        for (id, reason) in damaged {
            let Some(live) = blocks.iter().find(|live| live.block.entry.id == id) else { continue };
            let path = live.block.entry.path();
            if self.remove(&[Arc::clone(live)], &[]) {
                match set_aside(self.shared.directory.as_ref(), &path) {
                    Ok(()) => tracing::warn!(path, reason, "a damaged block was set aside"),
                    Err(error) => tracing::warn!(path, reason, %error, "a damaged block could not be renamed"),
                }
            }
        }
    }

    /// Removes whole hours that are too old, then the oldest ones until the rest fits.
    fn apply_retention(&mut self) {
        let blocks = self.shared.blocks();
        let mut hours: BTreeMap<u64, Vec<Arc<LiveBlock>>> = BTreeMap::new();
        for live in blocks.iter() {
            hours.entry(live.block.entry.hour).or_default().push(Arc::clone(live));
        }
        let mut coverage: BTreeMap<u64, Vec<CoverageEntry>> = BTreeMap::new();
        for live in self.shared.coverage().iter() {
            coverage.entry(live.entry.hour).or_default().push(live.entry.clone());
            hours.entry(live.entry.hour).or_default();
        }
        let retention = u64::try_from(self.shared.options.retention.as_nanos()).unwrap_or(u64::MAX);
        let oldest_kept = self.shared.now().0.saturating_sub(retention);
        let mut bytes = self.shared.bytes_on_disk();
        let max_bytes = self.shared.options.max_bytes.unwrap_or(u64::MAX);
        for (hour, blocks) in hours {
            let is_old = (hour + 1).saturating_mul(HOUR_NANOS) <= oldest_kept;
            if !is_old && bytes <= max_bytes {
                break;
            }
            let coverage = coverage.remove(&hour).unwrap_or_default();
            if !self.remove(&blocks, &coverage) {
                break;
            }
            for entry in coverage {
                bytes = bytes.saturating_sub(entry.bytes);
                if let Err(error) = checksum::remove(self.shared.directory.as_ref(), &entry.path()) {
                    tracing::warn!(%error, path = entry.path(), "expired coverage could not be removed");
                }
            }
            for live in blocks {
                bytes = bytes.saturating_sub(live.block.entry.bytes);
                if let Err(error) = checksum::remove(self.shared.directory.as_ref(), &live.block.entry.path()) {
                    // It is not in the manifest any more: opening removes it.
                    tracing::warn!(%error, path = live.block.entry.path(), "an expired block could not be removed");
                }
            }
        }
        self.shorten_manifest();
    }

    /// Takes blocks and coverage out of manifest and memory.
    fn remove(&mut self, blocks: &[Arc<LiveBlock>], coverage: &[CoverageEntry]) -> bool {
        let ids: BTreeSet<u64> = blocks.iter().map(|live| live.block.entry.id).collect();
        let coverage: BTreeSet<u64> = coverage.iter().map(|entry| entry.id).collect();
        if let Err(error) = self.manifest.remove(ids.union(&coverage).copied().collect()) {
            tracing::warn!(error = chain(&error), "the store's manifest could not be written");
            return false;
        }
        self.shared.remove_blocks(&ids);
        self.shared.remove_coverage(&coverage);
        true
    }

    fn shorten_manifest(&mut self) {
        let coverage = self.shared.coverage();
        let entries = self.shared.entries_if(|count| self.manifest.is_long(count + coverage.len()));
        let Some(entries) = entries else { return };
        let contents = Contents {
            coverage: coverage.iter().map(|live| (live.entry.id, live.entry.clone())).collect(),
            blocks: entries.into_iter().map(|entry| (entry.id, entry)).collect(),
            applied_through: self.applied_through,
            next_id: self.next_id,
        };
        if let Err(error) = self.manifest.rewrite(&contents) {
            tracing::warn!(error = chain(&error), "the store's manifest could not be rewritten");
        }
    }
}

/// See [`Maintenance::run`].
struct StopOnDrop(Arc<Work>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
