//! OTLP over HTTP, as protobuf or JSON, over a pool of connections: HTTP/2 where TLS agrees on it, else HTTP/1.1.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::TokioTimer;

use rootspan_wire::otlp::json::write_request;
use rootspan_wire::otlp::payload::Signal;

use super::compress::{Coding, compress};
use super::grpc::{rejected_spans, retry_delay_of_status};
use super::{Form, MAX_ANSWER_BYTES, OtlpHttpConfig};
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::exporters::{Export, Exported, Exporter, Surroundings};
use crate::extensions::auth::Authenticator;
use crate::ledger::RefusalReason;
use crate::net::connect::{Connector, HasMoved};
use crate::net::headers::Headers;
use crate::net::tls::client::{self, TlsClient};
use crate::tasks::{self, HyperExecutor};

const AGENT: &str = concat!("rootspan/", env!("CARGO_PKG_VERSION"));

/// The exporter.
#[derive(Debug)]
pub(crate) struct OtlpHttpExporter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    signal: Signal,
    uri: Uri,
    form: Form,
    coding: Coding,
    headers: Headers,
    timeout: Duration,
    auth: Option<Arc<Authenticator>>,
    client: Client<Connector, Full<Bytes>>,
}

impl OtlpHttpExporter {
    /// The exporter `what`, which connects when there is something to send. An error is one sentence.
    pub(crate) fn new(
        what: &str,
        config: &OtlpHttpConfig,
        signal: Signal,
        surroundings: &Surroundings,
    ) -> Result<Self, String> {
        let uri = config.uri(signal).expect("the address was checked when the configuration was");
        let is_encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        let tls = is_encrypted.then(|| TlsClient::load(&config.tls, what, client::HTTP)).transpose()?;
        let shared = Shared {
            signal,
            uri,
            form: config.encoding,
            coding: Coding { encoding: config.compression.0, level: config.compression_params.level(), is_grpc: false },
            headers: config.headers.clone(),
            timeout: config.timeout,
            auth: surroundings.authenticators.of(config.auth.as_ref()),
            client: client_of(config, Connector::new(surroundings.resolver.clone(), tls)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

fn client_of(config: &OtlpHttpConfig, connector: Connector) -> Client<Connector, Full<Bytes>> {
    let mut builder = Client::builder(HyperExecutor);
    builder.pool_timer(TokioTimer::new()).timer(TokioTimer::new());
    // One HTTP/2 connection carries every request: one that leads nowhere must not be kept.
    let interval = Some(config.http2_read_idle_timeout).filter(|interval| !interval.is_zero());
    builder.http2_keep_alive_interval(interval).http2_keep_alive_timeout(config.http2_ping_timeout);
    // As in the collector, 0 is for ever.
    builder.pool_idle_timeout((!config.idle_conn_timeout.is_zero()).then_some(config.idle_conn_timeout));
    let kept =
        if config.disable_keep_alives { Some(0) } else { config.max_idle_conns_per_host.filter(|kept| *kept > 0) };
    if let Some(kept) = kept {
        builder.pool_max_idle_per_host(usize::try_from(kept).unwrap_or(usize::MAX));
    }
    builder.build(connector)
}

impl Exporter for OtlpHttpExporter {
    fn export(&self, batch: Batch) -> Export {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let limit = if shared.timeout.is_zero() { Duration::MAX } else { shared.timeout };
            match tokio::time::timeout(limit, shared.attempt(&batch)).await {
                Ok(Ok(rejected_spans)) => Exported::Delivered { rejected_spans },
                Ok(Err(refusal)) => Exported::Failed(refusal),
                Err(_) => Exported::Failed(shared.unavailable("no answer in time")),
            }
        })
    }
}

impl Shared {
    fn unavailable(&self, reason: &str) -> Refusal {
        Refusal::retry(RefusalReason::Unavailable, format!("{}: {reason}", self.uri), Duration::ZERO)
    }

    /// One attempt; the number of spans that the back end rejected.
    async fn attempt(&self, batch: &Batch) -> Result<u64, Refusal> {
        let unfit = || Refusal::never(RefusalReason::RejectedByBackend, "the request cannot be encoded");
        let body = match self.form {
            Form::Protobuf => batch.bytes().clone(),
            Form::Json => {
                let batch = batch.clone();
                let write = move || {
                    let mut json = Vec::new();
                    write_request(batch.payload(), &mut json).ok().map(|()| Bytes::from(json))
                };
                tasks::blocking("write OTLP JSON", write).await.flatten().ok_or_else(unfit)?
            }
        };
        let body = compress(self.coding, body).await.ok_or_else(unfit)?;
        let mut request = self.request(body);
        if let Some(auth) = &self.auth {
            auth.add_to(request.headers_mut()).await;
        }
        let connection = capture_connection(&mut request);
        let response = self.client.request(request).await;
        let response = response.map_err(|error| self.unavailable(&chain(&error)))?;
        let (head, body) = response.into_parts();
        if head.extensions.get::<HasMoved>().is_some_and(HasMoved::get)
            && let Some(connection) = connection.connection_metadata().as_ref()
        {
            // The next request connects anew.
            connection.poison();
        }
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        // An answer that is too long or breaks off says nothing more than its status.
        let body = body.map(|collected| collected.to_bytes()).unwrap_or_default();
        self.outcome(head.status, &head.headers, &body)
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(match self.form {
                Form::Protobuf => "application/x-protobuf",
                Form::Json => "application/json",
            }),
        );
        if let Some(encoding) = self.coding.encoding.name() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        self.headers.add_to(headers);
        request
    }

    /// What the status means (OTLP specification, "Failures" and "Retryable Response Codes").
    fn outcome(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<u64, Refusal> {
        let is_protobuf = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == b"application/x-protobuf");
        if status.is_success() {
            return Ok(if is_protobuf {
                rejected_spans(body, &self.uri)
            } else {
                rejected_of_json(body, self.signal, &self.uri)
            });
        }
        let message = format!("{}: status {status}", self.uri);
        if matches!(status.as_u16(), 429 | 502 | 503 | 504) {
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let hint = seconds.map(|seconds: u32| Duration::from_secs(u64::from(seconds).min(86_400)));
            let hint = hint.or_else(|| is_protobuf.then(|| retry_delay_of_status(body)).flatten());
            return Err(Refusal::retry(RefusalReason::Unavailable, message, hint.unwrap_or_default()));
        }
        Err(Refusal::never(RefusalReason::RejectedByBackend, message))
    }
}

/// `partialSuccess.rejectedSpans`, or what it is called for another signal, of an answer in JSON; 64-bit numbers may be
/// text.
fn rejected_of_json(body: &[u8], signal: Signal, target: &Uri) -> u64 {
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else { return 0 };
    let partial = &answer["partialSuccess"];
    let number = &partial[signal.rejected_key()];
    let rejected = number.as_u64().or_else(|| number.as_str()?.parse().ok()).unwrap_or(0);
    if rejected > 0 {
        let message = partial["errorMessage"].as_str().unwrap_or_default();
        tracing::warn!(%target, rejected, message, "the back end took a request only in part");
    }
    rejected
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
