//! The duty for a request on disk, and the way back of what is settled.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rootspan_journal::journal::Sequence;
use rootspan_model::time::UnixNanos;

use super::frame::DeadLetter;
use crate::batch::Batch;
use crate::clock::Clock;
use crate::ledger::{DropReason, ExporterIndex, Ledger};

/// What is settled on the way comes back here.
pub(super) struct Returns {
    pub(super) ledger: Arc<Ledger>,
    pub(super) exporter: ExporterIndex,
    pub(super) clock: Clock,
    pub(super) keeps_letters: bool,
    settled: Mutex<Vec<Settled>>,
}

/// A request that is settled.
pub(super) struct Settled {
    pub(super) sequence: Sequence,
    pub(super) letter: Option<Letter>,
}

/// A dead letter that is not on disk yet, and the batch that pays for its bytes.
pub(super) struct Letter {
    pub(super) letter: DeadLetter,
    _batch: Batch,
}

impl Returns {
    pub(super) const fn new(ledger: Arc<Ledger>, exporter: ExporterIndex, clock: Clock, keeps_letters: bool) -> Self {
        Self { ledger, exporter, clock, keeps_letters, settled: Mutex::new(Vec::new()) }
    }

    /// What was settled since the last call.
    pub(super) fn take(&self) -> Vec<Settled> {
        std::mem::take(&mut *self.settled.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The duty for a request that is on disk. Dropped unsettled it stays there, and is delivered after the next start.
#[derive(Debug)]
pub(in crate::runtime::delivery) struct Stored {
    pub(super) returns: Arc<Returns>,
    pub(super) sequence: Sequence,
    pub(super) items: u64,
    pub(super) taken: UnixNanos,
}

impl Stored {
    /// The back end has it, but for so many items that it rejected for good.
    pub(in crate::runtime::delivery) fn delivered(self, rejected: u64) {
        self.settle(rejected, DropReason::RejectedByBackend, None);
    }

    /// It is lost.
    pub(in crate::runtime::delivery) fn dropped(self, reason: DropReason) {
        self.settle(self.items, reason, None);
    }

    /// It is lost, but for so many items, which the back end has.
    pub(in crate::runtime::delivery) fn dropped_but(self, delivered: u64, reason: DropReason) {
        self.settle(self.items.saturating_sub(delivered), reason, None);
    }

    /// The back end refused it for good; whether it is kept as a dead letter.
    pub(in crate::runtime::delivery) fn refused(self, batch: &Batch, reason: &str) -> bool {
        let keeps = self.returns.keeps_letters;
        let letter = keeps.then(|| {
            let letter = DeadLetter {
                signal: batch.signal(),
                items: u32::try_from(self.items).unwrap_or(u32::MAX),
                refused: (self.returns.clock)(),
                taken: self.taken,
                reason: reason.to_owned(),
                request: batch.bytes().clone(),
            };
            Letter { letter, _batch: batch.clone() }
        });
        self.settle(self.items, DropReason::RejectedByBackend, letter);
        keeps
    }

    fn settle(&self, dropped: u64, reason: DropReason, letter: Option<Letter>) {
        let returns = &self.returns;
        returns.ledger.exported_from_disk(returns.exporter, self.items, dropped.min(self.items), reason);
        let settled = Settled { sequence: self.sequence, letter };
        returns.settled.lock().unwrap_or_else(PoisonError::into_inner).push(settled);
    }
}

impl fmt::Debug for Returns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returns").field("exporter", &self.exporter).finish_non_exhaustive()
    }
}
