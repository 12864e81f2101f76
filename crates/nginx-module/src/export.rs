//! From finished spans to the collector: a queue that the worker fills and a thread that empties it.
//!
//! The worker appends encoded spans to the open batch under a lock that the thread takes only to swap a batch out. A
//! batch is sent when it is full or when its first span has waited for the interval. What does not fit is dropped and counted by
//! reason; the worker itself reports it, for the thread must not call nginx.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rootspan_model::conventions::{nginx, resource};
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::protobuf::{FieldValue, Reader};
use rootspan_wire::otlp::write::{put_attribute, put_raw_varint, put_resource, put_scope};

use crate::config::{ExporterConfig, MainConfig};

mod grpc;
mod http;
mod retry;

/// Bytes of encoded spans that a worker holds at most, whatever `batch_size` and `batch_count` say: long URIs and many
/// attributes must not turn a dead collector into a full memory.
const MAX_HELD_BYTES: usize = 8 << 20;

/// How long a worker that ends may still be sending. nginx itself waits for its connections much longer.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// A worker's exporter. Dropping it loses what is held; [`Exporter::stop`] does not.
#[derive(Debug)]
pub(crate) struct Exporter {
    shared: Arc<Shared>,
    batch_size: usize,
    max_spans: usize,
}

/// What worker and thread share.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when a batch is full, when the worker stops, and when the thread has ended.
    changed: Condvar,
    losses: Losses,
}

#[derive(Debug, Default)]
struct Queue {
    open: Batch,
    full: VecDeque<Batch>,
    /// Spans and bytes in `open`, `full`, and in the batch that is being sent.
    held_spans: usize,
    held_bytes: usize,
    /// An empty buffer for the next batch.
    spare: Vec<u8>,
    /// Set once, by [`Exporter::stop`]: by when the thread must have ended.
    stop_by: Option<Instant>,
    has_ended: bool,
}

/// Encoded `ScopeSpans.spans` fields.
#[derive(Debug, Default)]
struct Batch {
    spans: Vec<u8>,
    count: usize,
    /// When the first span came.
    opened: Option<Instant>,
}

/// Spans that were not delivered, by reason. Each is counted once.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// The queue was full.
    pub(crate) queue_full: AtomicU64,
    /// The collector refused them.
    pub(crate) refused: AtomicU64,
    /// The collector could not be reached for too long, or until the worker ended.
    pub(crate) unreachable: AtomicU64,
}

impl Losses {
    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        [&self.queue_full, &self.refused, &self.unreachable].map(|count| count.load(Ordering::Relaxed)).iter().sum()
    }
}

