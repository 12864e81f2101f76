//! Delivery to one exporter: queue, merging, retry and back-off, once for all exporters.
//!
//! With a queue, spans are taken over from their sender when they are in it; without one, their sender waits for the
//! back end's answer. Requests wait unmerged and are concatenated when they are sent: concatenated requests are one
//! request. What the back end refuses for good as part of a merged request is tried once more by itself, so that one
//! bad request takes no others with it.

mod queue;
mod retry;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::pipeline::Item;
use crate::ack::{Ack, Outcome, Refusal, Taken};
use crate::batch::Batch;
use crate::budget::Budget;
use crate::exporters::sending::{OnFull, RetryConfig, SendingQueueConfig, Sizer};
use crate::exporters::{Exported, Exporter};
use crate::ledger::{DropReason, RefusalReason};
use crate::processors::BatchConfig;
use crate::tasks::TaskGroup;
use queue::{Queue, Room};
use retry::{Retry, Wait};

pub(crate) use retry::Scatter;

/// Batches that may wait for an exporter that has [`CONCURRENT_EXPORTS`] on the way.
pub(crate) const WAITING_BATCHES: usize = 256;
/// Exports on the way at once, where nothing is configured. The store's group commit wants many: everything that waits
/// shares one sync.
const CONCURRENT_EXPORTS: usize = 512;
/// When a sender that met a full queue should try again.
const QUEUE_RETRY: Duration = Duration::from_secs(1);

/// How one exporter is delivered to.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Exports on the way at once.
    pub(crate) consumers: usize,
    /// Whether spans are taken over from their sender when they are queued.
    pub(crate) takes_over: bool,
    /// `None`: nothing waits here but for merging.
    pub(crate) limit: Option<Limit>,
    pub(crate) merging: Option<Merging>,
    /// `None`: one attempt.
    pub(crate) retry: Option<RetryConfig>,
}

/// The most that waits or is on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) size: u64,
    pub(crate) sizer: Sizer,
    pub(crate) blocks: bool,
    pub(crate) on_full: OnFull,
}

/// When requests are sent together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merging {
    pub(crate) timeout: Duration,
    pub(crate) min_size: u64,
    /// 0: no limit.
    pub(crate) max_size: u64,
    pub(crate) sizer: Sizer,
}

impl Settings {
    /// One attempt each, many at once, answered when it is done: for the store and the printer.
    pub(crate) const DIRECT: Self =
        Self { consumers: CONCURRENT_EXPORTS, takes_over: false, limit: None, merging: None, retry: None };

    /// For exporters over the network; `batch` is what a processor in front asks for.
    pub(crate) fn new(queue: &SendingQueueConfig, retry: &RetryConfig, batch: Option<&BatchConfig>) -> Self {
        let of_queue = queue.batch.as_ref().filter(|_| queue.enabled).map(|batch| Merging {
            timeout: batch.flush_timeout,
            min_size: batch.min_size,
            max_size: batch.max_size,
            sizer: batch.sizer,
        });
        let of_processor = batch.map(|batch| Merging {
            timeout: batch.timeout,
            min_size: batch.send_batch_size,
            max_size: batch.send_batch_max_size,
            sizer: Sizer::Items,
        });
        let limit = Limit {
            size: queue.queue_size,
            sizer: queue.sizer,
            blocks: queue.block_on_overflow,
            on_full: queue.on_full,
        };
        Self {
            consumers: queue.num_consumers.max(1) as usize,
            takes_over: queue.enabled && !queue.wait_for_result,
            limit: queue.enabled.then_some(limit),
            merging: of_queue.or(of_processor),
            retry: retry.enabled.then(|| retry.clone()),
        }
    }
}

/// A batch in delivery.
#[derive(Debug)]
struct Waiting {
    batch: Batch,
    duty: Duty,
    since: Instant,
    room: Room,
}

/// Who must hear what becomes of a batch.
#[derive(Debug)]
enum Duty {
    /// Its sender waits.
    Held(Ack),
    /// Its sender was told that it is accepted.
    Taken(Taken),
}

/// How the attempts on one batch ended.
#[derive(Clone, Debug)]
enum End {
    Delivered { rejected_spans: u64 },
    Rejected(Refusal),
    GaveUp(Refusal),
}

impl Duty {
    fn settle(self, end: End) {
        match (self, end) {
            (Self::Held(ack), End::Delivered { rejected_spans }) => ack.settle_delivered(rejected_spans),
            (Self::Held(ack), End::Rejected(refusal) | End::GaveUp(refusal)) => ack.settle(Outcome::Refused(refusal)),
            (Self::Taken(taken), End::Delivered { rejected_spans }) => taken.delivered(rejected_spans),
            (Self::Taken(taken), End::Rejected(refusal)) => {
                tracing::error!(
                    reason = refusal.message,
                    "the back end refused accepted spans for good; they are lost"
                );
                taken.dropped(DropReason::RejectedByBackend);
            }
            (Self::Taken(taken), End::GaveUp(refusal)) => {
                tracing::error!(
                    reason = refusal.message,
                    "accepted spans could not be delivered in time; they are lost"
                );
                taken.dropped(DropReason::RetryTimeout);
            }
        }
    }
}

