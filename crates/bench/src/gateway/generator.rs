//! The load: requests at planned times, whether earlier ones are answered or not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::codec::Encoding;
use super::grpc::{self, Answer};
use super::payload::Payloads;

/// Connections of gRPC; requests take turns.
const GRPC_CONNECTIONS: usize = 4;
/// Requests under way; further ones are late, not lost.
const MAX_UNDER_WAY: usize = 256;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause before another attempt to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(2);

/// The number of the first request: with 0, the first span's id would be all zeroes, which is none.
pub(super) const FIRST: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    Http,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) protocol: Protocol,
    pub(super) encoding: Encoding,
    pub(super) spans_per_request: usize,
    /// Spans a second.
    pub(super) rate: u64,
    /// Spans in all.
    pub(super) spans: u64,
}

impl Load {
    pub(super) const fn requests(&self) -> u32 {
        (self.spans / self.spans_per_request as u64) as u32
    }
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Numbers of the requests that were accepted.
    pub(super) accepted: Vec<u32>,
    /// Requests refused with a status, and how many of them said when to try again.
    pub(super) refused: u64,
    pub(super) refused_with_delay: u64,
    /// Requests without an answer.
    pub(super) unanswered: u64,
    /// Reasons of both.
    pub(super) reasons: BTreeMap<String, u64>,
    /// From the planned time to the answer.
    pub(super) latencies: Vec<Duration>,
}

/// Sends a whole load to a gateway; `first` is the number of the first request.
pub(super) async fn send(load: Load, ports: (u16, u16), payloads: Arc<Payloads>, first: u32) -> Sent {
    let target = Arc::new(Target::new(load, ports));
    let under_way = Arc::new(Semaphore::new(MAX_UNDER_WAY));
    let sent = Arc::new(Mutex::new(Sent::default()));
    let mut requests = JoinSet::new();
    let started = Instant::now();
    for number in 0..load.requests() {
        let spans = u64::from(number) * load.spans_per_request as u64;
        let planned = started + Duration::from_nanos(spans * 1_000_000_000 / load.rate);
        tokio::time::sleep_until(planned.into()).await;
        while requests.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { break };
        let (target, payloads, sent) = (Arc::clone(&target), Arc::clone(&payloads), Arc::clone(&sent));
        requests.spawn(async move {
            let sequence = first + number;
            let outcome = target.send(number, payloads.request(sequence)).await;
            sent.lock().unwrap_or_else(PoisonError::into_inner).note(sequence, planned.elapsed(), outcome);
            drop(permit);
        });
    }
    while requests.join_next().await.is_some() {}
    let mut sent = std::mem::take(&mut *sent.lock().unwrap_or_else(PoisonError::into_inner));
    sent.latencies.sort_unstable();
    sent
}

impl Sent {
    fn note(&mut self, sequence: u32, latency: Duration, outcome: anyhow::Result<Answer>) {
        match outcome {
            Ok(Answer::Accepted) => {
                self.accepted.push(sequence);
                self.latencies.push(latency);
            }
            Ok(Answer::Refused { reason, may_retry }) => {
                self.refused += 1;
                self.refused_with_delay += u64::from(may_retry);
                *self.reasons.entry(reason).or_default() += 1;
            }
            Err(error) => {
                self.unanswered += 1;
                *self.reasons.entry(error.to_string()).or_default() += 1;
            }
        }
    }

    /// Adds what a later load did.
    pub(super) fn absorb(&mut self, later: Self) {
        self.accepted.extend(later.accepted);
        self.refused += later.refused;
        self.refused_with_delay += later.refused_with_delay;
        self.unanswered += later.unanswered;
        self.latencies.extend(later.latencies);
        for (reason, count) in later.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
    }
}

/// A gateway and the connections to it.
struct Target {
    encoding: Encoding,
    protocol: Protocol,
    grpc: [tokio::sync::Mutex<Option<SendRequest<Bytes>>>; GRPC_CONNECTIONS],
    /// HTTP/1.1 has one request on a connection at a time: there are as many as are needed.
    http: Mutex<Vec<http1::SendRequest<Full<Bytes>>>>,
    authority: String,
}

impl Target {
    fn new(load: Load, (grpc_port, http_port): (u16, u16)) -> Self {
        let port = if load.protocol == Protocol::Grpc { grpc_port } else { http_port };
        Self {
            encoding: load.encoding,
            protocol: load.protocol,
            grpc: Default::default(),
            http: Mutex::default(),
            authority: format!("127.0.0.1:{port}"),
        }
    }

    async fn send(&self, number: u32, body: Vec<u8>) -> anyhow::Result<Answer> {
        let body = self.encoding.compress(body)?;
        let attempt = async {
            match self.protocol {
                Protocol::Grpc => self.send_grpc(number, body).await,
                Protocol::Http => self.send_http(body).await,
            }
        };
        tokio::time::timeout(PATIENCE, attempt).await?
    }

    async fn send_grpc(&self, number: u32, body: Bytes) -> anyhow::Result<Answer> {
        let slot = &self.grpc[number as usize % GRPC_CONNECTIONS];
        let connection = {
            let mut open = slot.lock().await;
            match open.as_ref() {
                Some(connection) => connection.clone(),
                None => open.insert(self.connect().await?).clone(),
            }
        };
        let pieces = grpc::framed(self.encoding != Encoding::None, body)?;
        let answer = grpc::call(&connection, self.encoding, pieces).await;
        if answer.is_err() {
            *slot.lock().await = None;
        }
        answer
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Bytes>> {
        match grpc::connect(&self.authority).await {
            Ok(connection) => Ok(connection),
            Err(error) => {
                tokio::time::sleep(RECONNECT_PAUSE).await;
                Err(error)
            }
        }
    }

    async fn send_http(&self, body: Bytes) -> anyhow::Result<Answer> {
        let idle = self.http.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(&self.authority).await?;
                stream.set_nodelay(true)?;
                let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(async move {
                    let _ended = driver.await;
                });
                connection
            }
        };
        connection.ready().await?;
        let mut request = Request::post("/v1/traces").header("host", "localhost");
        request = request.header("content-type", "application/x-protobuf");
        if self.encoding != Encoding::None {
            request = request.header("content-encoding", self.encoding.name());
        }
        let answer = connection.send_request(request.body(Full::new(body))?).await?;
        let (head, body) = answer.into_parts();
        body.collect().await?;
        self.http.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        if head.status.is_success() {
            return Ok(Answer::Accepted);
        }
        let may_retry = head.headers.contains_key("retry-after");
        Ok(Answer::Refused { reason: format!("status {}", head.status), may_retry })
    }
}

/// Sends one span again and again until it is accepted.
pub(super) async fn probe(grpc_port: u16, payloads: &Payloads, sequence: u32) {
    let authority = format!("127.0.0.1:{grpc_port}");
    loop {
        let attempt = async {
            let connection = grpc::connect(&authority).await?;
            let pieces = grpc::framed(false, payloads.request(sequence).into())?;
            grpc::call(&connection, Encoding::None, pieces).await
        };
        if attempt.await.is_ok_and(|answer| answer == Answer::Accepted) {
            return;
        }
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
}
