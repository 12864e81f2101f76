//! Which blocks there are and how far the journal is in them: a log of changes in a journal of its own.
//!
//! The log is rewritten when it has grown to several times what is live: a `Restart`, the live blocks, and a
//! `RestartDone`; only then does the new beginning count, and the frames before it are removed. A crash in between
//! leaves the old log in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use rootspan_journal::directory::Directory;
use rootspan_journal::journal::{Codec, Journal, JournalError, Options, Recovery, Sequence};
use serde::{Deserialize, Serialize};

use crate::block::entry::BlockEntry;
use crate::coverage::entry::CoverageEntry;

const FOLDER: &str = "manifest";
/// Small, because only whole segments are removed.
const SEGMENT_BYTES: u64 = 1 << 20;
/// Blocks in one frame of a rewritten log: about 1 MB.
const BLOCKS_PER_FRAME: usize = 64;
/// Their entries are short: about 1 MB, too.
const COVERAGE_PER_FRAME: usize = 8192;
/// The log is rewritten when it has this many changes more than live blocks.
const MAX_DEAD_CHANGES: usize = 512;

/// One frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    /// A seal: these blocks are there, and the journal up to here is in blocks.
    Seal {
        applied_through: u64,
        blocks: Vec<BlockEntry>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        coverage: Vec<CoverageEntry>,
    },
    /// These blocks and files of coverage are gone (retention, damage); no two of them have the same id.
    Remove { ids: Vec<u64> },
    /// A rewritten log begins.
    Restart { applied_through: u64, next_id: u64 },
    /// … has these blocks …
    Restarted {
        blocks: Vec<BlockEntry>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        coverage: Vec<CoverageEntry>,
    },
    /// … and is complete.
    RestartDone,
}

/// What the log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) blocks: BTreeMap<u64, BlockEntry>,
    pub(crate) coverage: BTreeMap<u64, CoverageEntry>,
    pub(crate) applied_through: Sequence,
    /// No block has this id or a higher one.
    pub(crate) next_id: u64,
}

/// The log, owned by the maintenance thread.
#[derive(Debug)]
pub(crate) struct Manifest {
    journal: Journal,
    changes: usize,
}

impl Manifest {
    /// Opens the log and reads it.
    pub(crate) fn open(directory: Arc<dyn Directory>) -> Result<(Self, Contents, Recovery), JournalError> {
        let options = Options { segment_bytes: SEGMENT_BYTES, codec: Codec::Zstd, ..Options::default() };
        let mut reading = Reading::default();
        let mut replay = |sequence: Sequence, payload: bytes::Bytes| {
            let change = serde_json::from_slice(&payload)
                .map_err(|error| JournalError::Replay { sequence: sequence.0, reason: error.to_string() })?;
            reading.apply(change);
            Ok(())
        };
        let (journal, recovery) = Journal::open(directory, FOLDER, options, Sequence(0), &mut replay)?;
        Ok((Self { journal, changes: reading.changes }, reading.live, recovery))
    }

    /// Whether there is no frame at all: a new store, or a lost manifest.
    pub(crate) const fn is_empty(&self) -> bool {
        self.changes == 0
    }

    /// Makes a seal durable.
    pub(crate) fn seal(
        &mut self,
        blocks: Vec<BlockEntry>,
        coverage: Vec<CoverageEntry>,
        applied_through: Sequence,
    ) -> Result<(), JournalError> {
        self.write(&Change::Seal { applied_through: applied_through.0, blocks, coverage })?;
        self.journal.sync()
    }

    /// Makes the removal of blocks and coverage durable; their files may be removed afterwards.
    pub(crate) fn remove(&mut self, ids: Vec<u64>) -> Result<(), JournalError> {
        self.write(&Change::Remove { ids })?;
        self.journal.sync()
    }

    /// Whether rewriting is worth it.
    pub(crate) const fn is_long(&self, live_blocks: usize) -> bool {
        self.changes > live_blocks + MAX_DEAD_CHANGES
    }

    /// Rewrites the log.
    pub(crate) fn rewrite(&mut self, contents: &Contents) -> Result<(), JournalError> {
        let before = self.journal.last_sequence();
        self.changes = 0;
        self.write(&Change::Restart { applied_through: contents.applied_through.0, next_id: contents.next_id })?;
        let mut blocks = contents.blocks.values().cloned().peekable();
        while blocks.peek().is_some() {
            let blocks = blocks.by_ref().take(BLOCKS_PER_FRAME).collect();
            self.write(&Change::Restarted { blocks, coverage: Vec::new() })?;
        }
        let mut coverage = contents.coverage.values().cloned().peekable();
        while coverage.peek().is_some() {
            let coverage = coverage.by_ref().take(COVERAGE_PER_FRAME).collect();
            self.write(&Change::Restarted { blocks: Vec::new(), coverage })?;
        }
        self.write(&Change::RestartDone)?;
        self.journal.sync()?;
        self.journal.remove_through(before)
    }

    pub(crate) fn bytes_on_disk(&self) -> u64 {
        self.journal.bytes_on_disk()
    }

    fn write(&mut self, change: &Change) -> Result<(), JournalError> {
        let payload = serde_json::to_vec(change).expect("a change has only strings and numbers");
        self.journal.append(&payload)?;
        self.changes += 1;
        Ok(())
    }
}

impl Contents {
    fn add(&mut self, blocks: Vec<BlockEntry>, coverage: Vec<CoverageEntry>) {
        for entry in coverage {
            self.next_id = self.next_id.max(entry.id + 1);
            self.coverage.insert(entry.id, entry);
        }
        for entry in blocks {
            self.next_id = self.next_id.max(entry.id + 1);
            self.blocks.insert(entry.id, entry);
        }
    }
}

/// The log so far.
#[derive(Debug, Default)]
struct Reading {
    live: Contents,
    /// A rewritten log that is not complete yet.
    restarted: Option<Contents>,
    changes: usize,
}

impl Reading {
    fn apply(&mut self, change: Change) {
        self.changes += 1;
        match change {
            // A change behind an incomplete rewritten log continues the old one.
            Change::Seal { applied_through, blocks, coverage } => {
                self.restarted = None;
                self.live.applied_through = self.live.applied_through.max(Sequence(applied_through));
                self.live.add(blocks, coverage);
            }
            Change::Remove { ids } => {
                self.restarted = None;
                for id in ids {
                    self.live.blocks.remove(&id);
                    self.live.coverage.remove(&id);
                }
            }
            Change::Restart { applied_through, next_id } => {
                let applied_through = Sequence(applied_through);
                self.restarted = Some(Contents { applied_through, next_id, ..Contents::default() });
            }
            Change::Restarted { blocks, coverage } => {
                if let Some(contents) = &mut self.restarted {
                    contents.add(blocks, coverage);
                }
            }
            Change::RestartDone => {
                if let Some(contents) = self.restarted.take() {
                    self.live = contents;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
