//! An origin, a Firehose endpoint and a viewer, all by hyper.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::emulator::Running;

/// A request that the origin got.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Answers by path; remembers what it was asked.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    arrivals: watch::Receiver<usize>,
}

impl Origin {
    pub(super) async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (arrived, arrivals) = watch::channel(0);
        let (list, arrived) = (Arc::clone(&seen), Arc::new(arrived));
        let address = serve(move |request: Request<Incoming>| {
            let (list, arrived) = (Arc::clone(&list), Arc::clone(&arrived));
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let path = parts.uri.path().to_owned();
                let target = parts.uri.to_string();
                list.lock().expect("not poisoned").push(Seen {
                    method: parts.method.to_string(),
                    target,
                    headers: parts.headers,
                    body,
                });
                arrived.send_modify(|count| *count += 1);
                answer(&path).await
            }
        })
        .await;
        Self { address, seen, arrivals }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// Waits until so many requests have come.
    pub(super) async fn asked(&mut self, count: usize) {
        self.arrivals.wait_for(|arrived| *arrived >= count).await.expect("the origin runs");
    }
}

async fn answer(path: &str) -> Response<Stream> {
    let response = Response::builder();
    let full = |text: &str| Stream::Full(Some(Bytes::copy_from_slice(text.as_bytes())));
    match path {
        "/cached" => response.header("cache-control", "max-age=60").header("x-origin", "yes").body(full("kept")),
        "/error" => response.status(500).body(full("broken")),
        "/missing" => response.status(404).body(full("")),
        "/empty" => response.status(204).body(full("")),
        "/never" => std::future::pending().await,
        "/chunked" => {
            let chunks = VecDeque::from(["one ", "two ", "three"].map(|chunk| Bytes::from_static(chunk.as_bytes())));
            response.header("cache-control", "max-age=60").body(Stream::Chunks(chunks))
        }
        "/endless" => response.body(Stream::Endless),
        "/breaks" => response.body(Stream::Breaks { half: Some(Bytes::from_static(b"half")), is_flushed: false }),
        _ => response.header("content-type", "text/plain").header("connection", "keep-alive").body(full("hello")),
    }
    .expect("valid response")
}

pub(super) enum Stream {
    Full(Option<Bytes>),
    Chunks(VecDeque<Bytes>),
    Endless,
    Breaks { half: Option<Bytes>, is_flushed: bool },
}

impl Body for Stream {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(match &mut *self {
            Self::Full(body) => body.take().filter(|body| !body.is_empty()).map(|body| Ok(Frame::data(body))),
            Self::Chunks(chunks) => chunks.pop_front().map(|chunk| Ok(Frame::data(chunk))),
            Self::Endless => Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))),
            Self::Breaks { half, is_flushed } => match half.take() {
                Some(half) => Some(Ok(Frame::data(half))),
                None if *is_flushed => Some(Err(std::io::Error::other("breaks off"))),
                None => {
                    // hyper writes what it has when a body has nothing to give.
                    *is_flushed = true;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            },
        })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Self::Chunks(_) | Self::Endless | Self::Breaks { .. } => SizeHint::default(),
        }
    }
}

/// A batch that the Firehose endpoint got.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) headers: HeaderMap,
    pub(super) request_id: String,
    pub(super) records: Vec<Value>,
    /// What the endpoint answered.
    pub(super) status: u16,
}

/// What the endpoint does with the next batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// 200 with the right id.
    Good,
    /// This status, with a body that names the batch.
    Status(u16),
    /// 200 with another id.
    WrongId,
    /// 200 with what Firehose does not take for an answer.
    Odd(Odd),
    /// No answer at all.
    Silence,
}

/// Answers that break one rule each.
#[derive(Clone, Copy, Debug)]
pub(super) enum Odd {
    /// Not `application/json`.
    ContentType,
    /// A content encoding.
    Encoded,
    /// By chunks: no content length.
    NoLength,
    /// No JSON.
    NoJson,
    /// No integer.
    Timestamp,
    /// More than 1 MiB.
    TooLong,
}

