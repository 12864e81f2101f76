//! A back end of OTLP over gRPC and HTTP on one port that behaves as a test says, and remembers every span that it said
//! it has. It shares no code with the program: hyper for the protocols, prost for the messages.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::sync::oneshot;

/// How long a busy back end asks to stay away.
pub(crate) const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How a back end behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Takes everything.
    Well,
    /// Takes everything after a while.
    Slow(Duration),
    /// RESOURCE_EXHAUSTED with RetryInfo, 429 with Retry-After.
    Busy,
    /// UNAVAILABLE with RetryInfo, 503 with Retry-After.
    Unavailable,
    /// Resets the connection in the middle of the request.
    Resetting,
    /// Accepts connections and requests, and never answers.
    BlackHole,
    /// INVALID_ARGUMENT, 400.
    Refusing,
    /// An answer that does not end.
    EndlessAnswer,
    /// 503 or UNAVAILABLE with details of so many bytes.
    LongDetails(usize),
}

/// The back end.
#[derive(Debug)]
pub(crate) struct Sink {
    shared: Arc<Shared>,
    address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// Bound, but not listening: connections are refused, and nobody else gets the port.
    closed: Option<Socket>,
}

#[derive(Debug)]
struct Shared {
    mode: Mutex<Mode>,
    seen: Mutex<Seen>,
}

/// What a back end saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// By span: how often it was taken.
    pub(crate) taken: BTreeMap<u64, u32>,
    /// Requests, answered or not.
    pub(crate) requests: u64,
    /// By first span: not to be sent before.
    not_before: BTreeMap<u64, Instant>,
    /// Requests that came again before the time that was asked for.
    pub(crate) too_early: u64,
}

impl Sink {
    /// Listens.
    pub(crate) fn start(mode: Mode) -> Self {
        let mut sink = Self::closed();
        sink.set(mode);
        sink.open();
        sink
    }

    /// Has a port, and refuses connections.
    pub(crate) fn closed() -> Self {
        Self::closed_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port is free")
    }

    /// Has this port, if it is free, and refuses connections.
    pub(crate) fn closed_at(address: SocketAddr) -> Option<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        socket.bind(&address.into()).ok()?;
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
        let shared = Arc::new(Shared { mode: Mutex::new(Mode::Well), seen: Mutex::default() });
        Some(Self { shared, address, running: None, closed: Some(socket) })
    }

    /// Listens from now on.
    pub(crate) fn open(&mut self) {
        let Some(socket) = self.closed.take() else { return };
        socket.listen(1024).expect("the port is ours");
        socket.set_nonblocking(true).expect("it is a socket");
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(socket.into()).expect("it listens");
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        self.running = Some((stop, thread));
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Behaves so from now on.
    pub(crate) fn set(&self, mode: Mode) {
        *lock(&self.shared.mode) = mode;
    }

    /// What it saw.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.shared.seen)
    }

    /// Spans that it has, each once.
    pub(crate) fn spans(&self) -> u64 {
        self.seen().taken.len() as u64
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            drop(thread.join());
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let reset = Arc::new(Notify::new());
    // With a lingering time of zero, dropping the socket sends RST.
    let lingering = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    lingering.expect("it is a socket");
    let asked = Arc::clone(&reset);
    let service = service_fn(move |request| answer(request, Arc::clone(&shared), Arc::clone(&asked)));
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ended = connection => {}
        () = reset.notified() => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    reset: Arc<Notify>,
) -> Result<Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>, hyper::Error> {
    let mode = *lock(&shared.mode);
    let (head, body) = request.into_parts();
    if mode == Mode::Resetting {
        reset.notify_one();
        return std::future::pending().await;
    }
    let body = body.collect().await?.to_bytes();
    let is_grpc = head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let spans = spans_of(&head.headers, &body, is_grpc);
    let first = spans.first().copied().unwrap_or(0);
    {
        let mut seen = lock(&shared.seen);
        seen.requests += 1;
        if seen.not_before.get(&first).is_some_and(|time| Instant::now() < *time) {
            seen.too_early += 1;
        }
    }
    match mode {
        Mode::BlackHole => return std::future::pending().await,
        Mode::Slow(time) => tokio::time::sleep(time).await,
        _ => {}
    }
    let code = match mode {
        Mode::EndlessAnswer => return Ok(endless(is_grpc)),
        Mode::LongDetails(length) => return Ok(long_details(is_grpc, length)),
        Mode::Busy => Code { grpc: 8, http: 429, retries: true },
        Mode::Unavailable => Code { grpc: 14, http: 503, retries: true },
        Mode::Refusing => Code { grpc: 3, http: 400, retries: false },
        _ => Code { grpc: 0, http: 200, retries: false },
    };
    {
        let mut seen = lock(&shared.seen);
        if code.retries {
            seen.not_before.insert(first, Instant::now() + RETRY_DELAY);
        } else if code.grpc == 0 {
            for span in spans {
                *seen.taken.entry(span).or_default() += 1;
            }
        }
    }
    Ok(code.answer(is_grpc))
}

