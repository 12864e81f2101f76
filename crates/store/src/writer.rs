//! The writer thread: everything that waits goes to the journal, one sync makes it durable, then it becomes
//! searchable and is answered. The next group gathers while the disk syncs; there is no timer.
//!
//! Every batch's `done` is called exactly once, whatever happens: [`Pending`] calls it when it is dropped unanswered,
//! so also when the thread panics or the queue is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use rootspan_journal::journal::{Journal, JournalError, Sequence};
use rootspan_wire::cloudfront::observation::Observations;
use rootspan_wire::otlp::batch::TraceBatch;

use crate::coverage::Arrival;
use crate::coverage::gather::{frame, gather};
use crate::coverage::seen::Seen;
use crate::maintenance::{SealFailure, Work, chain as with_cause};
use crate::shared::Shared;
use crate::store::{Done, IngestError};
use crate::tail::Placement;

/// Most batches that wait to be written. Each holds its bytes, which the gateway's memory budget accounts for.
pub(crate) const QUEUE_BATCHES: usize = 1024;
/// Most batches in one group: bounds the time until the first of them is answered.
const GROUP_BATCHES: usize = 256;
/// Most bytes in one group.
const GROUP_BYTES: usize = 8 << 20;
/// A tail is sealed when it holds this much, however few the spans.
const SEAL_BYTES: usize = 64 << 20;
/// How often the age of the tail and finished seals are looked at when nothing comes in.
const IDLE: Duration = Duration::from_millis(250);

/// What can be written.
pub(crate) enum Content {
    Spans(TraceBatch),
    Observations { observations: Observations, arrival: Arrival },
}

impl Content {
    fn len(&self) -> usize {
        match self {
            Self::Spans(batch) => batch.bytes().len(),
            Self::Observations { observations, .. } => observations.bytes().len(),
        }
    }
}

/// What waits.
pub(crate) struct Pending {
    content: Content,
    done: Option<Done>,
    waiting: Arc<AtomicUsize>,
}

/// What the writer is told.
pub(crate) enum Command {
    Write(Pending),
    /// Seal the tail now and answer when its blocks are durable.
    Seal(SyncSender<Result<(), String>>),
    /// Commit what waits, seal, stop.
    Close(SyncSender<Result<(), String>>),
}

/// The thread's state.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Journal,
    pub(crate) work: Arc<Work>,
    /// The records that were counted.
    pub(crate) seen: Seen,
    pub(crate) commands: Receiver<Command>,
}

impl Pending {
    pub(crate) fn new(content: Content, done: Done, waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self { content, done: Some(done), waiting: Arc::clone(waiting) }
    }

    pub(crate) fn settle(mut self, result: Result<(), IngestError>) {
        self.answer(result);
    }

    fn answer(&mut self, result: Result<(), IngestError>) {
        if let Some(done) = self.done.take() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            done(result);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.answer(Err(IngestError::Closed));
    }
}

