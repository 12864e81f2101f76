//! What can go wrong with a journal.

use std::io;

/// Why the journal refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file layer failed (`NotFound`, `StorageFull`, …).
    #[error("cannot {operation} the journal in {folder:?}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which journal.
        folder: String,
        /// The file layer's error, which names the file.
        #[source]
        source: io::Error,
    },
    /// The payload is longer than [`Options::max_payload_bytes`].
    #[error("payload of {length} bytes is longer than the limit of {limit}")]
    TooLong {
        /// Length given.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// An append failed, and with it those before it; they were not synced. Append them again.
    #[error("what was appended to the journal in {folder:?} since the last sync is lost, because an append failed")]
    Lost {
        /// Which journal.
        folder: String,
        /// How the append failed.
        kind: io::ErrorKind,
    },
    /// A reader came to durable bytes that are no sound frame. Its next call goes on behind that segment.
    #[error("segment {path} is damaged at offset {offset}: {reason}")]
    Damaged {
        /// Which segment.
        path: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
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

impl JournalError {
    /// The kind of the file layer's error, if that was the cause: `StorageFull` is worth another try later.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::Lost { kind, .. } => Some(*kind),
            Self::TooLong { .. } | Self::Damaged { .. } | Self::Replay { .. } => None,
        }
    }
}

pub(super) fn failed(operation: &'static str, folder: &str) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { operation, folder: folder.to_owned(), source }
}
