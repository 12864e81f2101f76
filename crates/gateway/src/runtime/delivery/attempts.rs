//! Attempts on what is to be delivered: as one request, again and again while the back end asks for it, or each by itself
//! where it refuses the whole.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::split::{self, Longest};

use tokio::time::Instant;

use super::retry::{Retry, Scatter, Wait};
use super::state::DeliveryState;
use super::{End, Waiting};
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::exporters::sending::{RetryConfig, Sizer};
use crate::exporters::{Exported, Exporter};
use crate::ledger::RefusalReason;
use crate::net::stop::Stop;

/// When to ask again for memory.
const MEMORY_RETRY: Duration = Duration::from_millis(10);
/// How often it is asked for.
const MEMORY_ATTEMPTS: u32 = 1_000;

/// A part of a batch.
enum Part {
    Cut(Batch),
    /// There is no memory for a part.
    Whole,
    /// There is no time left.
    Stopped,
}

/// What a delivery on its way needs.
#[derive(Clone)]
pub(super) struct Delivery {
    pub(super) exporter: Arc<dyn Exporter>,
    pub(super) retry: Option<RetryConfig>,
    /// The longest request, and what it counts.
    pub(super) longest: Option<(u64, Sizer)>,
    pub(super) budget: Arc<Budget>,
    pub(super) scatter: Scatter,
    pub(super) clock: Clock,
    pub(super) state: Arc<DeliveryState>,
    /// Ends the waiting between attempts, where what was not delivered is on disk.
    pub(super) stop: Option<Stop>,
}

impl Delivery {
    /// Delivers a group as one, or each by itself where that cannot be.
    pub(super) async fn deliver(self, group: Vec<Waiting>) {
        let oldest = group.iter().map(|waiting| waiting.taken).min();
        let _sending = oldest.map(|oldest| self.state.sending(oldest));
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
                end @ (End::GaveUp(_) | End::Stopped) => {
                    group.into_iter().for_each(|waiting| waiting.settle(end.clone()));
                    return;
                }
            }
        }
        for waiting in group {
            match self.parts(&waiting.batch) {
                Some(parts) => self.deliver_parts(waiting, parts).await,
                None => {
                    let end = self.attempt(waiting.batch.clone()).await;
                    waiting.settle(end);
                }
            }
        }
    }

    /// How a batch is divided that is longer than what is sent at once; `None`: it is not. Only traces can be.
    fn parts(&self, batch: &Batch) -> Option<Vec<Range<usize>>> {
        let (most, sizer) = self.longest?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let longest = match sizer {
            Sizer::Requests => return None,
            Sizer::Items => Longest::Spans(most),
            Sizer::Bytes => Longest::Bytes(most),
        };
        Some(split::split(batch.traces()?, longest)).filter(|parts| parts.len() > 1)
    }

    /// Delivers one batch in parts, one after the other.
    async fn deliver_parts(&self, mut waiting: Waiting, parts: Vec<Range<usize>>) {
        let mut refusal = None;
        for spans in parts {
            let items = spans.len() as u64;
            let part = match self.part(&waiting.batch, &spans).await {
                Part::Cut(part) => part,
                Part::Stopped => return waiting.settle(End::Stopped),
                Part::Whole if spans.start == 0 => {
                    let end = self.attempt(waiting.batch.clone()).await;
                    return waiting.settle(end);
                }
                Part::Whole => {
                    let message = "there was no memory to send a part of the request";
                    let refusal = Refusal::retry(RefusalReason::MemoryLimit, message, MEMORY_RETRY);
                    return waiting.settle(End::GaveUp(refusal));
                }
            };
            match self.attempt(part).await {
                End::Delivered { rejected_spans } => waiting.settle_part(items, rejected_spans.min(items)),
                End::Rejected(reason) => {
                    waiting.reject_part(items, &reason);
                    refusal = Some(reason);
                }
                end @ (End::GaveUp(_) | End::Stopped) => return waiting.settle(end),
            }
        }
        waiting.end_parts(refusal);
    }

    /// A part, as soon as there is memory for it. Where there is none for long, because the whole takes it, the whole.
    async fn part(&self, batch: &Batch, spans: &Range<usize>) -> Part {
        let Some(traces) = batch.traces() else { return Part::Whole };
        let length = split::length(traces, spans.clone()) as u64;
        for _ in 0..MEMORY_ATTEMPTS {
            if let Ok(reservation) = self.budget.try_reserve(length) {
                let mut part = split::part(traces, spans.clone());
                part.shrink_to_fit();
                let part = TraceBatch::from_trusted(part.into());
                return part.map_or(Part::Whole, |traces| Part::Cut(Batch::new(traces, reservation)));
            }
            if self.is_stopped_within(MEMORY_RETRY).await {
                return Part::Stopped;
            }
        }
        Part::Whole
    }

    /// Tries until it is delivered, refused for good, or the time is over.
    async fn attempt(&self, batch: Batch) -> End {
        self.state.sent(batch.items(), batch.bytes().len() as u64);
        let mut retry = self.retry.as_ref().map(|config| Retry::new(config, &self.scatter, Instant::now()));
        loop {
            let refusal = match self.exporter.export(batch.clone()).await {
                Exported::Delivered { rejected_spans } => {
                    self.state.well((self.clock)());
                    return End::Delivered { rejected_spans };
                }
                Exported::Failed(refusal) => refusal,
            };
            self.state.failed(&refusal.message, (self.clock)());
            let Some(hint) = refusal.retry_after else { return End::Rejected(refusal) };
            if retry.is_some() {
                self.state.in_trouble(&refusal.message, (self.clock)());
            }
            match retry.as_mut().map(|retry| retry.next(hint, Instant::now())) {
                Some(Wait::For(delay)) if self.is_stopped_within(delay).await => return End::Stopped,
                Some(Wait::For(_)) => {}
                Some(Wait::GiveUp) | None => return End::GaveUp(refusal),
            }
        }
    }
    /// Waits before the next attempt; true if there is to be none.
    async fn is_stopped_within(&self, delay: Duration) -> bool {
        let Some(mut stop) = self.stop.clone() else {
            tokio::time::sleep(delay).await;
            return false;
        };
        // Both branches are cancel-safe.
        tokio::select! {
            biased;
            () = stop.stopped() => true,
            () = tokio::time::sleep(delay) => false,
        }
    }
}
