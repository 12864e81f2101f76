//! What touches the disk, one call at a time, synchronous: delivery runs these calls where they hold nobody up
//! ([`Hands`](super::Hands)).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rootspan_journal::directory::Directory;
use rootspan_journal::journal::{Extent, Journal, JournalError, Options, Recovery, Sequence};
use rootspan_model::time::UnixNanos;

use super::Settings;
use super::book::{Book, Recovering};
use super::frame::{DeadLetter, RequestHead};
use super::letters::DeadLetters;
use super::loader::Loader;
use crate::ack::Refusal;
use crate::ledger::RefusalReason;

/// The queue's folder below the exporter's.
pub(super) const QUEUE_FOLDER: &str = "queue";
/// Whole segments are removed, and the newest is read at a start: not too long. Not too short either, because each is
/// a file to be created.
pub(crate) const SEGMENT_BYTES: u64 = 32 << 20;
/// The longest request: what the journal's format can hold, a little less for what stands before it.
const MAX_REQUEST_BYTES: usize = (1 << 30) - 8192;
/// A full or failing disk is not better a moment later.
const DISK_RETRY: Duration = Duration::from_secs(5);

/// The files of one queue.
#[derive(Debug)]
pub(super) struct Disk {
    directory: Arc<dyn Directory>,
    journal: Journal,
    letters: Option<DeadLetters>,
    min_free_percent: f64,
    /// Segments that are to be removed.
    finished: Vec<Sequence>,
}

/// What is done in one go, with one sync.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The state, if the group begins a segment.
    pub(super) state: Option<Vec<u8>>,
    /// What was settled.
    pub(super) record: Option<Vec<u8>>,
    pub(super) requests: Vec<(RequestHead, Bytes)>,
    pub(super) letters: Vec<DeadLetter>,
    /// Segments that can go.
    pub(super) finished: Vec<Sequence>,
    /// Whether accounts are synced, too, when there is no request.
    pub(super) syncs: bool,
    /// The time, for the age of dead letters.
    pub(super) now: UnixNanos,
}

impl Group {
    fn is_synced(&self, requests: &[(RequestHead, Bytes)]) -> bool {
        self.syncs || !requests.is_empty() || !self.finished.is_empty()
    }
}

/// What became of a [`Group`].
#[derive(Debug)]
pub(super) struct Committed {
    /// The first frame, if it begins a segment.
    pub(super) begins: Option<Sequence>,
    /// The record or state.
    pub(super) account: Option<Sequence>,
    /// For each request.
    pub(super) requests: Vec<Result<Sequence, Refusal>>,
    /// Why the disk took nothing.
    pub(super) failure: Option<String>,
    /// Letters that could not be kept, and why.
    pub(super) lost_letters: Option<(usize, String)>,
    pub(super) figures: Figures,
}

/// How much is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::runtime::delivery) struct Figures {
    pub(in crate::runtime::delivery) queue_bytes: u64,
    pub(in crate::runtime::delivery) letters: u64,
    pub(in crate::runtime::delivery) letter_bytes: u64,
}

/// What opening found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) disk: Disk,
    pub(super) book: Book,
    pub(super) loader: Loader,
    /// Sentences for the log.
    pub(super) damaged: Vec<String>,
}

impl Disk {
    /// Opens the queue, reading the newest segment only if that tells enough.
    pub(super) fn open(directory: Arc<dyn Directory>, settings: &Settings) -> Result<Opened, JournalError> {
        let Settings { min_free_percent, dead_letters: letters, segment_bytes, .. } = *settings;
        let (mut journal, mut recovering, mut recovery) = open_journal(&directory, segment_bytes, Extent::Newest)?;
        if !recovering.is_complete(&journal.segments()) {
            drop(journal);
            (journal, recovering, recovery) = open_journal(&directory, segment_bytes, Extent::All)?;
        }
        let mut damaged = recovery.damaged;
        if recovering.unknown > 0 {
            damaged.push(format!("{} frames are of a kind that this version does not know", recovering.unknown));
        }
        let book = recovering.finish(journal.last_sequence());
        let loader = Loader::new(journal.read_from(book.next_read())?);
        let letters = if letters.max_bytes == 0 { None } else { Some(DeadLetters::open(&directory, letters)?) };
        let finished = book.finished_among(&journal.segments());
        let disk = Self { directory, journal, letters, min_free_percent, finished };
        Ok(Opened { disk, book, loader, damaged })
    }

