//! The segment log. Synchronous; group commit is the caller's loop: append what waits, sync once, answer all.

use std::sync::Arc;

use bytes::Bytes;

use crate::directory::Directory;

/// Position of a frame: counted from 1 over the life of the journal, never reused, strictly increasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

/// How payloads are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As they are.
    Raw,
    /// zstd at level −1; frames that do not shrink are stored raw.
    Zstd,
}

/// Settings of one journal.
#[derive(Clone, Debug)]
pub struct Options {
    /// A new segment is begun when the current one is at least this long. Default 64 MiB.
    pub segment_bytes: u64,
    /// Codec of new frames; every codec can be read.
    pub codec: Codec,
    /// Longest payload in bytes, before compression; longer ones are refused. Default 128 MiB.
    pub max_payload_bytes: usize,
}

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Sound frames.
    pub frames: u64,
    /// Bytes cut from the tail of the last segment because they were no sound frame.
    pub torn_bytes: u64,
    /// Segments set aside (renamed to `*.damaged`) because of a bad frame before their end, with the reason.
    pub damaged: Vec<String>,
}

/// The log in one folder of a directory. One owner; appends and syncs are synchronous.
#[derive(Debug)]
pub struct Journal {}

impl Journal {
    /// Opens or creates the journal in `folder` and hands every sound frame with a sequence above `after` to `replay`, in order.
    pub fn open(
        _directory: Arc<dyn Directory>,
        _folder: &str,
        _options: Options,
        _after: Sequence,
        _replay: &mut dyn FnMut(Sequence, Bytes) -> Result<(), JournalError>,
    ) -> Result<(Self, Recovery), JournalError> {
        unimplemented!("journal contract")
    }

    /// Writes a frame (not yet durable).
    pub fn append(&mut self, _payload: &[u8]) -> Result<Sequence, JournalError> {
        unimplemented!("journal contract")
    }

    /// Makes everything appended so far durable. After an error nothing appended since the last good sync counts as
    /// durable; the segment is abandoned at its last durable byte and the next append begins a new one.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        unimplemented!("journal contract")
    }

    /// Removes whole segments all of whose frames are at or below `through`.
    pub fn remove_through(&mut self, _through: Sequence) -> Result<(), JournalError> {
        unimplemented!("journal contract")
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes_on_disk(&self) -> u64 {
        0
    }

    /// The last sequence given out.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        Sequence(0)
    }
}

/// Why the journal refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file layer failed (`NotFound`, `StorageFull`, …).
    #[error("{operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: String,
        /// The file layer's error.
        #[source]
        source: std::io::Error,
    },
    /// The payload is longer than [`Options::max_payload_bytes`].
    #[error("payload of {length} bytes is longer than the limit of {limit}")]
    TooLong {
        /// Length given.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The replay function refused a frame.
    #[error("frame {sequence} could not be replayed: {reason}")]
    Replay {
        /// Which frame.
        sequence: u64,
        /// Why.
        reason: String,
    },
}