/// Delivers until the input is closed and empty and every export has ended.
pub(crate) async fn run(
    mut input: mpsc::Receiver<Item>,
    exporter: Arc<dyn Exporter>,
    settings: Settings,
    budget: Arc<Budget>,
    scatter: Scatter,
) {
    let mut queue = Queue::new(settings.limit, settings.merging);
    let mut exports = TaskGroup::new("export");
    let mut is_open = true;
    while is_open || !queue.is_empty() {
        let can_start = exports.len() < settings.consumers;
        if can_start && let Some(group) = queue.take_ready(Instant::now(), !is_open) {
            let work = Delivery {
                exporter: Arc::clone(&exporter),
                retry: settings.retry.clone(),
                budget: Arc::clone(&budget),
                scatter: scatter.clone(),
            };
            exports.start(work.deliver(group));
            continue;
        }
        // Without a queue of its own, what waits here waits for merging only.
        let takes = is_open && if settings.limit.is_some() { !queue.blocks() } else { can_start };
        // All branches are cancel-safe; in this order, so that a run can be repeated, and what ends makes room first.
        tokio::select! {
            biased;
            () = exports.ended(), if exports.len() > 0 => {}
            () = sleep_until(queue.due()), if can_start => {}
            item = input.recv(), if takes => match item {
                None => is_open = false,
                Some(item) => enqueue(item, &mut queue, &settings),
            },
        }
    }
    exports.join().await;
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn enqueue(item: Item, queue: &mut Queue, settings: &Settings) {
    let Item { batch, ack } = item;
    let Some(room) = queue.room_for(&batch) else {
        match settings.limit.map_or(OnFull::Refuse, |limit| limit.on_full) {
            OnFull::Refuse => {
                let message = "the exporter's queue is full; try again later";
                ack.settle(Outcome::Refused(Refusal::retry(RefusalReason::QueueFull, message, QUEUE_RETRY)));
            }
            OnFull::Drop => ack.take_over().dropped(DropReason::QueueFull),
        }
        return;
    };
    let duty = if settings.takes_over { Duty::Taken(ack.take_over()) } else { Duty::Held(ack) };
    queue.push(Waiting { batch, duty, since: Instant::now(), room });
}

/// What a delivery on its way needs.
struct Delivery {
    exporter: Arc<dyn Exporter>,
    retry: Option<RetryConfig>,
    budget: Arc<Budget>,
    scatter: Scatter,
}

impl Delivery {
    /// Delivers a group as one, or each by itself where that cannot be.
    async fn deliver(self, group: Vec<Waiting>) {
        let batches: Vec<&Batch> = group.iter().map(|waiting| &waiting.batch).collect();
        // Merging takes memory; without it there is more to send, and nothing is lost.
        let merged = if group.len() > 1 { Batch::merged(&batches, &self.budget) } else { None };
        if let Some(merged) = merged {
            match self.attempt(merged).await {
                End::Rejected(_) => {}
                // How many spans of which request were rejected is not said: the first ones answer for them.
                End::Delivered { mut rejected_spans } => {
                    for waiting in group {
                        let rejected = rejected_spans.min(waiting.batch.items());
                        rejected_spans -= rejected;
                        waiting.settle(End::Delivered { rejected_spans: rejected });
                    }
                    return;
                }
                end @ End::GaveUp(_) => {
                    group.into_iter().for_each(|waiting| waiting.settle(end.clone()));
                    return;
                }
            }
        }
        for waiting in group {
            let end = self.attempt(waiting.batch.clone()).await;
            waiting.settle(end);
        }
    }

    /// Tries until it is delivered, refused for good, or the time is over.
    async fn attempt(&self, batch: Batch) -> End {
        let mut retry = self.retry.as_ref().map(|config| Retry::new(config, &self.scatter, Instant::now()));
        loop {
            let refusal = match self.exporter.export(batch.clone()).await {
                Exported::Delivered { rejected_spans } => return End::Delivered { rejected_spans },
                Exported::Failed(refusal) => refusal,
            };
            let Some(hint) = refusal.retry_after else { return End::Rejected(refusal) };
            match retry.as_mut().map(|retry| retry.next(hint, Instant::now())) {
                Some(Wait::For(delay)) => tokio::time::sleep(delay).await,
                Some(Wait::GiveUp) | None => return End::GaveUp(refusal),
            }
        }
    }
}

impl Waiting {
    fn settle(self, end: End) {
        // The room is given back before anybody hears of the end and sends more.
        drop(self.room);
        self.duty.settle(end);
    }
}
