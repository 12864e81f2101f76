//! Acknowledgements: the way back from where spans ended to who sent them.
//!
//! One `Ack` travels with each copy of a batch. It is settled exactly once, by whoever the copy ends at, and keeps
//! the ledger's accounts on the way; one that is dropped unsettled (an aborted task) counts as refused. The sender
//! hears the worst outcome of all copies. Memory is not its business: that is the reservation's.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::ledger::{
    DropReason, ExporterIndex, Ledger, PipelineIndex, Place, ReceiverIndex, RefusalReason, Removal, Settlement,
};

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is where it was to go.
    Delivered,
    /// It is not, and the sender still has it.
    Refused(Refusal),
}

/// Why a batch was not taken, in a form that every protocol can answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason that is counted.
    pub reason: RefusalReason,
    /// One sentence for the sender.
    pub message: String,
    /// When to try again; `None`: never.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal that may be tried again.
    #[must_use]
    pub fn retry(reason: RefusalReason, message: impl Into<String>, after: Duration) -> Self {
        Self { reason, message: message.into(), retry_after: Some(after) }
    }

    /// A refusal for good.
    #[must_use]
    pub fn never(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }

    /// The gateway stops.
    #[must_use]
    pub fn shutting_down() -> Self {
        Self::retry(RefusalReason::ShuttingDown, "the gateway is shutting down", Duration::from_secs(1))
    }

    /// The byte budget is used up.
    #[must_use]
    pub fn memory_limit() -> Self {
        let message = "the gateway has no memory left for the request; try again later";
        Self::retry(RefusalReason::MemoryLimit, message, Duration::from_secs(1))
    }
}

impl Outcome {
    /// How bad it is. A copy that may be tried again is worse than one refused for good: only if the sender tries
    /// again can the other copies get through, and the store recognises what it has already.
    fn badness(&self) -> u8 {
        match self {
            Self::Delivered => 0,
            Self::Refused(refusal) if refusal.retry_after.is_none() => 1,
            Self::Refused(_) => 2,
        }
    }

    fn settlement(&self) -> Settlement {
        match self {
            Self::Delivered => Settlement::Delivered,
            Self::Refused(refusal) => Settlement::Refused(refusal.reason),
        }
    }
}

/// The right and the duty to settle one copy.
#[derive(Debug)]
pub(crate) struct Ack {
    shared: Arc<Shared>,
    place: Place,
    /// Spans of this copy that are still there.
    spans: u64,
    settled: bool,
}

/// What the copies of one batch share.
#[derive(Debug)]
struct Shared {
    ledger: Arc<Ledger>,
    receiver: ReceiverIndex,
    spans: u64,
    open: AtomicUsize,
    verdict: Mutex<Verdict>,
}

#[derive(Debug)]
struct Verdict {
    worst: Outcome,
    sender: Option<oneshot::Sender<Outcome>>,
}

/// Enters `spans` into the ledger and gives one acknowledgement for each of `pipelines`, and the answer for the sender.
pub(crate) fn begin(
    ledger: &Arc<Ledger>,
    receiver: ReceiverIndex,
    pipelines: &[PipelineIndex],
    spans: u64,
) -> (Vec<Ack>, oneshot::Receiver<Outcome>) {
    assert!(!pipelines.is_empty(), "a receiver that runs is in a pipeline");
    ledger.received(receiver, spans);
    let (sender, answer) = oneshot::channel();
    let verdict = Mutex::new(Verdict { worst: Outcome::Delivered, sender: Some(sender) });
    let open = AtomicUsize::new(pipelines.len());
    let shared = Arc::new(Shared { ledger: Arc::clone(ledger), receiver, spans, open, verdict });
    let enter = |pipeline: &PipelineIndex| {
        ledger.entered(*pipeline, spans);
        Ack { shared: Arc::clone(&shared), place: Place::Pipeline(*pipeline), spans, settled: false }
    };
    (pipelines.iter().map(enter).collect(), answer)
}

impl Ack {
    /// Some spans were removed on the way, on purpose; the sender hears nothing of it.
    pub(crate) fn remove(&mut self, spans: u64, removal: Removal) {
        let Place::Pipeline(pipeline) = self.place else { unreachable!("spans are removed in pipelines") };
        assert!(spans <= self.spans, "more spans removed than there are");
        self.spans -= spans;
        self.shared.ledger.removed(pipeline, spans, removal);
    }

