//! Sends encoded requests over OTLP/gRPC and notes when each was acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// The method of OTLP's trace service.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// One HTTP/2 connection.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    connection: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Sender {
    /// Connects to `host:port`.
    pub(crate) async fn connect(authority: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(authority).await.with_context(|| format!("cannot connect to {authority}"))?;
        stream.set_nodelay(true)?;
        let (connection, driver) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .max_frame_size(1 << 20)
            .handshake(TokioIo::new(stream))
            .await?;
        // The driver ends with the connection; a kill in mid-load ends it with an error that the request reports too.
        tokio::spawn(async move {
            let _ended = driver.await;
        });
        Ok(Self { connection, authority: authority.to_owned() })
    }

    /// Sends one request; `Ok` means acknowledged.
    pub(crate) async fn send(&self, payload: &Bytes) -> anyhow::Result<()> {
        let mut framed = BytesMut::with_capacity(payload.len() + 5);
        framed.put_u8(0);
        framed.put_u32(u32::try_from(payload.len())?);
        framed.put_slice(payload);
        let request = Request::post(format!("http://{}{EXPORT}", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(framed.freeze()))?;
        let mut connection = self.connection.clone();
        connection.ready().await?;
        let answer = connection.send_request(request).await?;
        let headers = answer.headers().clone();
        let body = answer.into_body().collect().await?;
        let status = body.trailers().and_then(|trailers| trailers.get("grpc-status")).or(headers.get("grpc-status"));
        match status.map(http::HeaderValue::as_bytes) {
            Some(b"0") => Ok(()),
            other => bail!("grpc-status {:?}", other.map(String::from_utf8_lossy)),
        }
    }
}

/// What a load did.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Time from (planned) sending to acknowledgement, one a request, sorted.
    pub(crate) latencies: Vec<Duration>,
    /// Which requests were acknowledged.
    pub(crate) acknowledged: Vec<usize>,
    /// From the first to the last.
    pub(crate) wall: Duration,
    /// Requests refused or broken off.
    pub(crate) failed: usize,
}

/// Sends all `payloads`: `in_flight` at once as fast as they are acknowledged, or one every `interval`.
pub(crate) async fn load(
    authority: &str,
    payloads: Arc<Vec<Bytes>>,
    in_flight: usize,
    interval: Option<Duration>,
) -> anyhow::Result<Sent> {
    let sender = Sender::connect(authority).await?;
    let permits = Arc::new(Semaphore::new(in_flight));
    let mut requests = tokio::task::JoinSet::new();
    let started = Instant::now();
    for index in 0..payloads.len() {
        let planned = interval.map(|interval| started + interval * u32::try_from(index).unwrap_or(u32::MAX));
        if let Some(planned) = planned {
            tokio::time::sleep_until(planned.into()).await;
        }
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let (sender, payloads) = (sender.clone(), Arc::clone(&payloads));
        requests.spawn(async move {
            let from = planned.unwrap_or_else(Instant::now);
            let outcome = sender.send(&payloads[index]).await;
            drop(permit);
            (index, from.elapsed(), outcome)
        });
    }
    let mut sent = Sent::default();
    while let Some(done) = requests.join_next().await {
        let (index, latency, outcome) = done?;
        match outcome {
            Ok(()) => {
                sent.latencies.push(latency);
                sent.acknowledged.push(index);
            }
            Err(_) => sent.failed += 1,
        }
    }
    sent.wall = started.elapsed();
    sent.latencies.sort_unstable();
    Ok(sent)
}

/// The value below which `share` (0 to 1) of the sorted values lie.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
