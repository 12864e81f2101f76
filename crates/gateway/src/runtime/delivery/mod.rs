//! Delivery to one exporter: queue, merging, retry and back-off, once for all exporters.
//!
//! With a queue, spans are taken over from their sender when they are in it; without one, their sender waits for the
//! back end's answer. Requests wait unmerged and are concatenated when they are sent: concatenated requests are one
//! request. What the back end refuses for good as part of a merged request is tried once more by itself, so that one
//! bad request takes no others with it.
//!
//! With [`storage`] the queue is on disk: requests are taken over when they are synced, and what is not delivered at the
//! end stays for the next start.

mod attempts;
mod queue;
mod retry;
pub(crate) mod state;
pub(crate) mod storage;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use rootspan_model::time::UnixNanos;

use self::attempts::Delivery;
use self::queue::{Queue, Room};
use self::state::DeliveryState;
use self::storage::{Finished, Storage, Stored};
use crate::ack::{Ack, Outcome, Refusal, Taken};
use crate::batch::Batch;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::exporters::Exporter;
use crate::exporters::sending::{OnFull, RetryConfig, SendingQueueConfig, Sizer};
use crate::ledger::{DropReason, RefusalReason};
use crate::net::stop;
use crate::processors::BatchConfig;
use crate::runtime::pipeline::Item;
use crate::tasks::TaskGroup;

pub(crate) use retry::Scatter;

/// Batches that may wait for an exporter that has [`CONCURRENT_EXPORTS`] on the way.
pub(crate) const WAITING_BATCHES: usize = 256;
/// Exports on the way at once, where nothing is configured. The store's group commit wants many: everything that waits
/// shares one sync.
const CONCURRENT_EXPORTS: usize = 512;
/// When a sender that met a full queue should try again.
pub(crate) const QUEUE_RETRY: Duration = Duration::from_secs(1);

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
            retry: retry.enabled.then(|| RetryConfig {
                // What is on disk can wait as long as it takes.
                max_elapsed_time: retry.max_elapsed_time.or(queue.storage.as_ref().map(|_| Duration::ZERO)),
                ..retry.clone()
            }),
        }
    }
}

/// Everything that one delivery is made of.
pub(crate) struct Outlet {
    pub(crate) exporter: Arc<dyn Exporter>,
    pub(crate) settings: Settings,
    pub(crate) budget: Arc<Budget>,
    pub(crate) scatter: Scatter,
    pub(crate) clock: Clock,
    pub(crate) state: Arc<DeliveryState>,
    /// Where the queue is, if it is on disk.
    pub(crate) storage: Option<Storage>,
}

/// A batch in delivery.
#[derive(Debug)]
struct Waiting {
    batch: Batch,
    duty: Duty,
    /// Since when it waits to be merged.
    since: Instant,
    /// When its sender gave it to us.
    taken: UnixNanos,
    /// `None`: it is on disk, which has a limit of its own.
    room: Option<Room>,
}

/// Who must hear what becomes of a batch.
#[derive(Debug)]
enum Duty {
    /// Its sender waits.
    Held(Ack),
    /// Its sender was told that it is accepted.
    Taken(Taken),
    /// As before, and it is on disk.
    Stored(Stored),
}

/// How the attempts on one batch ended.
#[derive(Clone, Debug)]
enum End {
    Delivered {
        rejected_spans: u64,
    },
    Rejected(Refusal),
    GaveUp(Refusal),
    /// There is no time for more of them; what is on disk stays there.
    Stopped,
}

impl Waiting {
    fn settle(self, end: End) {
        // The room is given back before anybody hears of the end and sends more.
        drop(self.room);
        match (self.duty, end) {
            (Duty::Held(ack), End::Delivered { rejected_spans }) => ack.settle_delivered(rejected_spans),
            (Duty::Held(ack), End::Rejected(refusal) | End::GaveUp(refusal)) => ack.settle(Outcome::Refused(refusal)),
            (Duty::Taken(taken), End::Delivered { rejected_spans }) => taken.delivered(rejected_spans),
            (Duty::Taken(taken), End::Rejected(refusal)) => {
                say_rejected(&refusal, false);
                taken.dropped(DropReason::RejectedByBackend);
            }
            (Duty::Taken(taken), End::GaveUp(refusal)) => {
                say_gave_up(&refusal);
                taken.dropped(DropReason::RetryTimeout);
            }
            (Duty::Stored(stored), End::Delivered { rejected_spans }) => stored.delivered(rejected_spans),
            (Duty::Stored(stored), End::Rejected(refusal)) => {
                let is_kept = stored.refused(&self.batch, &refusal.message);
                say_rejected(&refusal, is_kept);
            }
            (Duty::Stored(stored), End::GaveUp(refusal)) => {
                say_gave_up(&refusal);
                stored.dropped(DropReason::RetryTimeout);
            }
            // Dropping them unsettled says it.
            (Duty::Held(_) | Duty::Taken(_) | Duty::Stored(_), End::Stopped) => {}
        }
    }
}

/// A batch that is sent in parts: each is accounted for as soon as it is known what became of it, so that what is cut off
/// in the middle is counted as what it is.
impl Waiting {
    /// So many items are delivered, but for `rejected` of them.
    fn settle_part(&mut self, items: u64, rejected: u64) {
        match &mut self.duty {
            Duty::Held(ack) => ack.settle_part(items, rejected),
            Duty::Taken(taken) => taken.settle_part(items, rejected),
            Duty::Stored(stored) => stored.settle_part(items, rejected),
        }
    }

