//! What the back end refused for good after it was acknowledged: kept in a journal beside the queue, for a person to look
//! at, up to a limit of size and age.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rootspan_journal::directory::Directory;
use rootspan_journal::journal::{Extent, Journal, JournalError, Sequence};
use rootspan_model::time::UnixNanos;

use super::disk::options;
use super::frame::DeadLetter;

/// The folder below the exporter's.
pub(super) const DEAD_LETTER_FOLDER: &str = "dead-letters";

/// They go in this many segments of the most that is kept: so much of it goes at once.
const SEGMENTS: u64 = 8;

/// What is kept of what a back end refused for good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeadLetterLimits {
    /// Most bytes; 0: nothing is kept.
    pub(crate) max_bytes: u64,
    /// Longest time; 0: for ever.
    pub(crate) retention: Duration,
}

/// What the back end refused for good.
#[derive(Debug)]
pub(super) struct DeadLetters {
    journal: Journal,
    limits: DeadLetterLimits,
    /// Letters on disk.
    count: u64,
    /// Letters in each segment, and when its first was refused; oldest first.
    segments: VecDeque<LetterSegment>,
}

#[derive(Clone, Copy, Debug)]
struct LetterSegment {
    first: Sequence,
    begun: UnixNanos,
    letters: u64,
}

impl DeadLetters {
    /// Opens the journal and counts what is in it.
    pub(super) fn open(directory: &Arc<dyn Directory>, limits: DeadLetterLimits) -> Result<Self, JournalError> {
        let mut segments: VecDeque<LetterSegment> = VecDeque::new();
        let mut visit = |segment: Sequence, _: Sequence, payload: Bytes| {
            let refused = DeadLetter::decode(&payload).map_or(UnixNanos(0), |letter| letter.refused);
            match segments.back_mut().filter(|newest| newest.first == segment) {
                Some(newest) => newest.letters += 1,
                None => segments.push_back(LetterSegment { first: segment, begun: refused, letters: 1 }),
            }
            Ok(())
        };
        let options = options((limits.max_bytes / SEGMENTS).max(1));
        let (journal, _) =
            Journal::open_passing_over(Arc::clone(directory), DEAD_LETTER_FOLDER, options, Extent::All, &mut visit)?;
        let count = segments.iter().map(|segment| segment.letters).sum();
        Ok(Self { journal, limits, count, segments })
    }

    /// Letters on disk.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of their files.
    pub(super) fn bytes(&self) -> u64 {
        self.journal.bytes_on_disk()
    }

    /// Appends and syncs.
    pub(super) fn keep(&mut self, letters: &[DeadLetter], now: UnixNanos) -> Result<(), JournalError> {
        self.remove_old(now)?;
        if letters.is_empty() {
            return Ok(());
        }
        let begins = self.journal.begins_segment();
        let mut first = None;
        for letter in letters {
            let sequence = self.journal.append_parts(&[&letter.encode_head(), &letter.request])?;
            first.get_or_insert(sequence);
        }
        self.journal.sync()?;
        let kept = letters.len() as u64;
        self.count += kept;
        match (first, self.segments.back_mut()) {
            (Some(_), Some(newest)) if !begins => newest.letters += kept,
            (Some(first), _) => self.segments.push_back(LetterSegment { first, begun: now, letters: kept }),
            (None, _) => {}
        }
        self.remove_old(now)
    }

    /// Removes whole segments while there is too much, or all of one is too old.
    fn remove_old(&mut self, now: UnixNanos) -> Result<(), JournalError> {
        while let Some(next) = self.segments.get(1) {
            let is_too_much = self.journal.bytes_on_disk() > self.limits.max_bytes;
            let age = Duration::from_nanos(now.nanos_since(next.begun));
            let is_too_old = self.limits.retention > Duration::ZERO && age > self.limits.retention;
            if !is_too_much && !is_too_old {
                break;
            }
            self.journal.remove_through(Sequence(next.first.0 - 1))?;
            if let Some(removed) = self.segments.pop_front() {
                self.count -= removed.letters;
            }
        }
        Ok(())
    }
}
