//! Where every span went. One lock, one snapshot; each change moves spans from one account to another, so that these
//! hold after every change:
//!
//! - receiver: `received = accepted + rejected + refused(reason) + pending`
//! - pipeline: `in = filtered + sampled_out + dropped(reason) + refused(reason) + out + held`
//! - exporter: `enqueued + recovered + repeated = delivered + dropped(reason) + refused(reason) + queued`
//!
//! *Refused* spans were turned away before their sender was told "accepted": the sender still has them. *Dropped*
//! spans are lost, by a limit that somebody wrote down or by a back end's decision.

mod accounts;
mod json;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use accounts::{ByReason, Dropped, ExporterAccount, Named, PipelineAccount, ReceiverAccount, Refused};

macro_rules! reasons {
    ($(#[doc = $doc:literal])+ pub enum $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[doc = $variant_doc])+ $variant,)+ }

        impl $name {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in metrics and in the ledger.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

reasons! {
    /// Why spans were turned away; their sender still has them.
    pub enum RefusalReason {
        /// The byte budget is used up.
        MemoryLimit = "memory_limit",
        /// The pipeline has as many batches waiting as it takes.
        PipelineFull = "pipeline_full",
        /// The exporter's queue is full.
        QueueFull = "queue_full",
        /// The back end or the store cannot take it now.
        Unavailable = "unavailable",
        /// The disk is full.
        DiskFull = "disk_full",
        /// The back end or the store will never take it.
        RejectedByBackend = "rejected_by_backend",
        /// The gateway is shutting down.
        ShuttingDown = "shutting_down",
        /// The request is longer than the configured limit.
        TooLarge = "too_large",
        /// The request is not what its protocol says.
        Malformed = "malformed",
        /// The sender did not show the right key.
        Unauthenticated = "unauthenticated",
        /// The sender's token has used up what may come with it.
        RateLimit = "rate_limit",
    }
}

reasons! {
    /// Why accepted spans were lost.
    pub enum DropReason {
        /// A queue with `on_full: drop` was full.
        QueueFull = "queue_full",
        /// The back end refused them for good after they were accepted.
        RejectedByBackend = "rejected_by_backend",
        /// `max_elapsed_time` passed.
        RetryTimeout = "retry_timeout",
        /// The drain's deadline passed while they were in memory.
        DrainDeadline = "drain_deadline",
        /// The part of a queue on disk that held them is damaged.
        StorageCorrupt = "storage_corrupt",
    }
}

/// Index of a receiver in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReceiverIndex(pub(crate) usize);
/// Index of a pipeline in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PipelineIndex(pub(crate) usize);
/// Index of an exporter in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExporterIndex(pub(crate) usize);

/// All accounts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Receivers.
    pub receivers: Vec<ReceiverAccount>,
    /// Pipelines.
    pub pipelines: Vec<PipelineAccount>,
    /// Exporters.
    pub exporters: Vec<ExporterAccount>,
}

/// The accounts.
#[derive(Debug)]
pub struct Ledger {
    accounts: Mutex<Snapshot>,
}

/// The accounts of a plan: of its receiver accounts, pipelines and exporters, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accounts {
    pub(crate) receivers: Vec<ReceiverIndex>,
    pub(crate) pipelines: Vec<PipelineIndex>,
    pub(crate) exporters: Vec<ExporterIndex>,
}

/// What became of spans, as the ledger sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// The receiver of the acknowledgement has them.
    Delivered,
    /// The sender keeps them.
    Refused(RefusalReason),
}

/// Why spans left a pipeline on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// A filter that somebody wrote.
    Filtered,
    /// Their traces are not sampled.
    SampledOut,
}

/// Where spans are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a pipeline.
    Pipeline(PipelineIndex),
    /// At an exporter.
    Exporter(ExporterIndex),
}

impl Ledger {
    /// A ledger with an empty account for each id and signal.
    #[must_use]
    pub fn new(receivers: &[Named], pipelines: &[Named], exporters: &[Named]) -> Self {
        let receivers = receivers.iter().cloned().map(|(id, signal)| ReceiverAccount::new(id, signal)).collect();
        let pipelines = pipelines.iter().cloned().map(|(id, signal)| PipelineAccount::new(id, signal)).collect();
        let exporters = exporters.iter().cloned().map(|(id, signal)| ExporterAccount::new(id, signal)).collect();
        Self { accounts: Mutex::new(Snapshot { receivers, pipelines, exporters }) }
    }

