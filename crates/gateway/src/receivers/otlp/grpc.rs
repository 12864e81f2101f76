//! OTLP over gRPC, on HTTP/2 directly: unary calls with one message each way (gRPC over HTTP/2, "Requests" and
//! "Responses"; OTLP specification, "OTLP/gRPC"). `grpc-timeout` is not enforced: a client that stops waiting cancels.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};

use rootspan_wire::otlp::payload::Signal;
use rootspan_wire::otlp::response::{Code, Status, export_response_protobuf};
use rootspan_wire::otlp::validate::Rejected;

use super::GrpcConfig;
use super::answer::{refusal, status};
use crate::ack::Refusal;
use crate::budget::PaidBuffer;
use crate::context::ClientContext;
use crate::extensions::auth::{Authenticator, Identity};
use crate::ledger::RefusalReason;
use crate::net::body::{BODY_TIMEOUT, BodyError, unpack};
use crate::net::decompress::Compression;
use crate::net::ping;
use crate::net::stop::Stop;
use crate::net::stream::Accepted;
use crate::runtime::ingress::{Ingress, Ingresses, Refused};
use crate::tasks::TaskGroup;

/// The one method of each signal.
const EXPORT_TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const EXPORT_METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const EXPORT_LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// Flag and length before each message.
const PREFIX_BYTES: usize = 5;
/// Bytes that a client may send before they are taken off the connection: what a round trip of 10 ms at 1 Gbit/s needs.
const STREAM_WINDOW: u32 = 1 << 20;
/// … on all streams of a connection together.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Large frames: fewer of them for a large message.
const MAX_FRAME_BYTES: u32 = 64 << 10;
/// Header list of a request; OTLP clients send a few hundred bytes.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// How often to ping if the configuration does not say (grpc-go's default).
const DEFAULT_PING_TIME: Duration = Duration::from_secs(2 * 60 * 60);
/// A peer that has not completed the HTTP/2 preface by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that ends has so long to take its last answers; a peer that hangs must not hold up the process's end.
const LINGER: Duration = Duration::from_secs(2);
/// `grpc-message` is cut to this; proxies refuse long trailers.
const MAX_MESSAGE_BYTES: usize = 1024;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What the connections of one listener share.
#[derive(Debug)]
pub(super) struct Server {
    ingresses: Ingresses,
    max_message_bytes: usize,
    max_concurrent_streams: u32,
    max_idle: Option<Duration>,
    max_age: Option<Duration>,
    age_grace: Option<Duration>,
    /// How often to ping, and how long to wait for the answer.
    pings: (Duration, Duration),
    auth: Option<Arc<Authenticator>>,
    include_metadata: bool,
}

impl Server {
    pub(super) fn new(ingresses: Ingresses, config: &GrpcConfig, auth: Option<Arc<Authenticator>>) -> Self {
        let max_message_bytes =
            usize::try_from(config.max_recv_msg_size_mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
        let parameters = config.keepalive.as_ref().and_then(|keepalive| keepalive.server_parameters.as_ref());
        Self {
            ingresses,
            max_message_bytes,
            max_concurrent_streams: config.max_concurrent_streams,
            max_idle: parameters.and_then(|parameters| parameters.max_connection_idle),
            max_age: parameters.and_then(|parameters| parameters.max_connection_age),
            age_grace: parameters.and_then(|parameters| parameters.max_connection_age_grace),
            pings: parameters
                .map_or((DEFAULT_PING_TIME, ping::DEFAULT_TIMEOUT), |parameters| (parameters.time, parameters.timeout)),
            auth,
            include_metadata: config.include_metadata,
        }
    }
}

/// Serves one connection until the peer closes it, its time is over, or `stop`; requests on their way are finished.
pub(super) async fn serve(accepted: Accepted, server: Arc<Server>, mut stop: Stop) {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_concurrent_streams(server.max_concurrent_streams);
    // A peer that does not speak HTTP/2 is not worth a line of the log.
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, builder.handshake::<_, Bytes>(accepted.stream)).await;
    let Ok(Ok(mut connection)) = handshake else { return };
    let (ping_time, ping_timeout) = server.pings;
    let mut dead = std::pin::pin!(ping::dead(connection.ping_pong(), Some(ping_time), ping_timeout, || true));
    let client = Arc::new(ClientContext { address: accepted.peer.map(|peer| peer.ip()), ..ClientContext::default() });
    let mut requests = TaskGroup::new("otlp grpc request");
    let mut stopping = false;
    let mut age = std::pin::pin!(sleep(server.max_age));
    let mut grace = std::pin::pin!(sleep(None));
    loop {
        // All branches are cancel-safe; the idle time begins anew with every turn.
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    requests.start(answer(request, respond, Arc::clone(&server), Arc::clone(&client)));
                }
                Some(Err(_)) | None => break,
            },
            () = requests.ended(), if requests.len() > 0 => {}
            () = stop.stopped(), if !stopping => {
                stopping = true;
                connection.graceful_shutdown();
            }
            () = sleep(server.max_idle), if !stopping && requests.len() == 0 => {
                stopping = true;
                connection.graceful_shutdown();
            }
            () = age.as_mut(), if !stopping => {
                stopping = true;
                connection.graceful_shutdown();
                grace.set(sleep(server.age_grace));
            }
            () = sleep(Some(LINGER)), if stopping && requests.len() == 0 => break,
            () = grace.as_mut() => break,
            () = dead.as_mut() => break,
        }
    }
}