    /// Whether the next group is to bring the state.
    pub(super) fn begins_segment(&self) -> bool {
        self.journal.begins_segment()
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            queue_bytes: self.journal.bytes_on_disk(),
            letters: self.letters.as_ref().map_or(0, DeadLetters::count),
            letter_bytes: self.letters.as_ref().map_or(0, DeadLetters::bytes),
        }
    }

    /// Appends everything and syncs once. Letters come first: what is recorded as settled must not be lost.
    pub(super) fn commit(&mut self, group: &Group) -> Committed {
        let lost_letters = self.keep_letters(group);
        let full = if group.requests.is_empty() { None } else { self.full() };
        let begins = self.journal.begins_segment();
        let requests = if full.is_some() { &[] } else { group.requests.as_slice() };
        let mut committed = Committed {
            begins: None,
            account: None,
            requests: Vec::with_capacity(requests.len()),
            failure: None,
            lost_letters,
            figures: Figures::default(),
        };
        let written = self.write(group, requests, begins, &mut committed);
        let refusal = match (&written, full) {
            (Err(error), _) => Some(refusal(error)),
            (Ok(()), full) => full,
        };
        if let Some(refusal) = refusal {
            if written.is_err() {
                (committed.begins, committed.account) = (None, None);
            }
            committed.failure = Some(refusal.message.clone());
            committed.requests = group.requests.iter().map(|_| Err(refusal.clone())).collect();
        }
        self.finished.extend_from_slice(&group.finished);
        // Only once it is durable that nothing is left in them: else a start would miss them.
        if written.is_ok() && group.is_synced(requests) {
            // What cannot be removed now is removed with a later group; space is all that it costs.
            match self.journal.remove_segments(&self.finished) {
                Ok(()) => self.finished.clear(),
                Err(error) => drop(committed.failure.get_or_insert_with(|| describe(&error))),
            }
        }
        committed.figures = self.figures();
        committed
    }

    fn write(
        &mut self,
        group: &Group,
        requests: &[(RequestHead, Bytes)],
        begins: bool,
        committed: &mut Committed,
    ) -> Result<(), JournalError> {
        let mut first = None;
        if let Some(account) = if begins { &group.state } else { &group.record } {
            let sequence = self.journal.append(account)?;
            first = Some(sequence);
            committed.account = Some(sequence);
        }
        for (head, request) in requests {
            match self.journal.append_parts(&[&head.encode(), request]) {
                Ok(sequence) => {
                    first.get_or_insert(sequence);
                    committed.requests.push(Ok(sequence));
                }
                Err(error @ JournalError::TooLong { .. }) => {
                    let message = describe(&error);
                    committed.requests.push(Err(Refusal::never(RefusalReason::TooLarge, message)));
                }
                Err(error) => return Err(error),
            }
        }
        committed.begins = first.filter(|_| begins);
        if group.is_synced(requests) { self.journal.sync() } else { self.journal.flush() }
    }

    /// Lets the next group begin a segment, so that everything before it can go.
    pub(super) fn close_segment(&mut self) -> Result<(), JournalError> {
        self.journal.sync()?;
        self.journal.close_segment();
        Ok(())
    }

    /// Why nothing more is taken, if the disk is nearly full.
    fn full(&self) -> Option<Refusal> {
        let space = match self.directory.space() {
            Ok(space) => space,
            Err(error) => return Some(Refusal::retry(RefusalReason::Unavailable, describe(&error), DISK_RETRY)),
        };
        #[expect(clippy::cast_precision_loss, reason = "a share in percent needs no more than 52 bits")]
        let free = space.free as f64 * 100.0 / space.total.max(1) as f64;
        (free < self.min_free_percent).then(|| {
            let message =
                format!("the disk of the queue is full: {free:.1} % is free, {} % must be", self.min_free_percent);
            Refusal::retry(RefusalReason::DiskFull, message, DISK_RETRY)
        })
    }

    fn keep_letters(&mut self, group: &Group) -> Option<(usize, String)> {
        let Some(letters) = &mut self.letters else {
            return (!group.letters.is_empty()).then(|| (group.letters.len(), "none are kept".to_owned()));
        };
        let kept = letters.keep(&group.letters, group.now);
        kept.err().map(|error| (group.letters.len(), describe(&error)))
    }
}

fn open_journal(
    directory: &Arc<dyn Directory>,
    segment_bytes: u64,
    extent: Extent,
) -> Result<(Journal, Recovering, Recovery), JournalError> {
    let mut recovering = Recovering::default();
    let mut visit = |segment: Sequence, sequence: Sequence, payload: Bytes| {
        recovering.visit(segment, sequence, &payload);
        Ok(())
    };
    let options = options(segment_bytes);
    let (journal, recovery) =
        Journal::open_passing_over(Arc::clone(directory), QUEUE_FOLDER, options, extent, &mut visit)?;
    Ok((journal, recovering, recovery))
}

pub(super) fn options(segment_bytes: u64) -> Options {
    Options { segment_bytes, max_payload_bytes: MAX_REQUEST_BYTES, ..Options::default() }
}

fn refusal(error: &JournalError) -> Refusal {
    let is_full = error.io_kind() == Some(io::ErrorKind::StorageFull);
    let reason = if is_full { RefusalReason::DiskFull } else { RefusalReason::Unavailable };
    Refusal::retry(reason, format!("the queue cannot be written: {}", describe(error)), DISK_RETRY)
}

/// An error with its causes, in one sentence.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        cause = error.source();
    }
    sentence
}