impl Odd {
    fn answer(self, request_id: &str) -> Response<Stream> {
        let mut body = json!({"requestId": request_id, "timestamp": 1}).to_string();
        let mut response = Response::builder();
        let mut content_type = "application/json";
        match self {
            Self::ContentType => content_type = "text/plain",
            Self::Encoded => response = response.header("content-encoding", "identity"),
            Self::NoLength => {}
            Self::NoJson => body = "ok".to_owned(),
            Self::Timestamp => body = body.replace(":1}", ":1.5}"),
            Self::TooLong => body.push_str(&" ".repeat(1 << 20)),
        }
        let body = Bytes::from(body);
        let is_chunked = matches!(self, Self::NoLength);
        let body = if is_chunked { Stream::Chunks(VecDeque::from([body])) } else { Stream::Full(Some(body)) };
        response.header("content-type", content_type).body(body).expect("valid response")
    }
}

/// A Firehose endpoint with scripted answers; after the script all are good.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    batches: mpsc::Receiver<Batch>,
}

impl Endpoint {
    pub(super) async fn start(script: Vec<Reply>) -> Self {
        let (sender, batches) = mpsc::channel(1000);
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let address = serve(move |request: Request<Incoming>| {
            let (sender, script) = (sender.clone(), Arc::clone(&script));
            async move {
                let reply = script.lock().expect("not poisoned").pop_front().unwrap_or(Reply::Good);
                let (parts, body) = request.into_parts();
                let body = body.collect().await.expect("a whole body").to_bytes();
                let (request_id, records) = decode(&parts.headers, &body);
                let status = match reply {
                    Reply::Good | Reply::WrongId | Reply::Odd(_) => 200,
                    Reply::Status(status) => status,
                    Reply::Silence => 0,
                };
                let named = if matches!(reply, Reply::WrongId) { "another" } else { &request_id }.to_owned();
                let batch = Batch { headers: parts.headers, request_id, records, status };
                sender.send(batch).await.expect("the test is listening");
                if let Reply::Odd(odd) = reply {
                    return odd.answer(&named);
                }
                if matches!(reply, Reply::Silence) {
                    std::future::pending::<()>().await;
                }
                let answer = json!({"requestId": named, "timestamp": 1}).to_string();
                let status = StatusCode::from_u16(status).expect("valid status");
                let response = Response::builder().status(status).header("content-type", "application/json");
                // A redirect that is followed would be taken.
                let response = response.header("location", "/elsewhere");
                response.body(Stream::Full(Some(Bytes::from(answer)))).expect("valid response")
            }
        })
        .await;
        Self { address, batches }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Waits for the next batch.
    pub(super) async fn batch(&mut self) -> Batch {
        self.batches.recv().await.expect("the endpoint runs")
    }

    /// The batches that have come already.
    pub(super) fn rest(&mut self) -> Vec<Batch> {
        std::iter::from_fn(|| self.batches.try_recv().ok()).collect()
    }
}

fn decode(headers: &HeaderMap, body: &[u8]) -> (String, Vec<Value>) {
    let body = if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        let length = u32::from_le_bytes(body[body.len() - 4..].try_into().expect("four bytes"));
        let mut plain = vec![0; length as usize];
        libdeflater::Decompressor::new().gzip_decompress(body, &mut plain).expect("a gzip member");
        plain
    } else {
        body.to_vec()
    };
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert!(body["timestamp"].is_u64());
    let records = body["records"].as_array().expect("records is a list").iter().map(|record| {
        let data = STANDARD.decode(record["data"].as_str().expect("data is text")).expect("base64");
        serde_json::from_slice(&data).expect("a record is JSON")
    });
    (body["requestId"].as_str().expect("requestId is text").to_owned(), records.collect())
}

async fn serve<H, F, B>(handler: H) -> SocketAddr
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Sends a request, reads the whole response, and waits until the emulator has booked it: the ledger is in the order of
/// the test. An error is a body that broke off.
pub(super) async fn get(
    running: &Running,
    request: Request<Full<Bytes>>,
) -> (StatusCode, HeaderMap, Result<Bytes, hyper::Error>) {
    let before = running.ledger().len() as u64;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.expect("a response");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    running.ended(before + 1).await;
    (parts.status, parts.headers, body)
}
