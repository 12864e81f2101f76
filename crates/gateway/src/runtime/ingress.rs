//! Where receivers hand batches in. A receiver knows nothing else of the gateway: it sends a batch and maps the answer
//! to its protocol.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::json::read_payload;
use rootspan_wire::otlp::payload::{Payload, Signal};
use rootspan_wire::otlp::validate::{Limits, Rejected, validate_payload};

use super::pipeline::Item;
use crate::ack::{self, Outcome, Refusal};
use crate::batch::Batch;
use crate::budget::{Budget, Exhausted, PaidBuffer, Reservation};
use crate::context::ClientContext;
use crate::extensions::bearertokenauth::RateLimit;
use crate::ledger::{Accounts, Ledger, PipelineIndex, ReceiverIndex, RefusalReason};
use crate::plan::Feed;
use crate::tasks;

/// When a sender that met a full pipeline should try again.
const BUSY_RETRY: Duration = Duration::from_millis(500);

/// Requests shorter than this are validated in less than half a millisecond, on the connection's thread.
const INLINE_BYTES: usize = 1 << 20;

/// The ways into the pipelines of one receiver: one for each signal that it takes.
#[derive(Clone, Debug)]
pub(crate) struct Ingresses(Arc<[Ingress]>);

impl Ingresses {
    /// Those of a planned receiver; `inputs` are those of all pipelines.
    pub(crate) fn new(
        feeds: &[Feed],
        inputs: &[mpsc::Sender<Item>],
        accounts: &Accounts,
        ledger: &Arc<Ledger>,
        budget: &Arc<Budget>,
    ) -> Self {
        let ingress = |feed: &Feed| {
            let (account, targets) = (accounts.receivers[feed.account.0], Targets::new(feed, inputs, accounts));
            Ingress::new(feed.signal, account, targets, Arc::clone(ledger), Arc::clone(budget))
        };
        Self(feeds.iter().map(ingress).collect())
    }

    /// Leads what comes from now on elsewhere. Batches on their way go where they were sent to.
    pub(crate) fn switch(&self, feeds: &[Feed], inputs: &[mpsc::Sender<Item>], accounts: &Accounts) {
        for ingress in self.0.iter() {
            if let Some(feed) = feeds.iter().find(|feed| feed.signal == ingress.shared.signal) {
                *ingress.shared.targets.write().unwrap_or_else(PoisonError::into_inner) =
                    Arc::new(Targets::new(feed, inputs, accounts));
            }
        }
    }

    /// The way for `signal`; `None` if no pipeline takes it from this receiver.
    pub(crate) fn of(&self, signal: Signal) -> Option<&Ingress> {
        self.0.iter().find(|ingress| ingress.shared.signal == signal)
    }

    /// Any of them: a receiver that runs is in a pipeline.
    pub(crate) fn any(&self) -> Option<&Ingress> {
        self.0.first()
    }
}

/// The way into the pipelines of one receiver for one signal.
#[derive(Clone, Debug)]
pub(crate) struct Ingress {
    shared: Arc<Shared>,
    /// Whom what is sent comes from.
    client: Option<Arc<ClientContext>>,
}

#[derive(Debug)]
struct Shared {
    signal: Signal,
    receiver: ReceiverIndex,
    /// Replaced as a whole when the configuration is reloaded.
    targets: RwLock<Arc<Targets>>,
    ledger: Arc<Ledger>,
    budget: Arc<Budget>,
    limits: Limits,
}

/// The pipelines that a batch goes to, a copy to each.
#[derive(Debug)]
struct Targets {
    pipelines: Vec<PipelineIndex>,
    inputs: Vec<mpsc::Sender<Item>>,
}

impl Targets {
    /// Those of a feed; `inputs` are those of all pipelines.
    fn new(feed: &Feed, inputs: &[mpsc::Sender<Item>], accounts: &Accounts) -> Self {
        let pipelines = feed.pipelines.iter().map(|pipeline| accounts.pipelines[pipeline.0]).collect();
        Self { pipelines, inputs: feed.pipelines.iter().map(|pipeline| inputs[pipeline.0].clone()).collect() }
    }
}

/// A request that was read: its sound items, and what was left out.
type Read = (Batch, Rejected);

/// A request that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not what its protocol says; never again.
    Malformed(String),
    /// The gateway did not take it.
    NotNow(Refusal),
}

impl Ingress {
    /// An ingress of `receiver`; batches go to each of `targets`.
    fn new(
        signal: Signal,
        receiver: ReceiverIndex,
        targets: Targets,
        ledger: Arc<Ledger>,
        budget: Arc<Budget>,
    ) -> Self {
        let (targets, limits) = (RwLock::new(Arc::new(targets)), Limits::default());
        Self { client: None, shared: Arc::new(Shared { signal, receiver, targets, ledger, budget, limits }) }
    }

    /// The same way, for what comes from this client.
    pub(crate) fn of_client(&self, client: Arc<ClientContext>) -> Self {
        Self { shared: Arc::clone(&self.shared), client: Some(client) }
    }

    /// The signal that it is for.
    pub(crate) fn signal(&self) -> Signal {
        self.shared.signal
    }

