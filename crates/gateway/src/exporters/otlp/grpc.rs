//! OTLP over gRPC, on HTTP/2 directly: one connection, renewed when it breaks, a stream for each request (gRPC over
//! HTTP/2, "Requests" and "Responses").

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::SendRequest;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use http::uri::Authority;
use http::{Method, Request, StatusCode, Uri};
use tokio::sync::Mutex;

use rootspan_wire::otlp::payload::Signal;
use rootspan_wire::otlp::protobuf::{FieldValue, Fields};

use super::compress::{Coding, Encoding, compress};
use super::{MAX_ANSWER_BYTES, OtlpGrpcConfig};
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::exporters::{Export, Exported, Exporter, Surroundings};
use crate::extensions::auth::Authenticator;
use crate::ledger::RefusalReason;
use crate::net::connect::Connector;
use crate::net::headers::Headers;
use crate::net::ping;
use crate::net::stream::Stream;
use crate::net::tls::client::{self, TlsClient};
use crate::tasks::{self, Task};

/// The one method of a signal.
const fn export_method(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// Flag and length before each message.
const PREFIX_BYTES: usize = 5;
/// Answers are short.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// Pings are not more frequent (grpc-go's least).
const MIN_PING_TIME: Duration = Duration::from_secs(10);
const AGENT: &str = concat!("rootspan/", env!("CARGO_PKG_VERSION"));

/// The exporter.
#[derive(Debug)]
pub(crate) struct OtlpGrpcExporter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connector: Connector,
    auth: Option<Arc<Authenticator>>,
    target: Authority,
    uri: Uri,
    coding: Coding,
    headers: Headers,
    timeout: Duration,
    /// How often to ping, how long to wait for the answer, and whether also without a request.
    pings: Option<(Duration, Duration, bool)>,
    /// Requests on their way.
    on_the_way: Arc<AtomicUsize>,
    /// Held over the set-up of a connection on purpose: all who wait need the same one.
    connection: Mutex<Option<Connection>>,
}

/// A connection lives as long as it is the newest or somebody waits for an answer on it.
#[derive(Clone, Debug)]
struct Connection {
    requests: SendRequest<Bytes>,
    driver: Arc<Task>,
    /// The name leads elsewhere by now: new requests go there.
    has_moved: Arc<AtomicBool>,
}

/// A request on its way.
#[derive(Debug)]
struct OnTheWay(Arc<AtomicUsize>);

impl OnTheWay {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl OtlpGrpcExporter {
    /// The exporter `what`, which connects when there is something to send. An error is one sentence.
    pub(crate) fn new(
        what: &str,
        config: &OtlpGrpcConfig,
        signal: Signal,
        surroundings: &Surroundings,
    ) -> Result<Self, String> {
        let tls = config.is_encrypted().then(|| TlsClient::load(&config.tls, what, client::GRPC)).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let target = config.authority();
        let shown = if config.authority.is_empty() { target.as_str() } else { &config.authority };
        let uri = Uri::builder().scheme(scheme).authority(shown).path_and_query(export_method(signal)).build();
        let uri = uri.unwrap_or_else(|_| Uri::from_static(export_method(signal)));
        let shared = Shared {
            connector: Connector::new(surroundings.resolver.clone(), tls),
            auth: surroundings.authenticators.of(config.auth.as_ref()),
            target,
            uri,
            coding: Coding { encoding: config.compression.0, level: None, is_grpc: true },
            headers: config.headers.clone(),
            timeout: config.timeout,
            pings: config.keepalive.as_ref().map(|keepalive| {
                let time = if keepalive.time.is_zero() { keepalive.time } else { keepalive.time.max(MIN_PING_TIME) };
                (time, keepalive.timeout, keepalive.permit_without_stream)
            }),
            on_the_way: Arc::default(),
            connection: Mutex::new(None),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Exporter for OtlpGrpcExporter {
    fn export(&self, batch: Batch) -> Export {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let mut used = None;
            let attempt = shared.attempt(&batch, &mut used);
            let limit = if shared.timeout.is_zero() { Duration::MAX } else { shared.timeout };
            match tokio::time::timeout(limit, attempt).await {
                Ok(Ok(rejected_spans)) => Exported::Delivered { rejected_spans },
                Ok(Err(refusal)) => Exported::Failed(refusal),
                Err(_) => {
                    // It may be black-holed: the next attempt looks the name up again. Answers to others may still come.
                    shared.give_up(used.as_ref()).await;
                    Exported::Failed(unavailable(&shared.target, &"no answer in time"))
                }
            }
        })
    }
}

fn unavailable(target: &Authority, reason: &dyn std::fmt::Display) -> Refusal {
    Refusal::retry(RefusalReason::Unavailable, format!("{target}: {reason}"), Duration::ZERO)
}

impl Shared {
    /// No new requests on this connection.
    async fn give_up(&self, used: Option<&Connection>) {
        let mut newest = self.connection.lock().await;
        if let (Some(newest_one), Some(used)) = (newest.as_ref(), used)
            && Arc::ptr_eq(&newest_one.driver, &used.driver)
        {
            *newest = None;
        }
    }