    /// The accounts of these ids and signals: those that are there keep their figures, others are opened. No account is
    /// ever closed, so that the figures of a process only grow, whatever is reloaded.
    pub(crate) fn adopt(&self, receivers: &[Named], pipelines: &[Named], exporters: &[Named]) -> Accounts {
        let mut accounts = self.lock();
        let receivers = receivers.iter().map(|(id, signal)| {
            let found = accounts.receivers.iter().position(|a| a.id == *id && a.signal == *signal);
            ReceiverIndex(found.unwrap_or_else(|| {
                accounts.receivers.push(ReceiverAccount::new(id.clone(), *signal));
                accounts.receivers.len() - 1
            }))
        });
        let receivers = receivers.collect();
        let pipelines = pipelines.iter().map(|(id, signal)| {
            let found = accounts.pipelines.iter().position(|a| a.id == *id && a.signal == *signal);
            PipelineIndex(found.unwrap_or_else(|| {
                accounts.pipelines.push(PipelineAccount::new(id.clone(), *signal));
                accounts.pipelines.len() - 1
            }))
        });
        let pipelines = pipelines.collect();
        let exporters = exporters.iter().map(|(id, signal)| {
            let found = accounts.exporters.iter().position(|a| a.id == *id && a.signal == *signal);
            ExporterIndex(found.unwrap_or_else(|| {
                accounts.exporters.push(ExporterAccount::new(id.clone(), *signal));
                accounts.exporters.len() - 1
            }))
        });
        let exporters = exporters.collect();
        Accounts { receivers, pipelines, exporters }
    }

    /// All accounts at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// A request was read: its spans wait for an answer.
    pub(crate) fn received(&self, receiver: ReceiverIndex, spans: u64) {
        let account = &mut self.lock().receivers[receiver.0];
        account.received += spans;
        account.pending += spans;
    }

    /// Spans of a request are not valid and were left out.
    pub(crate) fn rejected(&self, receiver: ReceiverIndex, spans: u64) {
        let account = &mut self.lock().receivers[receiver.0];
        account.received += spans;
        account.rejected += spans;
    }

    /// A request was turned away unread.
    pub(crate) fn refused_request(&self, receiver: ReceiverIndex, reason: RefusalReason) {
        self.lock().receivers[receiver.0].refused_requests.add(reason as usize, 1);
    }

    /// The sender has its answer.
    pub(crate) fn answered(&self, receiver: ReceiverIndex, spans: u64, settlement: Settlement) {
        let account = &mut self.lock().receivers[receiver.0];
        take(&mut account.pending, spans);
        match settlement {
            Settlement::Delivered => account.accepted += spans,
            Settlement::Refused(reason) => account.refused.add(reason as usize, spans),
        }
    }

    /// Spans entered a pipeline.
    pub(crate) fn entered(&self, pipeline: PipelineIndex, spans: u64) {
        let account = &mut self.lock().pipelines[pipeline.0];
        account.entered += spans;
        account.held += spans;
    }

    /// Spans were removed in a pipeline, on purpose.
    pub(crate) fn removed(&self, pipeline: PipelineIndex, spans: u64, removal: Removal) {
        let account = &mut self.lock().pipelines[pipeline.0];
        take(&mut account.held, spans);
        match removal {
            Removal::Filtered => account.filtered += spans,
            Removal::SampledOut => account.sampled_out += spans,
        }
    }

    /// Spans left a pipeline, a copy to each exporter and, through connectors, to each further pipeline.
    pub(crate) fn fanned_out(&self, pipeline: PipelineIndex, places: &[Place], spans: u64) {
        let mut accounts = self.lock();
        let account = &mut accounts.pipelines[pipeline.0];
        take(&mut account.held, spans);
        account.out += spans;
        for place in places {
            match *place {
                Place::Pipeline(next) => {
                    let account = &mut accounts.pipelines[next.0];
                    account.entered += spans;
                    account.held += spans;
                }
                Place::Exporter(exporter) => {
                    let account = &mut accounts.exporters[exporter.0];
                    account.enqueued += spans;
                    account.queued += spans;
                }
            }
        }
    }

