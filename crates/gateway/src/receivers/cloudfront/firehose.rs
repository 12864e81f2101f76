//! Firehose's HTTP endpoint delivery. Only 200 is success; everything else is delivered again, the whole of it, except
//! 413, which loses the batch for good and is therefore never answered. A bad record is counted and skipped: failing
//! the delivery for it would bring it back for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpStream;

use rootspan_model::conventions::cloudfront;
use rootspan_wire::cloudfront::span::{Encoder, Outcome, Settings, Unplaced};
use rootspan_wire::cloudfront::{ReadOptions, read_json};
use rootspan_wire::firehose;
use rootspan_wire::otlp::view::AnyValue;

use super::CloudFrontConfig;
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::budget::PaidBuffer;
use crate::clock::Clock;
use crate::config::values::Secret;
use crate::ledger::RefusalReason;
use crate::net::body::{BodyError, collect, unpack};
use crate::net::decompress::Compression;
use crate::net::http::{self as net_http, Answer, HEADER_TIMEOUT, answer};
use crate::net::stop::Stop;
use crate::runtime::ingress::Ingress;
use crate::tasks;

/// Spans of one delivery are sent in batches of about this length; a short record makes a longer span.
const BATCH_BYTES: usize = 4 << 20;
/// Longest access key that Firehose sends.
const MAX_KEY_BYTES: usize = 4096;

/// What the connections of the receiver share.
pub(super) struct Server {
    ingress: Ingress,
    access_key: Secret,
    settings: Settings,
    max_body_bytes: usize,
    clock: Clock,
    counters: Arc<Counters>,
}

/// What became of records, over all deliveries that were accepted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    spans: AtomicU64,
    derived: AtomicU64,
    sampled_out: AtomicU64,
    bad: AtomicU64,
    no_request_id: AtomicU64,
    unknown_trace: AtomicU64,
    no_time: AtomicU64,
}

/// What became of the records of one delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    spans: u64,
    derived: u64,
    sampled_out: u64,
    bad: u64,
    no_request_id: u64,
    unknown_trace: u64,
    no_time: u64,
}

/// A delivery that was not taken.
struct Refused {
    status: StatusCode,
    message: String,
}

impl Server {
    pub(super) fn new(ingress: Ingress, config: &CloudFrontConfig, clock: Clock) -> Self {
        Self {
            ingress,
            access_key: config.access_key.clone(),
            settings: config.span_settings(),
            max_body_bytes: usize::try_from(config.max_request_body_size.0).unwrap_or(usize::MAX),
            clock,
            counters: Arc::default(),
        }
    }

    /// The counters; they outlive the receiver and do not hold it.
    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Counts a delivery once it is accepted: one that is refused comes again.
    fn count(&self, tally: Tally) {
        let counters = &self.counters;
        for (counter, records) in [
            (&counters.spans, tally.spans - tally.derived),
            (&counters.derived, tally.derived),
            (&counters.sampled_out, tally.sampled_out),
            (&counters.bad, tally.bad),
            (&counters.no_request_id, tally.no_request_id),
            (&counters.unknown_trace, tally.unknown_trace),
            (&counters.no_time, tally.no_time),
        ] {
            counter.fetch_add(records, Ordering::Relaxed);
        }
    }

    /// Fails closed, and takes the same time wherever two keys differ.
    fn is_authenticated(&self, headers: &HeaderMap) -> bool {
        let presented = headers.get("x-amz-firehose-access-key").map(HeaderValue::as_bytes).unwrap_or_default();
        let expected = self.access_key.reveal().as_bytes();
        presented.len() <= MAX_KEY_BYTES && bool::from(presented.ct_eq(expected))
    }
}

impl Counters {
    /// What became of records, by outcome.
    pub(super) fn by_outcome(&self) -> Vec<(&'static str, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("span", read(&self.spans)),
            ("span_derived_ids", read(&self.derived)),
            ("sampled_out", read(&self.sampled_out)),
            ("bad", read(&self.bad)),
            ("no_request_id", read(&self.no_request_id)),
            ("unknown_trace", read(&self.unknown_trace)),
            ("no_time", read(&self.no_time)),
        ]
    }
}

/// Serves one connection.
pub(super) async fn serve(stream: TcpStream, server: Arc<Server>, stop: Stop) {
    net_http::serve(stream, stop, HEADER_TIMEOUT, move |request| respond(request, Arc::clone(&server))).await;
}