    /// One attempt; the number of spans that the back end rejected. `used` keeps the connection.
    async fn attempt(&self, batch: &Batch, used: &mut Option<Connection>) -> Result<u64, Refusal> {
        let failed = |error: h2::Error| unavailable(&self.target, &error);
        let Some(message) = compress(self.coding, batch.bytes().clone()).await else {
            return Err(Refusal::never(RefusalReason::RejectedByBackend, "the request cannot be compressed"));
        };
        let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
        prefix.put_u8(u8::from(self.coding.encoding != Encoding::None));
        prefix.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        let mut request = self.request();
        if let Some(auth) = &self.auth {
            auth.add_to(request.headers_mut()).await;
        }
        let connection = used.insert(self.connected().await?);
        let _on_the_way = OnTheWay::begin(&self.on_the_way);
        let (response, mut stream) = connection.requests.send_request(request, false).map_err(failed)?;
        stream.send_data(prefix.freeze(), false).map_err(failed)?;
        stream.send_data(message, true).map_err(failed)?;
        let (head, body) = response.await.map_err(failed)?.into_parts();
        if head.headers.contains_key("grpc-status") {
            return self.outcome(head.status, &head.headers, &[]);
        }
        let (answer, trailers) = read(body).await.map_err(failed)?;
        self.outcome(head.status, &trailers.unwrap_or_default(), &answer)
    }

    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(encoding) = self.coding.encoding.name() {
            headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
        }
        self.headers.add_to(headers);
        request
    }

    /// A connection that takes requests.
    async fn connected(&self) -> Result<Connection, Refusal> {
        let mut connection = self.connection.lock().await;
        if let Some(open) = connection.as_ref() {
            let mut open = open.clone();
            if !open.has_moved.load(Ordering::Acquire)
                && let Ok(requests) = open.requests.ready().await
            {
                open.requests = requests;
                return Ok(open);
            }
            *connection = None;
        }
        let connected = self.connector.connect(self.target.host(), self.target.port_u16().unwrap_or(4317)).await;
        let (stream, address) = connected.map_err(|error| unavailable(&self.target, &error))?;
        let mut builder = h2::client::Builder::new();
        builder.max_header_list_size(MAX_HEADER_BYTES).enable_push(false);
        let failed = |error: h2::Error| unavailable(&self.target, &error);
        let (requests, open) = builder.handshake::<_, Bytes>(stream).await.map_err(failed)?;
        let has_moved = Arc::default();
        let driver = tasks::start("otlp connection", self.drive(open, address, Arc::clone(&has_moved)));
        let mut new = Connection { requests, driver: Arc::new(driver), has_moved };
        *connection = Some(new.clone());
        drop(connection);
        new.requests = new.requests.ready().await.map_err(failed)?;
        Ok(new)
    }

    /// Drives a connection until it ends, or its peer does not answer a ping. Its end is seen by whoever sends next.
    fn drive(
        &self,
        mut open: h2::client::Connection<Stream, Bytes>,
        address: SocketAddr,
        has_moved: Arc<AtomicBool>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (connector, host) = (self.connector.clone(), self.target.host().to_owned());
        let (pings, on_the_way) = (self.pings, Arc::clone(&self.on_the_way));
        async move {
            let ping_pong = open.ping_pong();
            let (time, timeout, always) = pings.unwrap_or((Duration::ZERO, ping::DEFAULT_TIMEOUT, false));
            let wanted = || always || on_the_way.load(Ordering::Acquire) > 0;
            // Nothing is lost with the branches that did not end: they only watch.
            tokio::select! {
                _ended = open => {}
                () = ping::dead(ping_pong, Some(time), timeout, wanted) => {
                    tracing::debug!(%address, "a back end does not answer pings");
                }
                // Requests on the connection may still be answered.
                () = async {
                    connector.moved(&host, address).await;
                    has_moved.store(true, Ordering::Release);
                    std::future::pending().await
                } => {}
            }
        }
    }