    /// Spans left an exporter: delivered, but for `dropped` of them.
    pub(crate) fn exported(&self, exporter: ExporterIndex, spans: u64, dropped: u64, reason: DropReason) {
        let account = &mut self.lock().exporters[exporter.0];
        take(&mut account.queued, spans);
        account.delivered += spans - dropped;
        account.dropped.add(reason as usize, dropped);
    }

    /// Spans were found on disk: by an earlier process, or by an earlier delivery of this one, in whose account they are.
    pub(crate) fn recovered(&self, exporter: ExporterIndex, spans: u64) {
        let account = &mut self.lock().exporters[exporter.0];
        let new = spans.saturating_sub(account.stored);
        let missing = account.stored.saturating_sub(spans);
        account.recovered += new;
        account.queued = account.queued + new - missing;
        account.stored = spans;
        account.dropped.add(DropReason::StorageCorrupt as usize, missing);
    }

    /// Spans that left as a part of a request are sent again with the whole, which is on disk.
    pub(crate) fn repeated(&self, exporter: ExporterIndex, spans: u64) {
        let account = &mut self.lock().exporters[exporter.0];
        account.repeated += spans;
        account.queued += spans;
        account.stored += spans;
    }

    /// Spans that are queued are on disk now.
    pub(crate) fn stored(&self, exporter: ExporterIndex, spans: u64) {
        self.lock().exporters[exporter.0].stored += spans;
    }

    /// As [`Ledger::exported`], for spans that are on disk.
    pub(crate) fn exported_from_disk(&self, exporter: ExporterIndex, spans: u64, dropped: u64, reason: DropReason) {
        let account = &mut self.lock().exporters[exporter.0];
        take(&mut account.queued, spans);
        take(&mut account.stored, spans);
        account.delivered += spans - dropped;
        account.dropped.add(reason as usize, dropped);
    }

    /// One copy is settled where it is.
    pub(crate) fn settled(&self, place: Place, spans: u64, settlement: Settlement) {
        let mut accounts = self.lock();
        match (place, settlement) {
            (Place::Pipeline(pipeline), Settlement::Delivered) => {
                // Everything was removed on the way, on purpose.
                let account = &mut accounts.pipelines[pipeline.0];
                take(&mut account.held, spans);
                account.filtered += spans;
            }
            (Place::Pipeline(pipeline), Settlement::Refused(reason)) => {
                let account = &mut accounts.pipelines[pipeline.0];
                take(&mut account.held, spans);
                account.refused.add(reason as usize, spans);
            }
            (Place::Exporter(exporter), Settlement::Delivered) => {
                let account = &mut accounts.exporters[exporter.0];
                take(&mut account.queued, spans);
                account.delivered += spans;
            }
            (Place::Exporter(exporter), Settlement::Refused(reason)) => {
                let account = &mut accounts.exporters[exporter.0];
                take(&mut account.queued, spans);
                account.refused.add(reason as usize, spans);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        // Changes do not panic half-way: a poisoned lock still holds sums that balance.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(account: &mut u64, spans: u64) {
    debug_assert!(*account >= spans, "spans leave a place that they never entered");
    *account = account.saturating_sub(spans);
}

impl Snapshot {
    /// Accounts that do not balance; empty unless there is a bug.
    #[must_use]
    pub fn imbalances(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |kind: &str, id: &str, left: u64, right: u64| {
            if left != right {
                found.push(format!("{kind} {id}: {left} came in, {right} are accounted for"));
            }
        };
        for r in &self.receivers {
            check("receiver", &r.id, r.received, r.accepted + r.rejected + r.refused.total() + r.pending);
        }
        for p in &self.pipelines {
            let sum = p.filtered + p.sampled_out + p.dropped.total() + p.refused.total() + p.out + p.held;
            check("pipeline", &p.id, p.entered, sum);
        }
        for e in &self.exporters {
            let sum = e.delivered + e.dropped.total() + e.refused.total() + e.queued;
            check("exporter", &e.id, e.enqueued + e.recovered + e.repeated, sum);
        }
        found
    }

    /// Spans that are on their way now and would not outlive this process.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let held: u64 = self.pipelines.iter().map(|pipeline| pipeline.held).sum();
        let queued: u64 = self.exporters.iter().map(|exporter| exporter.queued - exporter.stored).sum();
        held + queued
    }
}

#[cfg(test)]
mod tests;
