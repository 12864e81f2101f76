//! Queues on disk: `sending_queue.storage`.
//!
//! A request is appended to a journal and acknowledged after the sync that makes it durable; everything that arrives while
//! the disk syncs shares the next sync. It stays in memory as long as there is little, and is handed over without being
//! read back; else its memory is given back, and it is read again when its turn comes. What was delivered is recorded in
//! the same journal, without a sync of its own: after a kill a little may be sent twice. Segments in which nothing is left
//! are removed.
//!
//! `frame` says what is in the journal, `book` keeps the account, `disk` does what touches files. Here is what connects them
//! to the loop of delivery: nothing in this file waits for the disk. Where the disk is waited for, [`Hands`] says.

pub(super) mod book;
mod commit;
pub(super) mod disk;
mod frame;
mod hands;
mod letters;
mod loader;
pub mod look;
mod stored;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rootspan_journal::directory::Directory;
use rootspan_journal::journal::{JournalError, Sequence};
use rootspan_model::time::UnixNanos;
use tokio::time::Instant;

use self::book::{Book, Size};
use self::disk::{Committed, Disk, Figures};
use self::hands::Tool;
use self::loader::{LoadEnd, Loaded, Loader, Read};
use self::stored::{Letter, Returns, Settled};
use super::queue::Queue;
use super::state::DeliveryState;
use super::{Duty, Limit, QUEUE_RETRY, Waiting};
use crate::ack::{Ack, Outcome, Refusal};
use crate::batch::Batch;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::exporters::sending::OnFull;
use crate::ledger::{DropReason, ExporterIndex, Ledger, RefusalReason};
use crate::runtime::pipeline::Item;

pub(crate) use self::disk::{SEGMENT_BYTES, describe};
pub(crate) use self::hands::Hands;
pub(crate) use self::letters::DeadLetterLimits;
pub(super) use self::stored::Stored;

/// Most bytes of one queue that stay in memory, and the part of the budget that they may be.
const MAX_MEMORY_BYTES: u64 = 16 << 20;
const MEMORY_SHARE: u64 = 8;
/// Most bytes and requests of one sync: bounds the time until the first of them is answered.
const GROUP_BYTES: u64 = 16 << 20;
const GROUP_REQUESTS: usize = 512;
/// How long what was delivered may stay unrecorded when nothing else is written.
const RECORD_AFTER: Duration = Duration::from_millis(100);
/// When to ask again for memory.
const MEMORY_RETRY: Duration = Duration::from_millis(10);
/// When to try again after the disk failed.
const DISK_RETRY: Duration = Duration::from_secs(1);
/// So often reading fails at one place before it is given up.
const READ_ATTEMPTS: u32 = 5;
/// A queue that is empty for so long, with files of at least this length, removes them.
const TIDY_AFTER: Duration = Duration::from_secs(1);
const TIDY_BYTES: u64 = 1 << 20;

/// Where a queue is and what it may take.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// For the log.
    pub(crate) exporter: String,
    /// The folder, for the log.
    pub(crate) folder: String,
    /// Nothing is taken while less of the disk is free.
    pub(crate) min_free_percent: f64,
    pub(crate) dead_letters: DeadLetterLimits,
    /// Length of the files: whole ones are removed, and the newest is read at a start.
    pub(crate) segment_bytes: u64,
    pub(crate) hands: Hands,
}

/// A queue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Somebody else has it, or the folder cannot be locked.
    #[error("{0}")]
    Lock(String),
    /// The journal cannot be opened.
    #[error("{}", describe(.0))]
    Journal(#[from] JournalError),
}

