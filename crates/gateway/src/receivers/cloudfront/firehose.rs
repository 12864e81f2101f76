//! Firehose's HTTP endpoint delivery. Only 200 is success; everything else is delivered again, the whole of it, except
//! 413, which loses the batch for good and is therefore never answered. A bad record is counted and skipped: failing
//! the delivery for it would bring it back for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use subtle::ConstantTimeEq as _;

use rootspan_wire::cloudfront::Reader;
use rootspan_wire::cloudfront::span::Settings;
use rootspan_wire::firehose;

use super::CloudFrontConfig;
use super::delivery::{Delivery, Source, Tally};
use crate::ack::Refusal;
use crate::clock::Clock;
use crate::config::values::Secret;
use crate::ledger::RefusalReason;
use crate::net::body::{BODY_TIMEOUT, BodyError, collect, unpack};
use crate::net::decompress::{Algorithms, Compression};
use crate::net::http::{self as net_http, Answer, answer};
use crate::net::stop::Stop;
use crate::net::stream::Accepted;
use crate::runtime::ingress::Ingress;
use crate::tasks;

/// Longest access key that Firehose sends.
const MAX_KEY_BYTES: usize = 4096;

/// What the connections of the receiver share.
pub(super) struct Server {
    ingress: Ingress,
    access_key: Secret,
    settings: Settings,
    reader: Reader,
    max_body_bytes: usize,
    algorithms: Algorithms,
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
    function_log: AtomicU64,
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
            reader: config.reader(),
            max_body_bytes: usize::try_from(config.max_request_body_size.0).unwrap_or(usize::MAX),
            algorithms: Algorithms::all(),
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
            (&counters.function_log, tally.function_log),
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
            ("function_log", read(&self.function_log)),
        ]
    }
}

/// Serves one connection.
pub(super) async fn serve(accepted: Accepted, server: Arc<Server>, stop: Stop) {
    net_http::serve(accepted.stream, stop, net_http::Settings::default(), move |request| {
        respond(request, Arc::clone(&server))
    })
    .await;
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
    let Ok(compression) = Compression::of_http(encoding, &server.algorithms) else {
        return Err(malformed(server, "the content encoding must be gzip or absent"));
    };
    let (limit, budget) = (server.max_body_bytes, server.ingress.budget());
    let body = collect(body, limit, budget, BODY_TIMEOUT).await.map_err(|error| body_refused(server, error))?;
    let body = unpack(compression, body, limit, budget).await.map_err(|error| body_refused(server, error))?;
    let worker = Arc::clone(server);
    let read = tasks::blocking("read delivery", move || read_delivery(body.as_ref(), &worker)).await;
    let Some(read) = read else { return Err(malformed(server, "the delivery could not be read")) };
    let (id, delivery) = read?;
    *request_id = id;
    for batch in delivery.batches {
        server.ingress.send(batch).await.map_err(unavailable)?;
    }
    server.count(delivery.tally);
    Ok(())
}

/// Reads all records of a body; gives Firehose's id of the request, too.
fn read_delivery(body: &[u8], server: &Server) -> Result<(String, Delivery), Refused> {
    let request = firehose::Request::parse(body).map_err(|error| malformed(server, error.to_string()))?;
    let source = Source {
        reader: &server.reader,
        settings: &server.settings,
        ingress: &server.ingress,
        max_bytes: server.max_body_bytes,
    };
    let delivery = Delivery::read(request.records(), &source).map_err(unavailable)?;
    Ok((request.request_id.clone().into_owned(), delivery))
}

fn unavailable(refusal: Refusal) -> Refused {
    Refused { status: StatusCode::SERVICE_UNAVAILABLE, message: refusal.message }
}

fn malformed(server: &Server, message: impl Into<String>) -> Refused {
    server.ingress.refused_request(RefusalReason::Malformed);
    Refused { status: StatusCode::BAD_REQUEST, message: message.into() }
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
        BodyError::Corrupt(reason) => malformed(server, format!("the body cannot be decompressed: {reason}")),
        BodyError::Broken => malformed(server, "the body was not complete in time"),
    }
}