impl Exporter {
    /// Starts the thread with `spawn`, which hides the process's signals from it.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub(crate) fn start(
        config: &MainConfig,
        exporter: &ExporterConfig,
        host: &str,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> std::io::Result<()>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new(), losses: Losses::default() });
        let sender = Sender {
            shared: Arc::clone(&shared),
            interval: exporter.interval,
            prefix: request_prefix(config, host),
            client: Client::new(exporter),
        };
        spawn(Box::new(move || sender.run()))?;
        let max_spans = exporter.batch_size * exporter.batch_count;
        Ok(Self { shared, batch_size: exporter.batch_size, max_spans })
    }

    /// Takes `count` spans that `encode` appends, or drops them if the queue is full.
    pub(crate) fn add(&self, count: usize, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut queue = self.shared.lock();
        if queue.held_spans + count > self.max_spans || queue.held_bytes > MAX_HELD_BYTES {
            drop(queue);
            self.shared.losses.queue_full.fetch_add(count as u64, Ordering::Relaxed);
            return;
        }
        let before = queue.open.spans.len();
        encode(&mut queue.open.spans);
        queue.held_bytes += queue.open.spans.len() - before;
        queue.held_spans += count;
        queue.open.count += count;
        if queue.open.opened.is_none() {
            queue.open.opened = Some(Instant::now());
        }
        if queue.open.count >= self.batch_size {
            queue.close();
            drop(queue);
            self.shared.changed.notify_all();
        }
    }

    /// What was lost until now.
    pub(crate) fn losses(&self) -> &Losses {
        &self.shared.losses
    }

    /// Sends what is held and ends the thread, within [`STOP_WITHIN`]. False if the thread still hangs, in which case it holds
    /// nothing but its own memory and ends with the process.
    pub(crate) fn stop(&self) -> bool {
        let deadline = Instant::now() + STOP_WITHIN;
        let mut queue = self.shared.lock();
        queue.stop_by = Some(deadline);
        self.shared.changed.notify_all();
        while !queue.has_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // What the thread holds can only be lost now.
                let lost = std::mem::take(&mut queue.held_spans);
                self.shared.losses.unreachable.fetch_add(lost as u64, Ordering::Relaxed);
                return false;
            }
            queue = self.shared.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Shared {
    /// The queue, also after a panic elsewhere: each of its states between two statements is sound.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Moves the open batch behind the full ones.
    fn close(&mut self) {
        let spare = std::mem::take(&mut self.spare);
        let open = std::mem::replace(&mut self.open, Batch { spans: spare, ..Batch::default() });
        self.full.push_back(open);
    }
}

/// The thread's side.
#[derive(Debug)]
struct Sender {
    shared: Arc<Shared>,
    interval: Duration,
    /// Resource and scope, encoded once.
    prefix: Prefix,
    client: Client,
}