/// The queue of one exporter on disk.
pub(crate) struct Storage {
    settings: Settings,
    clock: Clock,
    book: Book,
    disk: Tool<Disk, Committed>,
    loader: Tool<Loader, Loaded>,
    returns: Arc<Returns>,
    /// What is not durable yet.
    staged: Vec<Staged>,
    /// Those of them that the disk has.
    committing: Vec<Staged>,
    /// Dead letters that the disk does not have.
    letters: Vec<Letter>,
    /// Those that it is being given.
    committing_letters: Vec<Letter>,
    staged_size: Size,
    figures: Figures,
    /// When what was settled is to be recorded.
    record_at: Option<Instant>,
    /// When reading is to be tried again.
    load_at: Option<Instant>,
    /// How far the running load is to go.
    load_until: Sequence,
    failed_loads: u32,
    /// When the last request was appended, if files may be removed since.
    tidy_at: Option<Instant>,
    /// What is wrong with the disk: said when it changes.
    trouble: Option<String>,
    lost_letters: bool,
    /// The reason of the dead letters that were last spoken of.
    said_letter: Option<String>,
    is_closing: bool,
    /// Held as long as the queue is in use.
    _lock: Box<dyn Send + Sync>,
}

/// A request that waits for its sync.
struct Staged {
    batch: Batch,
    ack: Ack,
    size: Size,
    taken: UnixNanos,
}

/// What came back from the disk.
pub(super) struct Finished(Back);

enum Back {
    Committed(Option<Box<(Disk, Committed)>>),
    Loaded(Option<Box<(Loader, Loaded)>>),
}

impl Storage {
    /// Opens the queue in `directory`, which it has for itself from now on. What is found is entered into the ledger.
    pub(crate) fn open(
        directory: Arc<dyn Directory>,
        settings: Settings,
        (ledger, exporter): (Arc<Ledger>, ExporterIndex),
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let lock = directory.lock().map_err(|error| OpenError::Lock(describe(&error)))?;
        let opened = Disk::open(directory, &settings)?;
        let (exporter_id, folder) = (settings.exporter.as_str(), settings.folder.as_str());
        for reason in &opened.damaged {
            tracing::error!(exporter = exporter_id, folder, reason, "a part of the queue is damaged and passed over");
        }
        let found = opened.book.total();
        if found.items > 0 {
            let Size { requests, items, bytes } = found;
            tracing::info!(exporter = exporter_id, folder, requests, items, bytes, "the queue has what waited on disk");
        }
        ledger.recovered(exporter, found.items);
        let keeps_letters = settings.dead_letters.max_bytes > 0;
        let returns = Returns::new(ledger, exporter, Arc::clone(&clock), keeps_letters);
        Ok(Self {
            figures: opened.disk.figures(),
            settings,
            clock,
            book: opened.book,
            disk: Tool::Here(opened.disk),
            loader: Tool::Here(opened.loader),
            returns: Arc::new(returns),
            staged: Vec::new(),
            committing: Vec::new(),
            letters: Vec::new(),
            committing_letters: Vec::new(),
            staged_size: Size::default(),
            record_at: None,
            load_at: None,
            load_until: Sequence(0),
            failed_loads: 0,
            tidy_at: None,
            trouble: None,
            lost_letters: false,
            said_letter: None,
            is_closing: false,
            _lock: lock,
        })
    }

    /// What waits or is on the way.
    pub(super) fn used(&self) -> Size {
        let mut used = self.book.total();
        used += self.staged_size;
        used
    }

    /// Says what is on disk, for the page and the metrics.
    pub(super) fn tell(&self, state: &DeliveryState) {
        state.set_disk(&self.settings.folder, self.book.total(), self.figures);
    }