/// Sleeps; for ever if there is no time.
async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Answers one request. What cannot be sent is for a client that went away.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    server: Arc<Server>,
    client: Arc<ClientContext>,
) {
    if let Some(response) = not_grpc(&request) {
        drop(respond.send_response(response, true));
        return;
    }
    match receive(request, &server, client).await {
        Ok(rejected) => send_success(&mut respond, &rejected),
        Err(status) => drop(respond.send_response(trailers_only(&status), true)),
    }
}

/// A request that no gRPC client sends is answered in plain HTTP.
fn not_grpc(request: &Request<RecvStream>) -> Option<Response<()>> {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let status = if !content_type.starts_with(b"application/grpc") {
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    } else if request.method() != Method::POST {
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        return None;
    };
    let mut response = Response::new(());
    *response.status_mut() = status;
    Some(response)
}

/// The way for the signal of a method.
fn ingress_of<'s>(path: &str, server: &'s Server) -> Result<&'s Ingress, Status> {
    let signal = match path {
        EXPORT_TRACES => Signal::Traces,
        EXPORT_METRICS => Signal::Metrics,
        EXPORT_LOGS => Signal::Logs,
        _ => return Err(status(Code::Unimplemented, format!("unknown method {path}: this is a receiver of OTLP"))),
    };
    let without = || format!("no pipeline takes {} from this receiver", signal.name());
    server.ingresses.of(signal).ok_or_else(|| status(Code::Unimplemented, without()))
}

/// Before anything else of the request is looked at.
async fn authenticate(auth: &Authenticator, head: &Parts, server: &Server) -> Result<Identity, Status> {
    auth.authenticate(&head.headers).await.map_err(|denied| {
        if let Ok(ingress) = ingress_of(head.uri.path(), server) {
            ingress.refused_request(denied.reason());
        }
        super::answer::denied(denied)
    })
}

/// Receives one request and waits until its spans are settled.
async fn receive(
    request: Request<RecvStream>,
    server: &Server,
    client: Arc<ClientContext>,
) -> Result<Rejected, Status> {
    let (head, mut body) = request.into_parts();
    let identity = match &server.auth {
        Some(auth) => Some(authenticate(auth, &head, server).await?),
        None => None,
    };
    let client = client.of_request(server.include_metadata.then_some(&head), identity);
    let ingress = &ingress_of(head.uri.path(), server)?.of_client(client);
    if !matches!(
        head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes),
        Some(b"application/grpc" | b"application/grpc+proto")
    ) {
        return Err(status(Code::Unimplemented, "only the protobuf codec is supported"));
    }
    let encoding = head.headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
    let Ok(compression) = Compression::of_grpc(encoding) else {
        let message = format!("unsupported grpc-encoding {}", String::from_utf8_lossy(encoding));
        return Err(status(Code::Unimplemented, message));
    };
    let read = tokio::time::timeout(BODY_TIMEOUT, read_message(&mut body, ingress, server)).await;
    let broken = || status(Code::Internal, "the request was not complete in time");
    let (compressed, message) = read.map_err(|_| broken())??;
    let compression = match (compressed, compression) {
        (false, _) => None,
        (true, Some(compression)) => Some(compression),
        (true, None) => {
            return Err(malformed(ingress, "the message is compressed, but grpc-encoding does not say how"));
        }
    };
    let budget = ingress.budget();
    let message = match unpack(compression, message, server.max_message_bytes, budget).await {
        Ok(message) => message,
        Err(BodyError::TooLarge) => return Err(too_large(ingress, server, None)),
        Err(BodyError::Exhausted) => return Err(exhausted(ingress)),
        Err(BodyError::Corrupt(reason)) => {
            return Err(malformed(ingress, format!("the message cannot be decompressed: {reason}")));
        }
        Err(BodyError::Broken) => return Err(malformed(ingress, "the message was not complete in time")),
    };
    ingress.send_otlp(message).await.map_err(|refused| match refused {
        Refused::Malformed(reason) => status(Code::InvalidArgument, reason),
        Refused::NotNow(reason) => refusal(reason),
    })
}

