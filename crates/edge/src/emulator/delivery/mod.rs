//! Logs on their way: collected into batches by count and age, packed, and sent until they are taken or given up. Batches
//! of one delivery go out one after another.
//!
//! | to | as |
//! |---|---|
//! | an HTTP endpoint | Amazon Data Firehose does it: [`firehose`] |
//! | a folder | CloudFront names its files in S3: [`files`] |
//! | a bucket | the same files by `PutObject`: [`bucket`] |
//!
//! Lines may be packed into envelopes of CloudWatch Logs first: [`envelope`]. [`Mishaps`] are what real deliveries do to
//! logs: late, twice, out of order.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::log_form::{LogForm, UnknownField};
use super::random::Random;
use super::record::Record;

pub(crate) mod bucket;
pub(crate) mod envelope;
pub(crate) mod files;
pub(crate) mod firehose;

pub use self::bucket::Bucket;

/// Half the width of the jitter around a delay.
const JITTER: f64 = 0.15;

/// Which log goes where, and how.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What is delivered.
    pub form: LogForm,
    /// Where to.
    pub destination: Destination,
    /// What lines are packed into.
    pub packing: Packing,
    /// Whether bodies and files are compressed.
    pub gzip: bool,
    /// What goes wrong on the way.
    pub mishaps: Mishaps,
    /// What Firehose says of all records of the stream, `X-Amz-Firehose-Common-Attributes`.
    pub common_attributes: Vec<(String, String)>,
    /// A batch goes out when it has this many records.
    pub max_records: usize,
    /// … or this many bytes.
    pub max_bytes: usize,
    /// … or when its first record is this old.
    pub interval: Duration,
    /// How long a batch is tried; then Firehose would write it to its backup bucket.
    pub retry_duration: Duration,
    /// The first delay; it doubles.
    pub retry_delay: Duration,
    /// The longest delay.
    pub retry_delay_max: Duration,
    /// How long the other side may take to answer.
    pub response_timeout: Duration,
    /// Records that wait; more are lost, and counted.
    pub max_waiting_records: usize,
    /// How long [`super::Running::shutdown`] goes on delivering.
    pub drain: Duration,
}

/// Where logs go.
#[derive(Clone, Debug)]
pub enum Destination {
    /// Firehose with an HTTP endpoint as its destination.
    Firehose {
        /// `http://host:port/path`.
        endpoint: String,
        /// `X-Amz-Firehose-Access-Key`.
        access_key: String,
    },
    /// Files in a folder, named as in S3.
    Folder(PathBuf),
    /// Files in a bucket.
    Bucket(Bucket),
}

/// What lines are packed into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Nothing: each record is a line, with its end.
    Lines,
    /// Envelopes of a CloudWatch Logs subscription, gzip members.
    Envelopes {
        /// All envelopes of a batch in one record, one member behind the other.
        joined: bool,
    },
}

/// What real deliveries do to logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// Every batch waits so long.
    pub delay: Duration,
    /// Every batch is delivered this many times more, each time as a new one.
    pub repeats: u32,
    /// Records of a batch go out in any order.
    pub shuffle: bool,
}

/// A delivery that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDelivery {
    /// A field that does not exist.
    #[error(transparent)]
    Field(#[from] UnknownField),
    /// Not `http://host:port`.
    #[error("the address must be http://host:port, not {0:?}")]
    Address(String),
    /// Longer than Firehose takes.
    #[error("the access key of Firehose has at most 4096 bytes")]
    AccessKey,
    /// More, or longer ones, than Firehose takes.
    #[error("Firehose has at most 50 common attributes of at most 1024 bytes")]
    CommonAttributes,
}

/// One line of a log, and which group and stream of CloudWatch Logs it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) unix_millis: u64,
    pub(crate) text: String,
    pub(crate) group: String,
    pub(crate) stream: String,
}

/// Counts of records; after a flush `posted` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Records that were written.
    pub posted: u64,
    /// Records that the other side has acknowledged.
    pub delivered: u64,
    /// Records of batches that were given up: Firehose would write them to its backup bucket.
    pub failed: u64,
    /// Records that found the queue full.
    pub dropped: u64,
    /// Tries that did not succeed.
    pub failed_tries: u64,
}

