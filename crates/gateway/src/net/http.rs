//! HTTP servers: HTTP/1.1 and HTTP/2 on one port, with and without TLS, with limits, until told to stop.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;

use super::stop::Stop;
use super::stream::Stream;
use crate::tasks::HyperExecutor;

/// A client that has not sent its headers by then is cut off (the collector's `read_header_timeout`).
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest header section; OTLP and Firehose need a tenth.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// Requests of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 256;

/// An answer; bodies are small.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Serves one connection.
pub(crate) async fn serve<F>(
    stream: Stream,
    mut stop: Stop,
    header_timeout: Duration,
    handle: impl Fn(Request<Incoming>) -> F,
) where
    F: Future<Output = Answer> + Send + 'static,
{
    let mut builder = auto::Builder::new(HyperExecutor);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER_BYTES as usize);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(MAX_HEADER_BYTES).max_concurrent_streams(MAX_STREAMS);
    let service = service_fn(|request| {
        let answer = handle(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stopping = false;
    loop {
        // Both branches are cancel-safe: the connection is polled again, the signal stays.
        tokio::select! {
            // An error is the peer's: it went away or does not speak HTTP.
            _ended = connection.as_mut() => return,
            () = stop.stopped(), if !stopping => {
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