/// Reads the one message of a request: whether it is compressed, and its bytes as sent.
async fn read_message(body: &mut RecvStream, ingress: &Ingress, server: &Server) -> Result<(bool, PaidBuffer), Status> {
    let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
    let mut message: Option<(bool, usize, PaidBuffer)> = None;
    while let Some(data) = body.data().await {
        let mut data = data.map_err(|_| status(Code::Internal, "the request was cut off"))?;
        let received = data.len();
        if message.is_none() {
            let missing = (PREFIX_BYTES - prefix.len()).min(data.len());
            prefix.put(data.split_to(missing));
            if prefix.len() == PREFIX_BYTES {
                message = Some(begin_message(&prefix, ingress, server)?);
            }
        }
        if let Some((_, length, buffer)) = &mut message {
            if buffer.as_ref().len() + data.len() > *length {
                return Err(malformed(ingress, "the request has more than one message"));
            }
            buffer.append(&data, *length).map_err(|_| exhausted(ingress))?;
        }
        // The window opens again only for what has been paid for.
        let released = body.flow_control().release_capacity(received);
        released.map_err(|_| status(Code::Internal, "the request was cut off"))?;
    }
    match message {
        Some((compressed, length, buffer)) if buffer.as_ref().len() == length => Ok((compressed, buffer)),
        _ => Err(malformed(ingress, "the request ends before its message does")),
    }
}

/// Reads the prefix and pays for the message.
fn begin_message(prefix: &[u8], ingress: &Ingress, server: &Server) -> Result<(bool, usize, PaidBuffer), Status> {
    let mut prefix = prefix;
    let flag = prefix.get_u8();
    let length = prefix.get_u32() as usize;
    if flag > 1 {
        return Err(malformed(ingress, "the message does not begin as gRPC's do"));
    }
    if length > server.max_message_bytes {
        return Err(too_large(ingress, server, Some(length)));
    }
    let buffer = PaidBuffer::with_capacity(ingress.budget(), length).map_err(|_| exhausted(ingress))?;
    Ok((flag == 1, length, buffer))
}

fn malformed(ingress: &Ingress, message: impl Into<String>) -> Status {
    ingress.refused_request(RefusalReason::Malformed);
    status(Code::InvalidArgument, message)
}

fn exhausted(ingress: &Ingress) -> Status {
    ingress.refused_request(RefusalReason::MemoryLimit);
    refusal(Refusal::memory_limit())
}

/// Without a delay: the client must not send the same again.
fn too_large(ingress: &Ingress, server: &Server, length: Option<usize>) -> Status {
    ingress.refused_request(RefusalReason::TooLarge);
    let limit = server.max_message_bytes;
    let message = match length {
        Some(length) => {
            format!("the message of {length} bytes is longer than the limit of {limit} (max_recv_msg_size_mib)")
        }
        None => {
            format!("the message is longer than the limit of {limit} bytes when decompressed (max_recv_msg_size_mib)")
        }
    };
    status(Code::ResourceExhausted, message)
}

fn send_success(respond: &mut SendResponse<Bytes>, rejected: &Rejected) {
    let message = export_response_protobuf(rejected);
    let mut data = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    data.put_u8(0);
    data.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    data.put_slice(&message);
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    // The answer fits every window; h2 queues it if the peer allows none.
    let Ok(mut stream) = respond.send_response(response, false) else { return };
    if stream.send_data(data.freeze(), false).is_ok() {
        drop(stream.send_trailers(trailers));
    }
}

/// A refusal: everything in the headers ("Trailers-Only").
fn trailers_only(status: &Status) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from(status.code as u16));
    if let Ok(message) = HeaderValue::from_str(&percent_encode(&status.message)) {
        headers.insert(GRPC_MESSAGE, message);
    }
    if status.retry_after.is_some()
        && let Ok(details) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(status.to_protobuf()))
    {
        headers.insert(GRPC_DETAILS, details);
    }
    if status.code == Code::Unimplemented {
        headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("identity,gzip,zstd,snappy,deflate"));
    }
    response
}

/// `grpc-message`: printable ASCII but the percent sign stays, every other byte is `%XX`.
fn percent_encode(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        if encoded.len() + 3 > MAX_MESSAGE_BYTES {
            break;
        }
        if (0x20..=0x7e).contains(&byte) && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}