    /// So many items are refused for good. Who waits for the answer keeps them.
    fn reject_part(&mut self, items: u64, refusal: &Refusal) {
        match &mut self.duty {
            Duty::Held(_) => return,
            Duty::Taken(taken) => taken.settle_part(items, items),
            Duty::Stored(stored) => stored.settle_part(items, items),
        }
        say_rejected(refusal, false);
    }

    /// Every part is settled; `refusal` is why one was refused for good.
    fn end_parts(self, refusal: Option<Refusal>) {
        match (&self.duty, refusal) {
            (Duty::Held(_), Some(refusal)) => self.settle(End::Rejected(refusal)),
            _ => self.settle(End::Delivered { rejected_spans: 0 }),
        }
    }
}

fn say_rejected(refusal: &Refusal, is_kept: bool) {
    let reason = refusal.message.as_str();
    if is_kept {
        // Where they are is said by the storage.
        tracing::debug!(reason, "the back end refused accepted spans for good");
    } else {
        tracing::error!(reason, "the back end refused accepted spans for good; they are lost");
    }
}

fn say_gave_up(refusal: &Refusal) {
    let reason = refusal.message.as_str();
    tracing::error!(reason, "accepted spans could not be delivered in time; they are lost");
}

/// Delivers until the input is closed and empty and every export has ended. What is on disk stays there at the end.
pub(crate) async fn run(mut input: mpsc::Receiver<Item>, outlet: Outlet) {
    let Outlet { exporter, settings, budget, scatter, clock, state, mut storage } = outlet;
    let (stopper, stop) = stop::channel();
    let stop = storage.is_some().then_some(stop);
    let retry = settings.retry.clone();
    let longest = settings.merging.filter(|merging| merging.max_size > 0);
    let longest = longest.map(|merging| (merging.max_size, merging.sizer));
    let delivery = Delivery {
        longest,
        exporter,
        retry,
        scatter,
        stop,
        budget: Arc::clone(&budget),
        clock: Arc::clone(&clock),
        state,
    };
    let mut queue = Queue::new(settings.limit, settings.merging);
    let mut exports = TaskGroup::new("export");
    let mut is_open = true;
    loop {
        let now = Instant::now();
        if let Some(storage) = &mut storage {
            storage.work(&budget, now);
        }
        tell(&delivery.state, &queue, storage.as_ref(), &settings);
        let can_start = exports.len() < settings.consumers;
        let is_last = !is_open || storage.as_ref().is_some_and(Storage::is_memory_full);
        if can_start && let Some(group) = queue.take_ready(now, is_last) {
            exports.start(delivery.clone().deliver(group));
            continue;
        }
        if !is_open && queue.is_empty() && exports.len() == 0 && storage.as_ref().is_none_or(Storage::is_closed) {
            break;
        }
        // Without a queue of its own, what waits here waits for merging only.
        let takes =
            is_open && if settings.limit.is_some() { !blocks(&queue, storage.as_ref(), &settings) } else { can_start };
        let is_busy = storage.as_ref().is_some_and(Storage::is_busy);
        let due = queue.due().filter(|_| can_start).into_iter().chain(storage.as_ref().and_then(Storage::due)).min();
        // All branches are cancel-safe; in this order, so that a run can be repeated, and what ends makes room first.
        tokio::select! {
            biased;
            finished = finished(&mut storage), if is_busy => if let Some(storage) = &mut storage {
                storage.finish(finished, &mut queue, &budget);
            },
            () = exports.ended(), if exports.len() > 0 => {}
            () = sleep_until(due) => {}
            item = input.recv(), if takes => match item {
                Some(item) => enqueue(item, &mut queue, storage.as_mut(), &settings, &clock),
                None => {
                    is_open = false;
                    if let Some(storage) = &mut storage {
                        stopper.stop();
                        queue.clear();
                        storage.close();
                    }
                }
            },
        }
    }
    if let Some(storage) = &storage {
        storage.say_what_stays();
    }
}

/// Whether nothing more is to be taken because the limit is reached and asks to wait.
fn blocks(queue: &Queue, storage: Option<&Storage>, settings: &Settings) -> bool {
    let Some(limit) = settings.limit.filter(|limit| limit.blocks) else { return false };
    storage.map_or(queue.used(), |storage| storage.used().by(limit.sizer)) >= limit.size
}

async fn finished(storage: &mut Option<Storage>) -> Finished {
    match storage {
        Some(storage) => storage.finished().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn enqueue(item: Item, queue: &mut Queue, storage: Option<&mut Storage>, settings: &Settings, clock: &Clock) {
    if let Some(storage) = storage {
        storage.stage(item, settings.limit);
        return;
    }
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
    queue.push(Waiting { batch, duty, since: Instant::now(), taken: clock(), room: Some(room) });
}

/// Keeps what is told of this delivery up to date.
fn tell(state: &DeliveryState, queue: &Queue, storage: Option<&Storage>, settings: &Settings) {
    match storage {
        Some(storage) => {
            let used = settings.limit.map_or(0, |limit| storage.used().by(limit.sizer));
            state.set_waiting(used, storage.memory_bytes(), storage.oldest());
            storage.tell(state);
        }
        None => state.set_waiting(queue.used(), queue.bytes(), queue.oldest().map(|waiting| waiting.taken)),
    }
}
