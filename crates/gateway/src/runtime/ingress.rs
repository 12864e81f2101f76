//! Where receivers hand batches in. A receiver knows nothing else of the gateway: it sends a batch and maps the answer
//! to its protocol.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::json::read_request;
use rootspan_wire::otlp::validate::{Limits, Rejected, Validated, validate};

use super::pipeline::Item;
use crate::ack::{self, Outcome, Refusal};
use crate::budget::{Budget, Exhausted, PaidBuffer, Reservation};
use crate::ledger::{Ledger, PipelineIndex, ReceiverIndex, RefusalReason};
use crate::tasks;

/// When a sender that met a full pipeline should try again.
const BUSY_RETRY: Duration = Duration::from_millis(500);

/// Requests shorter than this are validated in less than half a millisecond, on the connection's thread.
const INLINE_BYTES: usize = 512 << 10;

/// The way into the pipelines of one receiver.
#[derive(Clone, Debug)]
pub(crate) struct Ingress {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    receiver: ReceiverIndex,
    pipelines: Vec<PipelineIndex>,
    inputs: Vec<mpsc::Sender<Item>>,
    ledger: Arc<Ledger>,
    budget: Arc<Budget>,
    limits: Limits,
}

/// A request that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not what its protocol says; never again.
    Malformed(String),
    /// The gateway did not take it.
    NotNow(Refusal),
}

impl Ingress {
    /// An ingress of `receiver`; batches go to each of `inputs`.
    pub(crate) fn new(
        receiver: ReceiverIndex,
        pipelines: Vec<(PipelineIndex, mpsc::Sender<Item>)>,
        ledger: Arc<Ledger>,
        budget: Arc<Budget>,
    ) -> Self {
        let (pipelines, inputs) = pipelines.into_iter().unzip();
        Self { shared: Arc::new(Shared { receiver, pipelines, inputs, ledger, budget, limits: Limits::default() }) }
    }