async fn respond(request: Request<Incoming>, server: Arc<Server>) -> Answer {
    let (head, body) = request.into_parts();
    // The header and the body name the same request; the header is there even if the body cannot be read.
    let id = head.headers.get("x-amz-firehose-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let mut request_id = id.to_owned();
    let (status, error) = match receive(&head, body, &server, &mut request_id).await {
        Ok(()) => (StatusCode::OK, None),
        Err(refused) => (refused.status, Some(refused.message)),
    };
    let now_millis = (server.clock)().0 / 1_000_000;
    answer(status, "application/json", firehose::answer(&request_id, now_millis, error.as_deref()))
}

/// Receives a delivery and waits until its spans are settled.
async fn receive(
    head: &http::request::Parts,
    body: Incoming,
    server: &Arc<Server>,
    request_id: &mut String,
) -> Result<(), Refused> {
    if !server.is_authenticated(&head.headers) {
        server.ingress.refused_request(RefusalReason::Unauthenticated);
        return Err(Refused { status: StatusCode::UNAUTHORIZED, message: "the access key is missing or wrong".into() });
    }
    if head.method != Method::POST {
        return Err(Refused { status: StatusCode::METHOD_NOT_ALLOWED, message: "only POST is accepted".into() });
    }
    let encoding = head.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
    let Ok(compression) = Compression::from_name(encoding) else {
        return Err(malformed(server, "the content encoding must be gzip or absent"));
    };
    let (limit, budget) = (server.max_body_bytes, server.ingress.budget());
    let body = collect(body, limit, budget).await.map_err(|error| body_refused(server, error))?;
    let body = unpack(compression, body, limit, budget).await.map_err(|error| body_refused(server, error))?;
    let worker = Arc::clone(server);
    let read = tasks::blocking("read delivery", move || read_delivery(&body, &worker)).await;
    let Some(delivery) = read else { return Err(malformed(server, "the delivery could not be read")) };
    let delivery = delivery?;
    *request_id = delivery.request_id;
    for batch in delivery.batches {
        server.ingress.send(batch).await.map_err(unavailable)?;
    }
    server.count(delivery.tally);
    Ok(())
}

/// What was read of one delivery.
struct Delivery {
    request_id: String,
    batches: Vec<Batch>,
    tally: Tally,
}

/// Reads all records; the batches are paid for as they are made.
fn read_delivery(body: &PaidBuffer, server: &Server) -> Result<Delivery, Refused> {
    let request = firehose::Request::parse(body.as_ref()).map_err(|error| malformed(server, &error.to_string()))?;
    let mut delivery =
        Delivery { request_id: request.request_id.clone().into_owned(), batches: Vec::new(), tally: Tally::default() };
    let mut encoder = Encoder::new(&server.settings);
    for data in request.records() {
        let Ok(data) = data else {
            delivery.tally.bad += 1;
            continue;
        };
        for record in read_json(&data, ReadOptions::default()) {
            let Ok(record) = record else {
                delivery.tally.bad += 1;
                continue;
            };
            match encoder.push(&record) {
                Outcome::Span => {}
                Outcome::SampledOut => delivery.tally.sampled_out += 1,
                Outcome::Unplaced(Unplaced::NoRequestId) => delivery.tally.no_request_id += 1,
                Outcome::Unplaced(Unplaced::UnknownTrace) => delivery.tally.unknown_trace += 1,
                Outcome::Unplaced(Unplaced::NoTime) => delivery.tally.no_time += 1,
            }
            if encoder.byte_count() >= BATCH_BYTES {
                delivery.add(std::mem::replace(&mut encoder, Encoder::new(&server.settings)), server)?;
            }
        }
    }
    delivery.add(encoder, server)?;
    Ok(delivery)
}

impl Delivery {
    fn add(&mut self, encoder: Encoder<'_>, server: &Server) -> Result<(), Refused> {
        let batch = encoder.finish();
        if batch.is_empty() {
            return Ok(());
        }
        self.tally.spans += batch.span_count() as u64;
        let derived = |context| matches!(context, Some(AnyValue::String(cloudfront::context::DERIVED)));
        self.tally.derived +=
            batch.spans().filter(|item| derived(item.span.attribute(cloudfront::CONTEXT))).count() as u64;
        self.batches.push(server.ingress.pay(batch).map_err(unavailable)?);
        Ok(())
    }
}

fn unavailable(refusal: Refusal) -> Refused {
    Refused { status: StatusCode::SERVICE_UNAVAILABLE, message: refusal.message }
}

fn malformed(server: &Server, message: &str) -> Refused {
    server.ingress.refused_request(RefusalReason::Malformed);
    Refused { status: StatusCode::BAD_REQUEST, message: message.to_owned() }
}

fn body_refused(server: &Server, error: BodyError) -> Refused {
    match error {
        // Never 413: Firehose would drop the batch without a trace.
        BodyError::TooLarge => {
            server.ingress.refused_request(RefusalReason::TooLarge);
            let limit = server.max_body_bytes;
            let message = format!("the body is longer than {limit} bytes (max_request_body_size)");
            Refused { status: StatusCode::BAD_REQUEST, message }
        }
        BodyError::Exhausted => {
            server.ingress.refused_request(RefusalReason::MemoryLimit);
            unavailable(Refusal::memory_limit())
        }
        BodyError::Corrupt => malformed(server, "the body cannot be decompressed"),
        BodyError::Broken => malformed(server, "the body was not complete in time"),
    }
}
