//! Processors: what happens to batches between receivers and exporters.
//!
//! Those that need nothing but the span before them ([`fused`]) run together, in one pass over each batch. One that
//! keeps spans is a [`Processor`] of its own. `memory_limiter` and `batch` are directives to the planner: the process has
//! one exact byte budget, and merging belongs to delivery (`docs/ARCHITECTURE.md`); neither is a stage that spans pass
//! through.

pub mod actions;
pub mod attributes;
pub(crate) mod fused;
pub mod matching;
pub mod probabilistic_sampler;
pub mod resource;
pub mod resource_detection;

use std::fmt::Debug;
use std::time::Duration;

use rootspan_model::time::UnixNanos;

use crate::config;
use crate::config::decode::Decode as _;
use crate::config::node::Entry;
use crate::config::problems::Problems;
use crate::runtime::pipeline::Item;

/// One step of a pipeline: synchronous, without channel, clock or task of its own. What goes on is pushed to `out`; what
/// does not is settled or held here, and nothing gets lost in between: an item carries the duty to be settled.
pub(crate) trait Processor: Debug + Send {
    /// Takes a batch.
    fn process(&mut self, item: Item, now: UnixNanos, out: &mut Vec<Item>);

    /// Whether [`Self::tick`] does anything.
    fn keeps_spans(&self) -> bool {
        false
    }

    /// Time has passed.
    fn tick(&mut self, _now: UnixNanos, _out: &mut Vec<Item>) {}

    /// Nothing more comes: what is held must go on.
    fn finish(&mut self, _now: UnixNanos, _out: &mut Vec<Item>) {}
}

config! {
    /// The memory that the whole process may use; the smallest limit of all pipelines counts. Data above it is refused
    /// with a hint when to try again.
    pub struct MemoryLimiterConfig {
        /// Accepted for the sake of the collector's files; the limit here is exact and nothing polls.
        check_interval: Duration = "1s",
        /// The limit; 0 if `limit_percentage` gives it.
        limit_mib: u64 = "0" [MiB],
        /// The limit as a share of the memory that the control group allows.
        limit_percentage: u64 = "0" [percent],
        /// Accepted; an exact limit needs no distance to it.
        spike_limit_mib: u64 = "0" [MiB],
        /// Accepted; an exact limit needs no distance to it.
        spike_limit_percentage: u64 = "0" [percent],
    }
    ignored {
        "min_gc_interval_when_soft_limited": "there is no garbage collector",
        "min_gc_interval_when_hard_limited": "there is no garbage collector",
        "max_gc_interval_when_soft_limited": "there is no garbage collector",
        "max_gc_interval_when_hard_limited": "there is no garbage collector",
    }
}

impl MemoryLimiterConfig {
    /// Decodes and checks that there is a limit.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if config.limit_mib == 0 && config.limit_percentage == 0 {
            problems.error(&entry.position, "`memory_limiter` needs `limit_mib` or `limit_percentage`");
        }
        if config.limit_percentage > 100 {
            problems.error(&entry.position, "`limit_percentage` is at most 100");
        }
        Some(config)
    }
}

config! {
    /// Merging of small requests before delivery. The acknowledgement still comes from behind it.
    pub struct BatchConfig {
        /// Longest time that spans wait to be merged.
        timeout: Duration = "200ms",
        /// Spans that are delivered at once.
        send_batch_size: u64 = "8192" [spans],
        /// Most spans of one delivered request; 0 is no limit. A longer request is sent in parts.
        send_batch_max_size: u64 = "0" [spans],
        /// Most combinations of `metadata_keys`.
        metadata_cardinality_limit: u64 = "1000",
    }
    known { "metadata_keys" }
}

#[cfg(test)]
mod tests;
