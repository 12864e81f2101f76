//! Log delivery as Amazon Data Firehose does it to an HTTP endpoint ("HTTP endpoint delivery specifications").
//!
//! Records are collected into batches by count and age. A batch keeps its request id over all tries. Only a 200 whose
//! body names that id is success; 413 is final; everything else is tried again, 1 s doubling with ±15 %, at most two
//! minutes apart, until the stream's retry duration is over. Batches go out one after another.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::clock::unix_millis;
use super::config::Delivery;
use super::random::Random;

/// The largest answer that Firehose reads.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// The most records in one request.
const BATCH_MAX_RECORDS: usize = 10_000;

/// Half the width of the jitter around a delay.
const JITTER: f64 = 0.15;

/// The source ARN of every batch; made of documentation values.
const SOURCE_ARN: &str = "arn:aws:firehose:us-east-1:111122223333:deliverystream/rootspan-emulator";

/// Counts of records; after a flush `posted` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Records that were written.
    pub posted: u64,
    /// Records that the endpoint has acknowledged.
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
    /// `None` once it is closed.
    sender: Mutex<Option<mpsc::Sender<String>>>,
    counters: Arc<Counters>,
}

impl Outbox {
    pub(crate) fn post(&self, line: String) {
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
    config: Delivery,
    endpoint: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
    random: Arc<Random>,
    counters: Arc<Counters>,
    receiver: mpsc::Receiver<String>,
    /// Turns true when the emulator stops: what waits goes out at once, and tries end with the drain time.
    stopping: watch::Receiver<bool>,
    deadline: Option<Instant>,
}

impl Courier {
    pub(crate) fn new(
        config: Delivery,
        endpoint: Uri,
        random: Arc<Random>,
        stopping: watch::Receiver<bool>,
    ) -> (Outbox, Self) {
        let config = Delivery { max_records: config.max_records.clamp(1, BATCH_MAX_RECORDS), ..config };
        let (sender, receiver) = mpsc::channel(config.max_waiting_records.max(1));
        let counters = Arc::new(Counters::default());
        let client = Client::builder(TokioExecutor::new()).build_http();
        let outbox = Outbox { sender: Mutex::new(Some(sender)), counters: Arc::clone(&counters) };
        (outbox, Self { config, endpoint, client, random, counters, receiver, stopping, deadline: None })
    }

    /// Runs until every sender is gone and every record is settled.
    pub(crate) async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            let records = batch.len() as u64;
            let counter = match self.deliver(&batch).await {
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
    async fn next_batch(&mut self) -> Option<Vec<String>> {
        let mut batch = vec![self.receiver.recv().await?];
        let ready = Instant::now() + self.config.interval;
        while batch.len() < self.config.max_records {
            // Both branches are cancel-safe: `recv` loses nothing, `changed` is a flag.
            tokio::select! {
                biased;
                record = self.receiver.recv() => match record {
                    Some(record) => batch.push(record),
                    None => break,
                },
                _ = self.stopping.wait_for(|stopping| *stopping) => {
                    while batch.len() < self.config.max_records && let Ok(record) = self.receiver.try_recv() {
                        batch.push(record);
                    }
                    break;
                }
                () = sleep_until(ready) => break,
            }
        }
        Some(batch)
    }

    /// Tries until it succeeds, is refused for good, or the time is over.
    async fn deliver(&mut self, batch: &[String]) -> Result<(), String> {
        let request_id = self.random.uuid();
        let body = self.encode(&request_id, batch)?;
        let mut give_up = Instant::now() + self.config.retry_duration;
        let mut delay = self.config.retry_delay;
        loop {
            let problem = match timeout(self.config.response_timeout, self.try_once(&request_id, &body)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Refusal::Final(problem))) => {
                    self.counters.failed_tries.fetch_add(1, Ordering::Relaxed);
                    return Err(problem);
                }
                Ok(Err(Refusal::Retryable(problem))) => problem,
                Err(_) => "the endpoint did not answer in time".to_owned(),
            };
            self.counters.failed_tries.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(request_id, problem, "delivery of log records failed");
            let next = Instant::now() + delay.mul_f64(self.random.jitter(JITTER));
            delay = (delay * 2).min(self.config.retry_delay_max);
            if self.is_stopping_before(next.min(give_up)).await {
                // From now on only as long as the drain time allows.
                let drained = *self.deadline.get_or_insert_with(|| Instant::now() + self.config.drain);
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

    fn encode(&self, request_id: &str, batch: &[String]) -> Result<Bytes, String> {
        let mut body = Vec::new();
        write!(body, r#"{{"requestId":"{request_id}","timestamp":{},"records":["#, unix_millis())
            .expect("writing to memory does not fail");
        for (index, record) in batch.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(body, r#"{separator}{{"data":"{}"}}"#, STANDARD.encode(record))
                .expect("writing to memory does not fail");
        }
        body.extend_from_slice(b"]}");
        if self.config.gzip { gzip(&body) } else { Ok(body.into()) }
    }

    async fn try_once(&self, request_id: &str, body: &Bytes) -> Result<(), Refusal> {
        let mut request = Request::post(&self.endpoint)
            .header("X-Amz-Firehose-Protocol-Version", "1.0")
            .header("X-Amz-Firehose-Request-Id", request_id)
            .header("X-Amz-Firehose-Source-Arn", SOURCE_ARN)
            .header("X-Amz-Firehose-Access-Key", &self.config.access_key)
            .header(CONTENT_TYPE, "application/json");
        if self.config.gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let request = request.body(Full::new(body.clone())).map_err(|error| Refusal::Final(error.to_string()))?;
        let response = self.client.request(request).await.map_err(|error| Refusal::Retryable(error.to_string()))?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
        let answer = answer.map_err(|error| Refusal::Retryable(error.to_string()))?.to_bytes();
        let names_the_batch = serde_json::from_slice::<serde_json::Value>(&answer)
            .is_ok_and(|answer| answer["requestId"] == request_id && answer["timestamp"].is_u64());
        match status {
            StatusCode::OK if names_the_batch => Ok(()),
            StatusCode::OK => Err(Refusal::Retryable("the answer does not name the batch".to_owned())),
            StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal::Final("the endpoint answered 413".to_owned())),
            status => Err(Refusal::Retryable(format!("the endpoint answered {status}"))),
        }
    }
}

/// Why a try failed.
enum Refusal {
    Retryable(String),
    Final(String),
}

fn gzip(body: &[u8]) -> Result<Bytes, String> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut compressed = vec![0; compressor.gzip_compress_bound(body.len())];
    let length = compressor.gzip_compress(body, &mut compressed).map_err(|error| error.to_string())?;
    compressed.truncate(length);
    Ok(compressed.into())
}

/// How long a courier may need to end after it was told to stop.
pub(crate) fn stop_limit(config: &Delivery) -> Duration {
    config.drain + config.response_timeout.min(config.drain)
}