    /// The budget that the receiver reserves from before it buffers anything.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.shared.budget
    }

    /// Counts a request that was turned away before its items were known.
    pub(crate) fn refused_request(&self, reason: RefusalReason) {
        self.shared.ledger.refused_request(self.shared.receiver, reason);
    }

    /// Validates an OTLP request and sends what is sound; says what was left out.
    pub(crate) async fn send_otlp(&self, body: PaidBuffer) -> Result<Rejected, Refused> {
        let (batch, rejected) = self.work(body, Self::read_protobuf).await?;
        self.send_validated(batch, rejected).await
    }

    /// The same for OTLP JSON.
    pub(crate) async fn send_otlp_json(&self, body: PaidBuffer) -> Result<Rejected, Refused> {
        let (batch, rejected) = self.work(body, Self::read_json).await?;
        self.send_validated(batch, rejected).await
    }

    /// Reads OTLP JSON and counts what is left out; [`Ingress::send`] then takes it.
    pub(crate) async fn read_otlp_json(&self, body: PaidBuffer) -> Result<(Batch, Rejected), Refused> {
        let (batch, rejected) = self.work(body, Self::read_json).await?;
        if rejected.items > 0 {
            self.shared.ledger.rejected(self.shared.receiver, rejected.items);
        }
        Ok((batch, rejected))
    }

    /// Pays for a batch that a receiver made from another format; [`Ingress::send`] then takes it.
    pub(crate) fn pay(&self, traces: TraceBatch) -> Result<Batch, Refusal> {
        let reservation = self.shared.budget.try_reserve(traces.bytes().len() as u64).map_err(|Exhausted| {
            self.refused_request(RefusalReason::MemoryLimit);
            Refusal::memory_limit()
        })?;
        Ok(Batch::new(traces, reservation))
    }

    /// Reads a body, off the connection's thread if it is long.
    async fn work(
        &self,
        body: PaidBuffer,
        read: fn(&Self, PaidBuffer) -> Result<Read, Refused>,
    ) -> Result<Read, Refused> {
        if body.as_ref().len() < INLINE_BYTES {
            return read(self, body);
        }
        let ingress = self.clone();
        let read = tasks::blocking("read request", move || read(&ingress, body)).await;
        // A panic over bytes that somebody sent is a bug of ours, but theirs to hear of.
        read.unwrap_or_else(|| Err(self.malformed(&"the request could not be read")))
    }

    fn read_protobuf(&self, body: PaidBuffer) -> Result<Read, Refused> {
        let (body, mut reservation) = body.into_parts();
        let validated = validate_payload(self.shared.signal, body, &self.shared.limits);
        let (payload, rejected) = validated.map_err(|invalid| self.malformed(&invalid))?;
        // Where items were left out the bytes are new and shorter; where messages were merged, hardly longer.
        self.fit(&mut reservation, &payload)?;
        Ok((Batch::new(payload, reservation), rejected))
    }

    fn read_json(&self, body: PaidBuffer) -> Result<Read, Refused> {
        // Protobuf is shorter than JSON for the same items; where it is not (numbers of one digit), the difference is
        // a few bytes, paid for afterwards.
        let reservation = self.shared.budget.try_reserve(body.as_ref().len() as u64);
        let mut reservation = reservation.map_err(|Exhausted| self.memory_refused())?;
        let read = read_payload(self.shared.signal, body.as_ref(), &self.shared.limits);
        let (payload, rejected) = read.map_err(|invalid| self.malformed(&invalid))?;
        drop(body);
        self.fit(&mut reservation, &payload)?;
        Ok((Batch::new(payload, reservation), rejected))
    }

    /// Makes the reservation as long as the bytes if they are longer, or so much shorter that it matters.
    fn fit(&self, reservation: &mut Reservation, payload: &Payload) -> Result<(), Refused> {
        let length = payload.bytes().len() as u64;
        if length > reservation.bytes() || length < reservation.bytes() / 4 * 3 {
            reservation.resize(length).map_err(|Exhausted| self.memory_refused())?;
        }
        Ok(())
    }

    async fn send_validated(&self, batch: Batch, rejected: Rejected) -> Result<Rejected, Refused> {
        if rejected.items > 0 {
            self.shared.ledger.rejected(self.shared.receiver, rejected.items);
        }
        let limit = self.client.as_ref().and_then(|client| client.limit.clone());
        let items = batch.items();
        if let Some(limit) = &limit {
            limit.take(items, Instant::now()).map_err(|wait| self.over_limit(wait))?;
        }
        self.send(batch.of_client(self.client.clone())).await.map_err(|refusal| {
            // What was not taken comes again.
            limit.inspect(|limit| limit.give_back(items));
            Refused::NotNow(refusal)
        })?;
        Ok(rejected)
    }

    fn over_limit(&self, wait: Duration) -> Refused {
        self.refused_request(RefusalReason::RateLimit);
        Refused::NotNow(Refusal::retry(RefusalReason::RateLimit, RateLimit::MESSAGE, wait))
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
    pub(crate) async fn send(&self, batch: Batch) -> Result<(), Refusal> {
        let shared = &self.shared;
        let spans = batch.items();
        if spans == 0 {
            return Ok(());
        }
        let targets = Arc::clone(&shared.targets.read().unwrap_or_else(PoisonError::into_inner));
        let (acks, answer) = ack::begin(&shared.ledger, shared.receiver, &targets.pipelines, spans);
        for (ack, input) in acks.into_iter().zip(&targets.inputs) {
            match input.try_send(Item { batch: batch.clone(), ack }) {
                Ok(()) => {}
                Err(TrySendError::Full(item)) => {
                    let message = "the pipeline is busy; try again later";
                    item.ack.settle(Outcome::Refused(Refusal::retry(RefusalReason::PipelineFull, message, BUSY_RETRY)));
                }
                Err(TrySendError::Closed(item)) => item.ack.settle(Outcome::Refused(Refusal::shutting_down())),
            }
        }
        // The batch's bytes must not be held while waiting: the pipelines have them. Nor the way into pipelines that a
        // reload has replaced: they end when nobody has it.
        drop((batch, targets));
        match answer.await {
            Ok(Outcome::Delivered) => Ok(()),
            Ok(Outcome::Refused(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::shutting_down()),
        }
    }
}
