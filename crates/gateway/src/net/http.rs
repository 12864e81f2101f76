//! HTTP servers: HTTP/1.1 and HTTP/2 on one port, with and without TLS, with limits, until told to stop.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::time::Instant;

use super::stall::Stalling;
use super::stop::Stop;
use super::stream::Stream;
use crate::tasks::HyperExecutor;

/// A client that has not sent its headers by then is cut off, a connection that is idle for so long is ended (the
/// collector's `read_header_timeout` and `idle_timeout`).
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// A client that does not read its answer for so long is cut off (the collector's `write_timeout`).
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest header section; OTLP and Firehose need a tenth.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// Requests of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 256;

/// An answer; bodies are small.
pub(crate) type Answer = Response<Full<Bytes>>;

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// For the headers of a request, and for the next request on the connection.
    pub(crate) header_timeout: Duration,
    /// To be without a request; `None`: for ever.
    pub(crate) idle_timeout: Option<Duration>,
    /// Not to read an answer; `None`: for ever.
    pub(crate) write_timeout: Option<Duration>,
    /// Whether there is a next request on the connection.
    pub(crate) keep_alive: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            header_timeout: HEADER_TIMEOUT,
            idle_timeout: Some(HEADER_TIMEOUT),
            write_timeout: Some(WRITE_TIMEOUT),
            keep_alive: true,
        }
    }
}

/// When a connection was last of use.
struct Activity {
    begin: Instant,
    /// Requests that are being answered.
    answering: AtomicUsize,
    /// Milliseconds from `begin` to the last answer.
    last_answer: AtomicU64,
}

/// One request that is being answered.
struct Answering(Arc<Activity>);

impl Answering {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.answering.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(activity))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let since_begin = u64::try_from(self.0.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_answer.store(since_begin, Ordering::Release);
        self.0.answering.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Activity {
    /// Waits until nothing was answered for so long. Cancel-safe.
    async fn idle(&self, timeout: Option<Duration>) {
        let Some(timeout) = timeout else { return std::future::pending().await };
        loop {
            let last = self.begin + Duration::from_millis(self.last_answer.load(Ordering::Acquire));
            let until = if self.answering.load(Ordering::Acquire) > 0 { Instant::now() } else { last } + timeout;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Serves one connection.
pub(crate) async fn serve<F>(
    stream: Stream,
    mut stop: Stop,
    settings: Settings,
    handle: impl Fn(Request<Incoming>) -> F,
) where
    F: Future<Output = Answer> + Send + 'static,
{
    let mut builder = auto::Builder::new(HyperExecutor);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .keep_alive(settings.keep_alive)
        .max_buf_size(MAX_HEADER_BYTES as usize);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(MAX_HEADER_BYTES).max_concurrent_streams(MAX_STREAMS);
    let activity =
        Arc::new(Activity { begin: Instant::now(), answering: AtomicUsize::new(0), last_answer: AtomicU64::new(0) });
    let service = service_fn(|request| {
        let answering = Answering::begin(&activity);
        let answer = handle(request);
        async move {
            let answer = answer.await;
            drop(answering);
            Ok::<_, Infallible>(answer)
        }
    });
    let stream = Stalling::new(stream, settings.write_timeout);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut idle = pin!(activity.idle(settings.idle_timeout));
    let mut stopping = false;
    loop {
        // All branches are cancel-safe: the connection is polled again, the signal stays.
        tokio::select! {
            // An error is the peer's: it went away or does not speak HTTP.
            _ended = connection.as_mut() => return,
            () = stop.stopped(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = idle.as_mut(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// An answer with a body.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer in plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", body)
}

/// Whole seconds for `Retry-After`, at least one.
pub(crate) fn retry_after(delay: Duration) -> HeaderValue {
    HeaderValue::from(delay.as_millis().div_ceil(1000).clamp(1, 3600) as u64)
}
