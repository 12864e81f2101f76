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
    returns: Arc<Returns>,
    sequence: Sequence,
    items: u64,
    taken: UnixNanos,
    /// Items of parts that are settled.
    settled: u64,
    is_settled: bool,
}

/// What was sent in parts and not to its end is whole on disk: the parts wait again.
impl Drop for Stored {
    fn drop(&mut self) {
        if !self.is_settled && self.settled > 0 {
            self.returns.ledger.repeated(self.returns.exporter, self.settled);
        }
    }
}

impl Stored {
    /// Nothing of it is settled.
    pub(super) const fn new(returns: Arc<Returns>, sequence: Sequence, items: u64, taken: UnixNanos) -> Self {
        Self { returns, sequence, items, taken, settled: 0, is_settled: false }
    }

    /// The back end has it, but for so many items that it rejected for good.
    pub(in crate::runtime::delivery) fn delivered(mut self, rejected: u64) {
        self.settle(rejected, DropReason::RejectedByBackend, None);
    }

    /// It is lost.
    pub(in crate::runtime::delivery) fn dropped(mut self, reason: DropReason) {
        self.settle(self.items, reason, None);
    }

    /// A part of it is delivered, but for `rejected` items. On disk it stays whole until all of it is settled.
    pub(in crate::runtime::delivery) fn settle_part(&mut self, items: u64, rejected: u64) {
        let Returns { ledger, exporter, .. } = self.returns.as_ref();
        ledger.exported_from_disk(*exporter, items, rejected, DropReason::RejectedByBackend);
        self.items -= items;
        self.settled += items;
    }

    /// The back end refused it for good; whether it is kept as a dead letter.
    pub(in crate::runtime::delivery) fn refused(mut self, batch: &Batch, reason: &str) -> bool {
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

    fn settle(&mut self, dropped: u64, reason: DropReason, letter: Option<Letter>) {
        self.is_settled = true;
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
