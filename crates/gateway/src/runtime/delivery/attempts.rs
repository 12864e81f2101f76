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
use crate::batch::Batch;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::exporters::sending::{RetryConfig, Sizer};
use crate::exporters::{Exported, Exporter};
use crate::net::stop::Stop;

/// When to ask again for memory.
const MEMORY_RETRY: Duration = Duration::from_millis(10);

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
                end @ (End::GaveUp(_) | End::GaveUpAfter { .. } | End::Stopped) => {
                    group.into_iter().for_each(|waiting| waiting.settle(end.clone()));
                    return;
                }
            }
        }
        for waiting in group {
            let end = match self.parts(&waiting.batch) {
                Some(parts) => self.attempt_parts(&waiting.batch, parts).await,
                None => self.attempt(waiting.batch.clone()).await,
            };
            waiting.settle(end);
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
    async fn attempt_parts(&self, batch: &Batch, parts: Vec<Range<usize>>) -> End {
        let (mut delivered, mut rejected) = (0, 0);
        let mut refusal = None;
        for spans in parts {
            let items = spans.len() as u64;
            let Some(part) = self.part(batch, spans).await else { return End::Stopped };
            match self.attempt(part).await {
                End::Delivered { rejected_spans } => {
                    delivered += items - rejected_spans.min(items);
                    rejected += rejected_spans.min(items);
                }
                End::Rejected(reason) => {
                    rejected += items;
                    refusal = Some(reason);
                }
                End::GaveUp(reason) | End::GaveUpAfter { refusal: reason, .. } => {
                    return End::GaveUpAfter { delivered, refusal: reason };
                }
                End::Stopped => return End::Stopped,
            }
        }
        match refusal {
            Some(refusal) if delivered == 0 => End::Rejected(refusal),
            _ => End::Delivered { rejected_spans: rejected },
        }
    }

    /// A part, as soon as there is memory for it; `None`: there is no time left.
    async fn part(&self, batch: &Batch, spans: Range<usize>) -> Option<Batch> {
        let traces = batch.traces()?;
        loop {
            // A part is never longer than the whole.
            if let Ok(mut reservation) = self.budget.try_reserve(batch.bytes().len() as u64) {
                let part = split::part(traces, spans.clone());
                let is_paid = reservation.resize((part.capacity() as u64).min(reservation.bytes()));
                debug_assert!(is_paid.is_ok(), "it only gets smaller");
                return TraceBatch::from_trusted(part.into()).ok().map(|traces| Batch::new(traces, reservation));
            }
            if self.is_stopped_within(MEMORY_RETRY).await {
                return None;
            }
        }
    }

    /// Tries until it is delivered, refused for good, or the time is over.
    async fn attempt(&self, batch: Batch) -> End {
        self.state.sent(batch.items(), batch.bytes().len() as u64);
        let mut retry = self.retry.as_ref().map(|config| Retry::new(config, &self.scatter, Instant::now()));
        loop {
            let refusal = match self.exporter.export(batch.clone()).await {
                Exported::Delivered { rejected_spans } => return End::Delivered { rejected_spans },
                Exported::Failed(refusal) => refusal,
            };
            self.state.failed(&refusal.message, (self.clock)());
            let Some(hint) = refusal.retry_after else { return End::Rejected(refusal) };
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