impl Sender {
    fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.shared));
        while let Some(batch) = self.next_batch() {
            self.send(batch);
        }
    }

    /// Waits for a batch that is due; `None` when the worker stops and nothing is left.
    fn next_batch(&self) -> Option<Batch> {
        let mut queue = self.shared.lock();
        loop {
            if let Some(batch) = queue.full.pop_front() {
                return Some(batch);
            }
            let stops = queue.stop_by.is_some();
            let age = queue.open.opened.map(|opened| opened.elapsed());
            match age {
                Some(age) if stops || age >= self.interval => queue.close(),
                None if stops => return None,
                _ => {
                    // A batch that is opened while nothing waits is due after a whole interval: no need to be told.
                    let left = self.interval.saturating_sub(age.unwrap_or_default());
                    let waited = self.shared.changed.wait_timeout(queue, left);
                    queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Sends `batch` until it is delivered or lost, and forgets it.
    fn send(&mut self, batch: Batch) {
        let Batch { mut spans, count, .. } = batch;
        let bytes = spans.len();
        let head = self.prefix.head(spans.len());
        let losses = &self.shared.losses;
        match retry::deliver(&mut self.client, [&head, &spans], &self.shared) {
            retry::Outcome::Delivered { rejected } => {
                losses.refused.fetch_add(rejected.min(count as u64), Ordering::Relaxed);
            }
            retry::Outcome::Refused => {
                losses.refused.fetch_add(count as u64, Ordering::Relaxed);
            }
            retry::Outcome::Unreachable => {
                losses.unreachable.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
        spans.clear();
        let mut queue = self.shared.lock();
        queue.held_spans = queue.held_spans.saturating_sub(count);
        queue.held_bytes = queue.held_bytes.saturating_sub(bytes);
        if queue.spare.capacity() < spans.capacity() {
            queue.spare = spans;
        }
    }
}

/// Tells the worker that the thread is no more, also after a panic.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.changed.notify_all();
    }
}

/// How requests travel.
#[derive(Debug)]
enum Client {
    Http(http::Client),
    Grpc(grpc::Client),
}

impl Client {
    fn new(config: &ExporterConfig) -> Self {
        match config.endpoint.path {
            Some(_) => Self::Http(http::Client::new(config)),
            None => Self::Grpc(grpc::Client::new(config)),
        }
    }

    fn post(&mut self, body: [&[u8]; 2], deadline: Instant) -> std::io::Result<Answer> {
        match self {
            Self::Http(client) => client.post(body, deadline),
            Self::Grpc(client) => client.post(body, deadline),
        }
    }
}

/// What the collector answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Taken.
    Accepted {
        /// Spans that a partial success names as rejected.
        rejected: u64,
    },
    /// Do not try again.
    Refused,
    /// Try again.
    Later {
        /// When, if the collector said so.
        after: Option<Duration>,
    },
}

impl Answer {
    /// What an HTTP status other than success means; these are the ones that the specification calls retryable.
    const fn of_status(status: u16, after: Option<Duration>) -> Self {
        match status {
            429 | 502 | 503 | 504 => Self::Later { after },
            _ => Self::Refused,
        }
    }
}

/// `ExportTraceServiceResponse.partial_success.rejected_spans`; 0 if the body is something else.
fn rejected_spans(body: &[u8]) -> u64 {
    let field = |body, wanted: u32| {
        let mut reader = Reader::new(body);
        while let Ok(Some(field)) = reader.field() {
            if field.number == wanted {
                return Some(field.value);
            }
        }
        None
    };
    let Some(FieldValue::Bytes(partial_success)) = field(body, 1) else { return 0 };
    match field(partial_success, 1) {
        Some(FieldValue::Varint(rejected)) => rejected,
        _ => 0,
    }
}

/// What stands before the spans of every request.
#[derive(Debug)]
struct Prefix {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

fn request_prefix(config: &MainConfig, host: &str) -> Prefix {
    let mut encoded = Vec::new();
    put_resource(&mut encoded, |out| {
        let mut put = |key: &str, value: &str| put_attribute(out, field::resource::ATTRIBUTES, key, value);
        let given = |key: &str| config.resource_attributes.iter().any(|(name, _)| name == key);
        // The default of nginx's own module; otel_service_name beats otel_resource_attr there too.
        match &config.service_name {
            Some(name) => put(resource::SERVICE_NAME, name),
            None if given(resource::SERVICE_NAME) => {}
            None => put(resource::SERVICE_NAME, "unknown_service:nginx"),
        }
        for (key, value) in &config.resource_attributes {
            if key != resource::SERVICE_NAME || config.service_name.is_none() {
                put(key, value);
            }
        }
        for (key, value) in [
            (resource::HOST_NAME, host),
            (resource::TELEMETRY_SDK_NAME, "rootspan"),
            (resource::TELEMETRY_SDK_LANGUAGE, "rust"),
        ] {
            if !given(key) {
                put(key, value);
            }
        }
    });
    let mut scope = Vec::new();
    put_scope(&mut scope, nginx::SCOPE_NAME, env!("CARGO_PKG_VERSION"), |_| {});
    Prefix { resource: encoded, scope }
}

impl Prefix {
    /// What of an `ExportTraceServiceRequest` stands before `spans_length` bytes of spans, so that these need not be copied.
    fn head(&self, spans_length: usize) -> Vec<u8> {
        let scope_length = self.scope.len() + spans_length;
        let mut scope_head = Vec::new();
        put_head(&mut scope_head, field::resource_spans::SCOPE_SPANS, scope_length);
        let length = self.resource.len() + scope_head.len() + scope_length;
        let mut out = Vec::with_capacity(self.resource.len() + self.scope.len() + 16);
        put_head(&mut out, field::request::RESOURCE_SPANS, length);
        out.extend_from_slice(&self.resource);
        out.extend_from_slice(&scope_head);
        out.extend_from_slice(&self.scope);
        out
    }
}

/// Tag and length of a message that follows.
fn put_head(out: &mut Vec<u8>, field: u32, length: usize) {
    put_raw_varint(out, u64::from(field << 3 | 2));
    put_raw_varint(out, length as u64);
}

#[cfg(test)]
mod tests;