/// The numbers of the spans of a request.
fn spans_of(headers: &HeaderMap, body: &[u8], is_grpc: bool) -> Vec<u64> {
    let encoding = headers.get(if is_grpc { "grpc-encoding" } else { "content-encoding" });
    let encoding = encoding.map(HeaderValue::as_bytes).unwrap_or_default();
    let message = if is_grpc { body.get(5..).expect("a message has a prefix") } else { body };
    let is_compressed = !is_grpc || body[0] == 1;
    let message = match encoding {
        b"gzip" if is_compressed => {
            let mut unpacked = Vec::new();
            flate2::read::MultiGzDecoder::new(message).read_to_end(&mut unpacked).expect("it is gzip");
            unpacked
        }
        b"zstd" if is_compressed => zstd::decode_all(message).expect("it is zstd"),
        _ => message.to_vec(),
    };
    let request = ExportTraceServiceRequest::decode(message.as_slice()).expect("exporters send requests");
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans);
    spans.map(|span| u64::from_be_bytes(span.span_id.as_slice().try_into().expect("eight bytes"))).collect()
}

/// An answer in both protocols.
#[derive(Clone, Copy, Debug)]
struct Code {
    grpc: i32,
    http: u16,
    retries: bool,
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

impl Code {
    fn answer(self, is_grpc: bool) -> Response<Body> {
        if is_grpc { self.grpc() } else { self.http() }
    }

    fn grpc(self) -> Response<Body> {
        let mut response = Response::new(Full::new(Bytes::from_static(&[0; 5])).boxed());
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        if self.grpc != 0 {
            response.headers_mut().insert("grpc-status", HeaderValue::from(self.grpc));
            if self.retries {
                let details = STANDARD_NO_PAD.encode(retry_info(self.grpc));
                let details = HeaderValue::from_str(&details).expect("base64 is ASCII");
                response.headers_mut().insert("grpc-status-details-bin", details);
            }
            *response.body_mut() = Full::default().boxed();
            return response;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(std::future::ready(Some(Ok(trailers))));
        *response.body_mut() = body.boxed();
        response
    }

    fn http(self) -> Response<Body> {
        let mut response = Response::new(Full::default().boxed());
        *response.status_mut() = hyper::StatusCode::from_u16(self.http).expect("a status");
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/x-protobuf"));
        if self.retries {
            response.headers_mut().insert("retry-after", HeaderValue::from(RETRY_DELAY.as_secs()));
        }
        response
    }
}

/// Success in its head, and bytes until the client has enough.
fn endless(is_grpc: bool) -> Response<Body> {
    struct Endless;
    impl hyper::body::Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(&[0; 16 << 10])))))
        }
    }
    let mut response = Response::new(Endless.boxed());
    let kind = if is_grpc { "application/grpc" } else { "application/x-protobuf" };
    response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    response
}

fn long_details(is_grpc: bool, length: usize) -> Response<Body> {
    let mut response = Code { grpc: 14, http: 503, retries: false }.answer(is_grpc);
    let details = HeaderValue::from_str(&"A".repeat(length)).expect("letters");
    response.headers_mut().insert("grpc-status-details-bin", details);
    response
}

/// `google.rpc.Status` with a `google.rpc.RetryInfo`.
fn retry_info(code: i32) -> Vec<u8> {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(message, repeated, tag = "3")]
        details: Vec<Any>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Any {
        #[prost(string, tag = "1")]
        type_url: String,
        #[prost(message, optional, tag = "2")]
        value: Option<RetryInfo>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        retry_delay: Option<Delay>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Delay {
        #[prost(int64, tag = "1")]
        seconds: i64,
    }
    let delay = Delay { seconds: RETRY_DELAY.as_secs().cast_signed() };
    // A message and the bytes that hold it are the same on the wire.
    let any = Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: Some(RetryInfo { retry_delay: Some(delay) }),
    };
    Status { code, details: vec![any] }.encode_to_vec()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