    /// Bytes of requests in memory.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.book.outstanding_bytes() + self.staged_size.bytes
    }

    /// When the oldest request in memory was taken.
    pub(super) fn oldest(&self) -> Option<UnixNanos> {
        self.book.oldest()
    }

    /// Takes a request to be appended, or refuses it.
    pub(super) fn stage(&mut self, item: Item, limit: Option<Limit>) {
        let Item { batch, ack } = item;
        let size = Size::of_request(batch.items(), batch.bytes().len() as u64);
        if let Some(limit) = limit {
            let used = self.used().by(limit.sizer);
            // As in memory: one that is longer than an empty queue, or that waited for room, is taken.
            if used > 0 && !limit.blocks && used + size.by(limit.sizer) > limit.size {
                match limit.on_full {
                    OnFull::Refuse => {
                        let message = "the exporter's queue on disk is full; try again later";
                        let refusal = Refusal::retry(RefusalReason::QueueFull, message, QUEUE_RETRY);
                        ack.settle(Outcome::Refused(refusal));
                    }
                    OnFull::Drop => ack.take_over().dropped(DropReason::QueueFull),
                }
                return;
            }
        }
        self.staged_size += size;
        self.staged.push(Staged { batch, ack, size, taken: (self.clock)() });
    }

    /// Nothing more comes: what is staged is appended, what was settled is recorded, nothing more is read.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether everything is done that [`Storage::close`] asked for; every export must have ended.
    pub(super) fn is_closed(&self) -> bool {
        // Where the disk fails, what is not recorded is sent twice.
        let is_recorded = self.trouble.is_some() || !self.has_records();
        !self.is_busy() && self.staged.is_empty() && (self.disk.is_gone() || is_recorded)
    }

    /// Says what stays on disk.
    pub(super) fn say_what_stays(&self) {
        let Size { requests, items, .. } = self.book.total();
        if items > 0 {
            let (exporter, folder) = (self.settings.exporter.as_str(), self.settings.folder.as_str());
            tracing::info!(
                exporter,
                folder,
                requests,
                items,
                "what was not delivered stays on disk for the next start"
            );
        }
    }

    /// Whether something is on its way to or from the disk.
    pub(super) fn is_busy(&self) -> bool {
        self.disk.is_away() || self.loader.is_away()
    }

    /// Waits for the disk. Cancel-safe.
    pub(super) async fn finished(&mut self) -> Finished {
        poll_fn(|context| {
            if let Tool::Away(work) = &mut self.disk
                && let Poll::Ready(done) = work.as_mut().poll(context)
            {
                self.disk = Tool::Gone;
                return Poll::Ready(Finished(Back::Committed(done.map(Box::new))));
            }
            if let Tool::Away(work) = &mut self.loader
                && let Poll::Ready(done) = work.as_mut().poll(context)
            {
                self.loader = Tool::Gone;
                return Poll::Ready(Finished(Back::Loaded(done.map(Box::new))));
            }
            Poll::Pending
        })
        .await
    }

    /// When to look again although nothing happened.
    pub(super) fn due(&self) -> Option<Instant> {
        let record = self.record_at.filter(|_| self.disk.is_here());
        let tidy = self.tidy_at.filter(|_| self.disk.is_here() && self.is_untidy());
        let load = self.load_at.filter(|_| self.loader.is_here() && !self.is_closing);
        [record, tidy, load].into_iter().flatten().min()
    }

    /// Whether there is more on disk that cannot come into memory now: waiting for it is of no use.
    pub(super) fn is_memory_full(&self) -> bool {
        !self.book.is_caught_up() && !self.loader.is_away()
    }

    /// Takes what came back and begins what can begin.
    pub(super) fn work(&mut self, budget: &Arc<Budget>, now: Instant) {
        self.take_settled(now);
        self.begin_commit(now);
        self.begin_load(budget, now);
    }

    fn take_settled(&mut self, now: Instant) {
        // What is settled while the disk writes an account is not in it, and would be taken for recorded with it.
        if self.disk.is_away() {
            return;
        }
        for Settled { sequence, letter } in self.returns.take() {
            self.book.settle(sequence);
            self.letters.extend(letter);
            self.record_at.get_or_insert(now + RECORD_AFTER);
        }
    }

    /// Whether something is settled and not recorded, or refused and not kept.
    fn has_records(&self) -> bool {
        self.book.is_unrecorded() || !self.letters.is_empty()
    }

    /// Whether the queue is empty and its files are not.
    fn is_untidy(&self) -> bool {
        self.book.total() == Size::default() && self.figures.queue_bytes >= TIDY_BYTES && self.staged.is_empty()
    }

    fn begin_load(&mut self, budget: &Arc<Budget>, now: Instant) {
        let most = memory_limit(budget);
        let wanted = most / 2;
        if self.load_at.is_some_and(|at| at > now) {
            return;
        }
        self.load_at = None;
        if self.is_closing || self.book.is_caught_up() || self.book.outstanding_bytes() >= wanted {
            return;
        }
        let Some(mut loader) = self.loader.take() else { return };
        if self.failed_loads >= READ_ATTEMPTS {
            loader.pass_over_segment();
            self.failed_loads = 0;
        }
        let (from, until) = (self.book.next_read(), self.book.durable());
        self.load_until = until;
        let budget = Arc::clone(budget);
        self.loader = Tool::Away(self.settings.hands.run("queue on disk", move || {
            let loaded = loader.load(from, until, wanted, &budget);
            (loader, loaded)
        }));
    }

    /// What came back from the disk goes where it belongs.
    pub(super) fn finish(&mut self, finished: Finished, queue: &mut Queue, budget: &Arc<Budget>) {
        let now = Instant::now();
        match finished.0 {
            Back::Committed(Some(done)) => {
                let (disk, committed) = *done;
                self.disk = Tool::Here(disk);
                self.committed(committed, queue, budget, now);
            }
            Back::Loaded(Some(done)) => {
                let (loader, loaded) = *done;
                self.loader = Tool::Here(loader);
                self.loaded(loaded, queue, now);
            }
            Back::Committed(None) | Back::Loaded(None) => self.refuse_staged(),
        }
        if let Tool::Here(loader) = &mut self.loader {
            loader.let_go_of_removed();
        }
    }

    fn loaded(&mut self, loaded: Loaded, queue: &mut Queue, now: Instant) {
        let Loaded { frames, end, damaged } = loaded;
        let (exporter, folder) = (self.settings.exporter.clone(), self.settings.folder.clone());
        for reason in damaged {
            tracing::error!(exporter, folder, reason, "a part of the queue is damaged and passed over");
        }
        self.failed_loads =
            if matches!(end, LoadEnd::Failed(_)) && frames.is_empty() { self.failed_loads + 1 } else { 0 };
        for read in frames {
            match read {
                Read::Other { sequence } => self.book.read_other(sequence),
                Read::Request { sequence, batch, size, taken } => {
                    if self.book.read_request(sequence, size, taken) && !self.is_closing {
                        self.hand_over(queue, sequence, batch, size, taken, now);
                    }
                }
            }
        }
        match end {
            LoadEnd::Enough => {}
            LoadEnd::CaughtUp => self.book.read_through(self.load_until),
            LoadEnd::NoMemory => self.load_at = Some(now + MEMORY_RETRY),
            LoadEnd::Failed(reason) => {
                self.load_at = Some(now + DISK_RETRY);
                tracing::error!(exporter, folder, reason, "the queue cannot be read; it is tried again");
            }
        }
        let lost = self.book.take_lost();
        if lost.items > 0 {
            let Returns { ledger, exporter: index, .. } = self.returns.as_ref();
            ledger.exported_from_disk(*index, lost.items, lost.items, DropReason::StorageCorrupt);
            let items = lost.items;
            tracing::error!(exporter, folder, items, "spans in damaged parts of the queue are lost");
        }
    }

    fn hand_over(
        &self,
        queue: &mut Queue,
        sequence: Sequence,
        batch: Batch,
        size: Size,
        taken: UnixNanos,
        now: Instant,
    ) {
        let stored = Stored::new(Arc::clone(&self.returns), sequence, size.items, taken);
        queue.push(Waiting { batch, duty: Duty::Stored(stored), since: now, taken, room: None });
    }
}

/// Most bytes of a queue that stay in memory.
fn memory_limit(budget: &Budget) -> u64 {
    MAX_MEMORY_BYTES.min(budget.limit() / MEMORY_SHARE)
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("settings", &self.settings).field("book", &self.book).finish_non_exhaustive()
    }
}