    /// The budget that the receiver reserves from before it buffers anything.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.shared.budget
    }

    /// Counts a request that was turned away before its spans were known.
    pub(crate) fn refused_request(&self, reason: RefusalReason) {
        self.shared.ledger.refused_request(self.shared.receiver, reason);
    }

    /// Validates an OTLP request and sends what is sound; says what was left out.
    pub(crate) async fn send_otlp(&self, body: PaidBuffer) -> Result<Rejected, Refused> {
        let validated = self.work(body, Self::read_protobuf).await?;
        self.send_validated(validated).await
    }

    /// The same for OTLP JSON.
    pub(crate) async fn send_otlp_json(&self, body: PaidBuffer) -> Result<Rejected, Refused> {
        let validated = self.work(body, Self::read_json).await?;
        self.send_validated(validated).await
    }

    /// Pays for a batch that a receiver made from another format; [`Ingress::send`] then takes it.
    pub(crate) fn pay(&self, batch: &TraceBatch) -> Result<TraceBatch, Refusal> {
        let reserved = self.shared.budget.try_reserve(batch.bytes().len() as u64);
        let paid = reserved.map_err(|Exhausted| self.memory_refused()).and_then(|r| adopt(batch, r));
        paid.map_err(|refused| match refused {
            Refused::NotNow(refusal) => refusal,
            Refused::Malformed(reason) => Refusal::never(RefusalReason::Malformed, reason),
        })
    }

    /// Reads a body, off the connection's thread if it is long.
    async fn work(
        &self,
        body: PaidBuffer,
        read: fn(&Self, PaidBuffer) -> Result<Validated, Refused>,
    ) -> Result<Validated, Refused> {
        if body.as_ref().len() < INLINE_BYTES {
            return read(self, body);
        }
        let ingress = self.clone();
        let read = tasks::blocking("read request", move || read(&ingress, body)).await;
        read.unwrap_or_else(|| Err(Refused::Malformed("the request could not be read".to_owned())))
    }

    fn read_protobuf(&self, body: PaidBuffer) -> Result<Validated, Refused> {
        let body = body.into_bytes();
        let (start, length) = (body.as_ptr(), body.len());
        let validated = validate(body, &self.shared.limits).map_err(|invalid| self.malformed(&invalid))?;
        let bytes = validated.batch.bytes();
        if bytes.is_empty() || std::ptr::eq(bytes.as_ptr(), start) {
            return Ok(validated);
        }
        // Spans were left out or messages merged: the bytes are new, and what paid for the old ones is gone.
        let reservation = self.shared.budget.try_reserve(length.max(bytes.len()) as u64);
        let reservation = reservation.map_err(|Exhausted| self.memory_refused())?;
        Ok(Validated { batch: adopt(&validated.batch, reservation)?, rejected: validated.rejected })
    }

    fn read_json(&self, body: PaidBuffer) -> Result<Validated, Refused> {
        // Protobuf is shorter than JSON for the same spans; where it is not (numbers of one digit), the difference is
        // a few bytes, paid for afterwards.
        let reservation = self.shared.budget.try_reserve(body.as_ref().len() as u64);
        let mut reservation = reservation.map_err(|Exhausted| self.memory_refused())?;
        let validated = read_request(body.as_ref(), &self.shared.limits).map_err(|invalid| self.malformed(&invalid))?;
        drop(body);
        let length = validated.batch.bytes().len() as u64;
        reservation.resize(length).map_err(|Exhausted| self.memory_refused())?;
        Ok(Validated { batch: adopt(&validated.batch, reservation)?, rejected: validated.rejected })
    }

    async fn send_validated(&self, validated: Validated) -> Result<Rejected, Refused> {
        let Validated { batch, rejected } = validated;
        if rejected.spans > 0 {
            self.shared.ledger.rejected(self.shared.receiver, rejected.spans);
        }
        self.send(batch).await.map_err(Refused::NotNow)?;
        Ok(rejected)
    }

    fn malformed(&self, reason: &dyn std::fmt::Display) -> Refused {
        self.refused_request(RefusalReason::Malformed);
        Refused::Malformed(reason.to_string())
    }

    fn memory_refused(&self) -> Refused {
        self.refused_request(RefusalReason::MemoryLimit);
        Refused::NotNow(Refusal::memory_limit())
    }

    /// Sends a batch to every pipeline and waits until each copy is settled. A batch whose sender stops waiting is on
    /// its way all the same.
    pub(crate) async fn send(&self, batch: TraceBatch) -> Result<(), Refusal> {
        let shared = &self.shared;
        let spans = batch.span_count() as u64;
        if spans == 0 {
            return Ok(());
        }
        let (acks, answer) = ack::begin(&shared.ledger, shared.receiver, &shared.pipelines, spans);
        for (ack, input) in acks.into_iter().zip(&shared.inputs) {
            match input.try_send(Item { batch: batch.clone(), ack }) {
                Ok(()) => {}
                Err(TrySendError::Full(item)) => {
                    let message = "the pipeline is busy; try again later";
                    item.ack.settle(Outcome::Refused(Refusal::retry(RefusalReason::PipelineFull, message, BUSY_RETRY)));
                }
                Err(TrySendError::Closed(item)) => item.ack.settle(Outcome::Refused(Refusal::shutting_down())),
            }
        }
        // The batch's bytes must not be held while waiting: the pipelines have them.
        drop(batch);
        match answer.await {
            Ok(Outcome::Delivered) => Ok(()),
            Ok(Outcome::Refused(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::shutting_down()),
        }
    }
}

/// The same batch on bytes that own `reservation`.
fn adopt(batch: &TraceBatch, reservation: Reservation) -> Result<TraceBatch, Refused> {
    let paid = reservation.attach(batch.bytes().clone());
    TraceBatch::from_trusted(paid).map_err(|invalid| Refused::Malformed(invalid.to_string()))
}