impl Writer {
    /// Runs until the store is closed or all its handles are gone.
    pub(crate) fn run(mut self) {
        let _stop_maintenance = StopOnDrop(Arc::clone(&self.work));
        loop {
            self.remove_applied();
            match self.commands.recv_timeout(IDLE) {
                Ok(Command::Write(first)) => {
                    let after = self.group(first);
                    if let Some(command) = after
                        && self.other(command)
                    {
                        return;
                    }
                }
                Ok(command) => {
                    if self.other(command) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.freeze_if_due();
        }
    }

    /// Commits `first` and everything that waits behind it. Returns a command that is no batch, if one was met.
    fn group(&mut self, first: Pending) -> Option<Command> {
        let mut bytes = first.content.len();
        let mut group = vec![first];
        let mut after = None;
        while group.len() < GROUP_BATCHES && bytes < GROUP_BYTES {
            match self.commands.try_recv() {
                Ok(Command::Write(pending)) => {
                    bytes += pending.content.len();
                    group.push(pending);
                }
                Ok(command) => {
                    after = Some(command);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(group);
        after
    }

    fn commit(&mut self, group: Vec<Pending>) {
        if let Err(error) = self.admit() {
            for pending in group {
                pending.settle(Err(error.clone()));
            }
            return;
        }
        let received = self.shared.now();
        let mut written: Vec<(Pending, Sequence, Option<Vec<u8>>)> = Vec::with_capacity(group.len());
        for pending in group {
            let (appended, frame) = match &pending.content {
                Content::Spans(batch) => (self.journal.append(batch.bytes()), None),
                Content::Observations { observations, arrival } => {
                    let frame = frame(observations.bytes(), *arrival, received);
                    (self.journal.append(&frame), Some(frame))
                }
            };
            match appended {
                Ok(sequence) => written.push((pending, sequence, frame)),
                Err(error) => pending.settle(Err(ingest_error(&error))),
            }
        }
        if written.is_empty() {
            return;
        }
        if let Err(error) = self.journal.sync() {
            let error = ingest_error(&error);
            for (pending, ..) in written {
                pending.settle(Err(error.clone()));
            }
            return;
        }
        self.publish(written);
        self.shared.counters.journal_bytes.store(self.journal.bytes_on_disk(), Ordering::Relaxed);
    }

    /// Makes what is durable searchable, and answers.
    fn publish(&mut self, written: Vec<(Pending, Sequence, Option<Vec<u8>>)>) {
        let received = self.shared.now();
        let placement = Placement::new(received, self.shared.options.retention);
        let tail = self.shared.active_tail();
        let counters = &self.shared.counters;
        for (pending, sequence, frame) in written {
            if let Content::Spans(batch) = &pending.content {
                let spans = batch.span_count() as u64;
                tail.insert(batch.clone(), sequence, received, placement);
                counters.ingested_spans.fetch_add(spans, Ordering::Relaxed);
            }
            if let Some(frame) = frame {
                let gathered = gather(&self.shared, &tail, &mut self.seen, &frame, placement);
                debug_assert!(gathered.is_ok(), "these observations were written by this program");
                tail.gathered_through(sequence, received);
            }
            counters.last_ingest.store(received.0, Ordering::Relaxed);
            pending.settle(Ok(()));
        }
    }

    /// Whether there is room on disk, and in memory: the tail may not grow while the one before cannot be sealed.
    fn admit(&self) -> Result<(), IngestError> {
        let space = self.shared.directory.space().map_err(|error| IngestError::Io(error.to_string()))?;
        #[expect(clippy::cast_precision_loss, reason = "a share in percent needs no more than 52 bits")]
        let free_percent = space.free as f64 * 100.0 / (space.total.max(1)) as f64;
        if free_percent < self.shared.options.min_free_percent {
            let wanted = self.shared.options.min_free_percent;
            return Err(IngestError::DiskFull(format!("{free_percent:.1} % is free, {wanted} % must be")));
        }
        if self.is_due() {
            self.work.wait_for_seal().map_err(|SealFailure { reason, is_disk_full }| {
                if is_disk_full { IngestError::DiskFull(reason) } else { IngestError::Io(reason) }
            })?;
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        let figures = self.shared.active_tail().figures();
        let age = figures.oldest.map_or(0, |oldest| self.shared.now().nanos_since(oldest));
        figures.spans >= self.shared.options.seal_spans
            || figures.bytes + figures.gathered_bytes >= SEAL_BYTES
            || Duration::from_nanos(age) >= self.shared.options.seal_after && figures.oldest.is_some()
    }

    fn freeze_if_due(&self) {
        if self.is_due() && !self.work.is_sealing() {
            self.work.seal(self.shared.freeze_tail());
        }
    }

    /// Handles a command that is no batch; true if the thread is to end.
    fn other(&mut self, command: Command) -> bool {
        match command {
            Command::Write(pending) => {
                self.commit(vec![pending]);
                false
            }
            Command::Seal(answer) => {
                let result = self.seal_now();
                // The caller may have gone away; the seal is done all the same.
                _ = answer.send(result);
                false
            }
            Command::Close(answer) => {
                let result = self.seal_now();
                if result.is_ok() {
                    self.leave_small_journal();
                }
                self.work.stop();
                _ = answer.send(result);
                true
            }
        }
    }

    fn seal_now(&mut self) -> Result<(), String> {
        self.work.retry();
        self.work.wait_for_seal().map_err(|failure| failure.reason)?;
        if self.shared.active_tail().figures().oldest.is_some() {
            self.work.seal(self.shared.freeze_tail());
            self.work.wait_for_seal().map_err(|failure| failure.reason)?;
        }
        self.remove_applied();
        Ok(())
    }

    /// The journal keeps its newest segment, which may be long: an empty frame begins a short one behind it.
    fn leave_small_journal(&mut self) {
        let through = self.journal.last_sequence();
        let emptied = self
            .journal
            .remove_through(through)
            .and_then(|()| self.journal.append(&[]))
            .and_then(|_| self.journal.sync())
            .and_then(|()| self.journal.remove_through(through));
        if let Err(error) = emptied {
            tracing::warn!(%error, "old segments of the store's journal could not be removed");
        }
        self.shared.counters.journal_bytes.store(self.journal.bytes_on_disk(), Ordering::Relaxed);
    }

    /// Removes what is in blocks from the journal.
    fn remove_applied(&mut self) {
        if let Some(through) = self.work.take_applied() {
            if let Err(error) = self.journal.remove_through(through) {
                tracing::warn!(%error, "old segments of the store's journal could not be removed");
            }
            self.shared.counters.journal_bytes.store(self.journal.bytes_on_disk(), Ordering::Relaxed);
        }
    }
}

/// However the writer ends, the maintenance thread must not outlive it.
struct StopOnDrop(Arc<Work>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn ingest_error(error: &JournalError) -> IngestError {
    if error.io_kind() == Some(std::io::ErrorKind::StorageFull) {
        return IngestError::DiskFull(with_cause(error));
    }
    match error {
        JournalError::TooLong { length, .. } => IngestError::TooLong(*length),
        JournalError::Io { source, .. } => IngestError::Io(format!("{error}: {source}")),
        JournalError::Replay { .. } | JournalError::Lost { .. } | JournalError::Damaged { .. } => {
            IngestError::Io(error.to_string())
        }
    }
}