#[derive(Debug, Default)]
struct Counters {
    posted: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    failed_tries: AtomicU64,
}

/// Takes records; never waits.
#[derive(Debug)]
pub(crate) struct Outbox {
    form: LogForm,
    /// `None` once it is closed.
    sender: Mutex<Option<mpsc::Sender<LogLine>>>,
    counters: Arc<Counters>,
}

impl Outbox {
    /// A request's record, if this is a log of requests.
    pub(crate) fn post_record(&self, record: &Record) {
        if let Some(text) = self.form.line(record) {
            self.post(LogLine {
                unix_millis: record.end_unix_millis,
                text,
                group: "cloudfront-access".to_owned(),
                stream: format!("CloudFront_{}", record.distribution_id),
            });
        }
    }

    /// Lines of a function's log, if this is that log.
    pub(crate) fn post_function_lines(&self, lines: &[LogLine]) {
        if self.form == LogForm::Functions {
            lines.iter().for_each(|line| self.post(line.clone()));
        }
    }

    fn post(&self, line: LogLine) {
        self.counters.posted.fetch_add(1, Ordering::Relaxed);
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref().is_none_or(|sender| sender.try_send(line).is_err()) {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes no more records; the courier ends when those that wait are settled.
    pub(crate) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Settles what an ended courier left behind.
    pub(crate) fn fail_rest(&self) {
        let counts = self.counts();
        let settled = counts.delivered + counts.failed + counts.dropped;
        self.counters.failed.fetch_add(counts.posted - settled, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> DeliveryCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DeliveryCounts {
            posted: read(&self.counters.posted),
            delivered: read(&self.counters.delivered),
            failed: read(&self.counters.failed),
            dropped: read(&self.counters.dropped),
            failed_tries: read(&self.counters.failed_tries),
        }
    }
}

/// Sends batches until its outbox is gone and empty.
pub(crate) struct Courier {
    delivery: Delivery,
    distribution_id: String,
    client: Client<HttpConnector, Full<Bytes>>,
    random: Arc<Random>,
    counters: Arc<Counters>,
    receiver: mpsc::Receiver<LogLine>,
    /// Turns true when the emulator stops: what waits goes out at once, and tries end with the drain time.
    stopping: watch::Receiver<bool>,
    deadline: Option<Instant>,
}

/// A batch, ready to be sent, the same at each try.
enum Shipment {
    Post(firehose::Post),
    File { name: String, body: Bytes },
}

/// Why a try failed.
pub(crate) enum Refusal {
    Retryable(String),
    Final(String),
}

impl Courier {
    pub(crate) fn new(
        delivery: Delivery,
        distribution_id: &str,
        random: Arc<Random>,
        stopping: watch::Receiver<bool>,
    ) -> Result<(Outbox, Self), InvalidDelivery> {
        let form = delivery.form.checked()?;
        match &delivery.destination {
            Destination::Firehose { endpoint: address, .. } | Destination::Bucket(Bucket { endpoint: address, .. }) => {
                let is_http = super::config::http_address("delivery endpoint", address).is_ok();
                is_http.then_some(()).ok_or_else(|| InvalidDelivery::Address(address.clone()))?;
            }
            Destination::Folder(_) => {}
        }
        if let Destination::Firehose { access_key, .. } = &delivery.destination {
            firehose::check(access_key, &delivery.common_attributes)?;
        }
        let max_records = delivery.max_records.clamp(1, firehose::BATCH_MAX_RECORDS);
        let max_bytes = delivery.max_bytes.clamp(1, firehose::BATCH_MAX_BYTES);
        let delivery = Delivery { form: form.clone(), max_records, max_bytes, ..delivery };
        let (sender, receiver) = mpsc::channel(delivery.max_waiting_records.max(1));
        let counters = Arc::new(Counters::default());
        let client = Client::builder(TokioExecutor::new()).build_http();
        let outbox = Outbox { form, sender: Mutex::new(Some(sender)), counters: Arc::clone(&counters) };
        let distribution_id = distribution_id.to_owned();
        let courier = Self { delivery, distribution_id, client, random, counters, receiver, stopping, deadline: None };
        Ok((outbox, courier))
    }

    /// Runs until every sender is gone and every record is settled.
    pub(crate) async fn run(mut self) {
        while let Some(mut batch) = self.next_batch().await {
            let records = batch.len() as u64;
            self.suffer(&mut batch).await;
            let mut outcome = self.deliver(&batch).await;
            for _ in 0..self.delivery.mishaps.repeats {
                outcome = outcome.and(self.deliver(&batch).await);
            }
            let counter = match outcome {
                Ok(()) => &self.counters.delivered,
                Err(reason) => {
                    tracing::warn!(records, reason, "log records were not delivered");
                    &self.counters.failed
                }
            };
            counter.fetch_add(records, Ordering::Relaxed);
        }
    }

    /// Waits for the first record, then for the batch to be full or old enough. `None` at the end.
    async fn next_batch(&mut self) -> Option<Vec<LogLine>> {
        let first = self.receiver.recv().await?;
        let mut bytes = first.text.len();
        let mut batch = vec![first];
        let ready = Instant::now() + self.delivery.interval;
        let (max_records, max_bytes) = (self.delivery.max_records, self.delivery.max_bytes);
        while batch.len() < max_records && bytes < max_bytes {
            // Both branches are cancel-safe: `recv` loses nothing, `changed` is a flag.
            tokio::select! {
                biased;
                record = self.receiver.recv() => match record {
                    Some(record) => {
                        bytes += record.text.len();
                        batch.push(record);
                    }
                    None => break,
                },
                _ = self.stopping.wait_for(|stopping| *stopping) => {
                    while batch.len() < max_records && bytes < max_bytes && let Ok(record) = self.receiver.try_recv() {
                        bytes += record.text.len();
                        batch.push(record);
                    }
                    break;
                }
                () = sleep_until(ready) => break,
            }
        }
        Some(batch)
    }

    /// The mishaps before a batch is sent. A stop ends the wait: what is late then is only less late.
    async fn suffer(&mut self, batch: &mut [LogLine]) {
        let Mishaps { delay, shuffle, .. } = self.delivery.mishaps;
        if !delay.is_zero() {
            self.is_stopping_before(Instant::now() + delay).await;
        }
        if shuffle {
            for last in (1..batch.len()).rev() {
                batch.swap(last, self.random.below(last + 1));
            }
        }
    }

    /// Tries until it succeeds, is refused for good, or the time is over.
    async fn deliver(&mut self, batch: &[LogLine]) -> Result<(), String> {
        let shipment = self.shipment(batch)?;
        let mut give_up = Instant::now() + self.delivery.retry_duration;
        let mut delay = self.delivery.retry_delay;
        loop {
            let problem = match timeout(self.delivery.response_timeout, self.try_once(&shipment)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Refusal::Final(problem))) => {
                    self.counters.failed_tries.fetch_add(1, Ordering::Relaxed);
                    return Err(problem);
                }
                Ok(Err(Refusal::Retryable(problem))) => problem,
                Err(_) => "the other side did not answer in time".to_owned(),
            };
            self.counters.failed_tries.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(problem, "delivery of log records failed");
            let next = Instant::now() + delay.mul_f64(self.random.jitter(JITTER));
            delay = (delay * 2).min(self.delivery.retry_delay_max);
            if self.is_stopping_before(next.min(give_up)).await {
                // From now on only as long as the drain time allows.
                let drained = *self.deadline.get_or_insert_with(|| Instant::now() + self.delivery.drain);
                give_up = give_up.min(drained);
                sleep_until(next.min(give_up)).await;
            }
            if Instant::now() >= give_up {
                return Err(problem);
            }
        }
    }

    /// Waits until `moment`; true if the emulator is stopping by then.
    async fn is_stopping_before(&mut self, moment: Instant) -> bool {
        timeout_at(moment, self.stopping.wait_for(|stopping| *stopping)).await.is_ok()
    }

    fn shipment(&self, batch: &[LogLine]) -> Result<Shipment, String> {
        let records = match self.delivery.packing {
            Packing::Lines => batch.iter().map(|line| format!("{}\n", line.text).into_bytes()).collect(),
            Packing::Envelopes { joined } => envelope::records(batch, joined, &self.random)?,
        };
        if let Destination::Firehose { .. } = &self.delivery.destination {
            return firehose::Post::new(&self.random, &records, self.delivery.gzip).map(Shipment::Post);
        }
        let is_packed = self.delivery.packing != Packing::Lines;
        let header = self.delivery.form.header().filter(|_| !is_packed).unwrap_or_default();
        let content = [header.into_bytes(), records.concat()].concat();
        let is_gzip = self.delivery.gzip || self.delivery.form == LogForm::StandardV1;
        // Envelopes are gzip members already.
        let body = if is_gzip && !is_packed { gzip(&content)? } else { content.into() };
        let hour = batch.first().map_or(0, |line| line.unix_millis);
        let extension = if is_gzip || is_packed { ".gz" } else { "" };
        let name = files::name(&self.delivery.form, &self.distribution_id, hour, &self.random.file_id(), extension);
        Ok(Shipment::File { name, body })
    }

    async fn try_once(&self, shipment: &Shipment) -> Result<(), Refusal> {
        match (shipment, &self.delivery.destination) {
            (Shipment::Post(post), Destination::Firehose { endpoint, access_key }) => {
                post.send(&self.client, endpoint, access_key, &self.delivery.common_attributes).await
            }
            (Shipment::File { name, body }, Destination::Folder(folder)) => files::write(folder, name, body).await,
            (Shipment::File { name, body }, Destination::Bucket(bucket)) => bucket.put(&self.client, name, body).await,
            (Shipment::Post(_), Destination::Folder(_) | Destination::Bucket(_))
            | (Shipment::File { .. }, Destination::Firehose { .. }) => {
                unreachable!("a shipment is made for its destination")
            }
        }
    }
}

impl Delivery {
    /// Standard logging v2 in JSON to an endpoint with Firehose's own rules, but for the interval: a second instead of a
    /// minute.
    #[must_use]
    pub fn to_endpoint(endpoint: &str, access_key: &str) -> Self {
        let destination = Destination::Firehose { endpoint: endpoint.to_owned(), access_key: access_key.to_owned() };
        Self::new(LogForm::standard_v2(super::log_form::V2Format::Json), destination)
    }

