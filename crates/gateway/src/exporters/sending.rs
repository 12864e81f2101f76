//! Settings that all exporters over the network share: `sending_queue` and `retry_on_failure`.
//!
//! ```yaml
//! sending_queue: {queue_size: 1000, num_consumers: 10, batch: {flush_timeout: 200ms, min_size: 8192}}
//! retry_on_failure: {initial_interval: 5s, max_interval: 30s, max_elapsed_time: 5m}
//! ```

use std::time::Duration;

use crate::config;
use crate::config::decode::Decode;
use crate::config::id::ExtensionReference;
use crate::config::node::Node;
use crate::config::problems::Problems;
use crate::config::values::choice;

config! {
    /// Requests that wait for the back end. A request is acknowledged when it is in the queue.
    pub struct SendingQueueConfig {
        /// Without a queue, a request is acknowledged when the back end has it.
        enabled: bool = "true",
        /// Requests that are on the way at once.
        num_consumers: u32 = "10",
        /// Most that the queue holds, those on the way included.
        queue_size: u64 = "1000",
        /// What `queue_size` counts.
        sizer: Sizer = "requests",
        /// Whether requests wait in front of a full queue instead of being refused.
        block_on_overflow: bool = "false",
        /// What becomes of a request that meets a full queue: `refuse` (its sender is told), or `drop` (it is lost, other
        /// exporters get it).
        on_full: OnFull = "refuse",
        /// Acknowledge when the back end has the request, not when it is in the queue.
        wait_for_result: bool = "false",
        /// Merging of requests; goes before a `batch` processor.
        batch: Option<QueueBatchConfig>,
        /// The extension that keeps the queue on disk, `file_storage`; without one it is in memory.
        storage: Option<ExtensionReference>,
    }
}

config! {
    /// Merging of requests in the queue.
    pub struct QueueBatchConfig {
        /// Longest time that a request waits to be merged.
        flush_timeout: Duration = "200ms",
        /// What is sent at once.
        min_size: u64 = "8192",
        /// Most that is sent at once; 0 is no limit. A longer request of traces is sent in parts, of another signal as it is.
        max_size: u64 = "0",
        /// What both count.
        sizer: Sizer = "items",
    }
    known { "partition" }
}

config! {
    /// What happens after the back end did not take a request.
    pub struct RetryConfig {
        /// Whether it is tried again.
        enabled: bool = "true",
        /// Time before the second attempt.
        initial_interval: Duration = "5s",
        /// Each time the interval is drawn from so much around it, so that not everybody comes back at once.
        randomization_factor: f64 = "0.5",
        /// Growth of the interval.
        multiplier: f64 = "1.5",
        /// Longest interval.
        max_interval: Duration = "30s",
        /// When to give up; 0 is never. The default is 300s, and with `sending_queue.storage` never.
        max_elapsed_time: Option<Duration>,
    }
}

/// What a size counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizer {
    /// Requests as they came.
    Requests,
    /// Spans.
    Items,
    /// Bytes, uncompressed.
    Bytes,
}

impl Sizer {
    /// As written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Items => "items",
            Self::Bytes => "bytes",
        }
    }
}

impl Decode for Sizer {
    const KIND: &'static str = "requests, items or bytes";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("requests", Self::Requests), ("items", Self::Items), ("bytes", Self::Bytes)])
    }
}

/// What becomes of a request that meets a full queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Its sender is told.
    Refuse,
    /// It is lost, and counted.
    Drop,
}

impl Decode for OnFull {
    const KIND: &'static str = "refuse or drop";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("refuse", Self::Refuse), ("drop", Self::Drop)])
    }
}
