//! Firehose's HTTP endpoint delivery. Only 200 is success; everything else is delivered again, the whole of it, except
//! 413, which loses the batch for good and is therefore never answered. A bad record is counted and skipped: failing
//! the delivery for it would bring it back for ever.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use subtle::ConstantTimeEq as _;

use rootspan_model::conventions::resource;
use rootspan_wire::firehose;

use super::intake::{Delivery, Intake};
use crate::ack::Refusal;
use crate::clock::Clock;
use crate::config::values::Secret;
use crate::ledger::RefusalReason;
use crate::net::body::{BODY_TIMEOUT, BodyError, collect, unpack};
use crate::net::decompress::{Algorithms, Compression};
use crate::net::http::{self as net_http, Answer, answer};
use crate::net::stop::Stop;
use crate::net::stream::Accepted;
use crate::tasks;

/// Longest access key that Firehose sends.
const MAX_KEY_BYTES: usize = 4096;

/// What the connections of the receiver share.
pub(super) struct Server {
    intake: Arc<Intake>,
    access_key: Secret,
    algorithms: Algorithms,
    clock: Clock,
}

/// A delivery that was not taken.
struct Refused {
    status: StatusCode,
    message: String,
}

impl Server {
    pub(super) fn new(intake: Arc<Intake>, access_key: Secret, clock: Clock) -> Self {
        Self { intake, access_key, algorithms: Algorithms::all(), clock }
    }

    /// Fails closed, and takes the same time wherever two keys differ.
    fn is_authenticated(&self, headers: &HeaderMap) -> bool {
        let presented = headers.get("x-amz-firehose-access-key").map(HeaderValue::as_bytes).unwrap_or_default();
        let expected = self.access_key.reveal().as_bytes();
        presented.len() <= MAX_KEY_BYTES && bool::from(presented.ct_eq(expected))
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
        server.intake.ingress().refused_request(RefusalReason::Unauthenticated);
        return Err(Refused { status: StatusCode::UNAUTHORIZED, message: "the access key is missing or wrong".into() });
    }
    if head.method != Method::POST {
        return Err(Refused { status: StatusCode::METHOD_NOT_ALLOWED, message: "only POST is accepted".into() });
    }
    let encoding = head.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
    let Ok(compression) = Compression::of_http(encoding, &server.algorithms) else {
        return Err(malformed(server, "the content encoding must be gzip or absent"));
    };
    let (limit, budget) = (server.intake.max_bytes(), server.intake.ingress().budget());
    let body = collect(body, limit, budget, BODY_TIMEOUT).await.map_err(|error| body_refused(server, error))?;
    let body = unpack(compression, body, limit, budget).await.map_err(|error| body_refused(server, error))?;
    let (worker, source) = (Arc::clone(server), source(&head.headers));
    let read = tasks::blocking("read delivery", move || read_delivery(body.as_ref(), source, &worker)).await;
    let Some(read) = read else { return Err(malformed(server, "the delivery could not be read")) };
    let (id, delivery) = read?;
    *request_id = id;
    server.intake.send(delivery).await.map_err(unavailable)
}

/// What the stream says of itself: its account, and what it is configured to say of all its records.
fn source(headers: &HeaderMap) -> Vec<(String, String)> {
    let arn = headers.get("x-amz-firehose-source-arn").and_then(|arn| arn.to_str().ok()).unwrap_or_default();
    let account = firehose::account_of(arn).map(|account| (resource::CLOUD_ACCOUNT_ID.to_owned(), account.to_owned()));
    let common = headers.get("x-amz-firehose-common-attributes").map(HeaderValue::as_bytes).unwrap_or_default();
    account.into_iter().chain(firehose::common_attributes(common)).collect()
}

/// Reads all records of a body; gives Firehose's id of the request, too.
fn read_delivery(body: &[u8], source: Vec<(String, String)>, server: &Server) -> Result<(String, Delivery), Refused> {
    let request = firehose::Request::parse(body).map_err(|error| malformed(server, error.to_string()))?;
    let delivery = server.intake.read(source, request.records()).map_err(unavailable)?;
    Ok((request.request_id.clone().into_owned(), delivery))
}

fn unavailable(refusal: Refusal) -> Refused {
    Refused { status: StatusCode::SERVICE_UNAVAILABLE, message: refusal.message }
}

fn malformed(server: &Server, message: impl Into<String>) -> Refused {
    server.intake.ingress().refused_request(RefusalReason::Malformed);
    Refused { status: StatusCode::BAD_REQUEST, message: message.into() }
}

fn body_refused(server: &Server, error: BodyError) -> Refused {
    match error {
        // Never 413: Firehose would drop the batch without a trace.
        BodyError::TooLarge => {
            server.intake.ingress().refused_request(RefusalReason::TooLarge);
            let limit = server.intake.max_bytes();
            let message = format!("the body is longer than {limit} bytes (max_request_body_size)");
            Refused { status: StatusCode::BAD_REQUEST, message }
        }
        BodyError::Exhausted => {
            server.intake.ingress().refused_request(RefusalReason::MemoryLimit);
            unavailable(Refusal::memory_limit())
        }
        BodyError::Corrupt(reason) => malformed(server, format!("the body cannot be decompressed: {reason}")),
        BodyError::Broken => malformed(server, "the body was not complete in time"),
    }
}