    /// Any log to anywhere, as [`Self::to_endpoint`].
    #[must_use]
    pub fn new(form: LogForm, destination: Destination) -> Self {
        // CloudWatch Logs is the only way out for what functions log.
        let packing = if form == LogForm::Functions { Packing::Envelopes { joined: false } } else { Packing::Lines };
        Self {
            form,
            destination,
            packing,
            gzip: true,
            mishaps: Mishaps::default(),
            common_attributes: Vec::new(),
            max_records: 500,
            // Firehose's default hint for the size of what it collects.
            max_bytes: 5 * 1024 * 1024,
            interval: Duration::from_secs(1),
            retry_duration: Duration::from_secs(300),
            retry_delay: Duration::from_secs(1),
            retry_delay_max: Duration::from_secs(120),
            response_timeout: Duration::from_secs(180),
            max_waiting_records: 100_000,
            drain: Duration::from_secs(10),
        }
    }
}

fn gzip(body: &[u8]) -> Result<Bytes, String> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut compressed = vec![0; compressor.gzip_compress_bound(body.len())];
    let length = compressor.gzip_compress(body, &mut compressed).map_err(|error| error.to_string())?;
    compressed.truncate(length);
    Ok(compressed.into())
}

/// How long a courier may need to end after it was told to stop.
pub(crate) fn stop_limit(delivery: &Delivery) -> Duration {
    delivery.drain + delivery.response_timeout.min(delivery.drain)
}