    /// What the trailers mean (OTLP specification, "Failures").
    fn outcome(&self, http: StatusCode, trailers: &HeaderMap, answer: &[u8]) -> Result<u64, Refusal> {
        let code = trailers.get("grpc-status").and_then(|code| code.to_str().ok()).and_then(|code| code.parse().ok());
        let details = trailers.get("grpc-status-details-bin").map(HeaderValue::as_bytes).unwrap_or_default();
        let hint = retry_delay(details);
        let message = trailers.get("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
        let words = String::from_utf8_lossy(&message[..message.len().min(512)]).into_owned();
        match code {
            Some(0) => Ok(rejected_spans(answer.get(PREFIX_BYTES..).unwrap_or_default(), &self.target)),
            // Cancelled, deadline exceeded, aborted, out of range, unavailable, data loss.
            Some(code @ (1 | 4 | 10 | 11 | 14 | 15)) => {
                let message = format!("{}: status {code} {words}", self.target);
                Err(Refusal::retry(RefusalReason::Unavailable, message, hint.unwrap_or_default()))
            }
            // Resource exhausted: with a hint it is a matter of time.
            Some(8) if hint.is_some() => {
                let message = format!("{}: is full: {words}", self.target);
                Err(Refusal::retry(RefusalReason::Unavailable, message, hint.unwrap_or_default()))
            }
            Some(code) => {
                Err(Refusal::never(RefusalReason::RejectedByBackend, format!("{}: status {code} {words}", self.target)))
            }
            // A proxy answered (gRPC, "HTTP to gRPC Status Code Mapping").
            None if matches!(http.as_u16(), 200 | 429 | 502..=504) => {
                Err(unavailable(&self.target, &format_args!("HTTP status {http}")))
            }
            None => {
                let message = format!("{}: HTTP status {http}", self.target);
                Err(Refusal::never(RefusalReason::RejectedByBackend, message))
            }
        }
    }
}

/// Reads an answer of bounded length, and its trailers.
async fn read(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut answer = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        let room = MAX_ANSWER_BYTES - answer.len();
        answer.extend_from_slice(&data[..data.len().min(room)]);
        body.flow_control().release_capacity(data.len())?;
        if answer.len() == MAX_ANSWER_BYTES {
            return Ok((answer, None));
        }
    }
    Ok((answer, body.trailers().await?))
}

/// `ExportTraceServiceResponse.partial_success.rejected_spans`; what the back end says of them goes to the log.
pub(super) fn rejected_spans(response: &[u8], target: &dyn std::fmt::Display) -> u64 {
    let mut rejected = 0;
    let mut words = "";
    for field in Fields::new(response).filter(|field| field.number == 1) {
        let FieldValue::Bytes(partial) = field.value else { continue };
        for field in Fields::new(partial) {
            match (field.number, field.value) {
                (1, FieldValue::Varint(number)) => rejected = number,
                (2, FieldValue::Bytes(message)) => words = std::str::from_utf8(message).unwrap_or_default(),
                _ => {}
            }
        }
    }
    if rejected > 0 || !words.is_empty() {
        tracing::warn!(%target, rejected, message = words, "the back end took a request only in part");
    }
    rejected
}

/// `RetryInfo.retry_delay` in a base64 `google.rpc.Status`.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    let status = STANDARD_NO_PAD.decode(details).or_else(|_| STANDARD.decode(details)).ok()?;
    retry_delay_of_status(&status)
}

/// `RetryInfo.retry_delay` in a `google.rpc.Status`.
pub(super) fn retry_delay_of_status(status: &[u8]) -> Option<Duration> {
    let is_retry_info = |any: &&[u8]| nested(any, 1).is_some_and(|url| url.ends_with(b"/google.rpc.RetryInfo"));
    let mut details = Fields::new(status).filter_map(|field| match field.value {
        FieldValue::Bytes(any) if field.number == 3 => Some(any),
        _ => None,
    });
    let info = details.find(is_retry_info)?;
    let delay = nested(nested(info, 2)?, 1)?;
    let number = |number| {
        let found = Fields::new(delay).find_map(|field| match field.value {
            FieldValue::Varint(value) if field.number == number => Some(value),
            _ => None,
        });
        found.unwrap_or(0)
    };
    // A negative or absurd delay is no hint.
    let nanos = u32::try_from(number(2)).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    (number(1) < 86_400).then(|| Duration::new(number(1), nanos))
}

/// The content of the first length-delimited field with this number.
fn nested(message: &[u8], number: u32) -> Option<&[u8]> {
    Fields::new(message).find_map(|field| match field.value {
        FieldValue::Bytes(bytes) if field.number == number => Some(bytes),
        _ => None,
    })
}