    /// The batch left its pipeline: one acknowledgement for each place where it goes on instead of this one.
    pub(crate) fn fan_out(mut self, places: &[Place]) -> Vec<Self> {
        let Place::Pipeline(pipeline) = self.place else { unreachable!("only a pipeline fans out") };
        assert!(!places.is_empty(), "a pipeline has exporters");
        self.shared.ledger.fanned_out(pipeline, places, self.spans);
        self.shared.open.fetch_add(places.len() - 1, Ordering::AcqRel);
        self.settled = true;
        let copy =
            |place: &Place| Self { shared: Arc::clone(&self.shared), place: *place, spans: self.spans, settled: false };
        places.iter().map(copy).collect()
    }

    /// The exporter answers for the spans from now on: the sender hears that they are accepted.
    pub(crate) fn take_over(mut self) -> Taken {
        let Place::Exporter(exporter) = self.place else { unreachable!("only exporters take over") };
        self.settled = true;
        self.shared.settle(Outcome::Delivered);
        Taken { ledger: Arc::clone(&self.shared.ledger), exporter, spans: self.spans, is_settled: false }
    }

    /// As [`Ack::take_over`], for spans that are on disk: whatever happens, they are delivered in the end.
    pub(crate) fn store(mut self) {
        let Place::Exporter(exporter) = self.place else { unreachable!("only exporters take over") };
        self.settled = true;
        self.shared.ledger.stored(exporter, self.spans);
        self.shared.settle(Outcome::Delivered);
    }

    /// The back end has the copy, but for so many spans that it rejected for good.
    pub(crate) fn settle_delivered(self, rejected_spans: u64) {
        self.take_over().delivered(rejected_spans);
    }

    /// The back end has a part of the copy, but for so many spans that it rejected for good. What becomes of the rest,
    /// and with it what the sender hears, is not settled.
    pub(crate) fn settle_part(&mut self, spans: u64, rejected: u64) {
        let Place::Exporter(exporter) = self.place else { unreachable!("only exporters deliver") };
        self.shared.ledger.exported(exporter, spans, rejected, DropReason::RejectedByBackend);
        self.spans -= spans;
    }

    /// Settles this copy.
    pub(crate) fn settle(mut self, outcome: Outcome) {
        self.settle_once(outcome);
    }

    fn settle_once(&mut self, outcome: Outcome) {
        debug_assert!(!self.settled, "an acknowledgement is settled once");
        self.settled = true;
        self.shared.ledger.settled(self.place, self.spans, outcome.settlement());
        self.shared.settle(outcome);
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if !self.settled {
            self.settle_once(Outcome::Refused(Refusal::shutting_down()));
        }
    }
}

/// Spans that an exporter has taken over from their sender. What is dropped unsettled was cut off at the end.
#[derive(Debug)]
pub(crate) struct Taken {
    ledger: Arc<Ledger>,
    exporter: ExporterIndex,
    spans: u64,
    is_settled: bool,
}

impl Taken {
    /// The back end has them, but for so many that it rejected for good.
    pub(crate) fn delivered(mut self, rejected_spans: u64) {
        self.is_settled = true;
        self.ledger.exported(self.exporter, self.spans, rejected_spans.min(self.spans), DropReason::RejectedByBackend);
    }

    /// The back end has a part of them, but for so many that it rejected for good.
    pub(crate) fn settle_part(&mut self, spans: u64, rejected: u64) {
        self.ledger.exported(self.exporter, spans, rejected, DropReason::RejectedByBackend);
        self.spans -= spans;
    }

    /// They are lost.
    pub(crate) fn dropped(mut self, reason: DropReason) {
        self.is_settled = true;
        self.ledger.exported(self.exporter, self.spans, self.spans, reason);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_settled {
            self.ledger.exported(self.exporter, self.spans, self.spans, DropReason::DrainDeadline);
        }
    }
}

impl Shared {
    fn settle(&self, outcome: Outcome) {
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.badness() > verdict.worst.badness() {
            verdict.worst = outcome;
        }
        if self.open.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        self.ledger.answered(self.receiver, self.spans, verdict.worst.settlement());
        if let Some(sender) = verdict.sender.take() {
            // The sender may have gone; what was delivered stays delivered.
            drop(sender.send(verdict.worst.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
