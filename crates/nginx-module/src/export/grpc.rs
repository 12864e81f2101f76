//! OTLP over gRPC: one HTTP/2 connection, on a runtime of this thread that runs only while something is sent.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::{Answer, rejected_spans};
use crate::config::ExporterConfig;

/// The method of OTLP's service.
const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Longest response that is read.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// Sends requests to one endpoint.
#[derive(Debug)]
pub(super) struct Client {
    config: ExporterConfig,
    /// Made by the thread, when it sends for the first time.
    runtime: Option<Runtime>,
    connection: Option<SendRequest<Bytes>>,
}

impl Client {
    pub(super) fn new(config: &ExporterConfig) -> Self {
        Self { config: config.clone(), runtime: None, connection: None }
    }

    /// Sends one request and reads the answer.
    ///
    /// # Errors
    ///
    /// If there is no answer before `deadline`. A connection that was kept and fails is replaced once: nobody answers the
    /// collector's pings while nothing is sent, so it may be gone.
    pub(super) fn post(&mut self, body: [&[u8]; 2], deadline: Instant) -> io::Result<Answer> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => Builder::new_current_thread().enable_io().enable_time().build()?,
        };
        let message = framed(body);
        let deadline = tokio::time::Instant::from_std(deadline);
        let outcome = runtime.block_on(async { tokio::time::timeout_at(deadline, self.send(message)).await });
        self.runtime = Some(runtime);
        let answer = outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn send(&mut self, message: Bytes) -> io::Result<Answer> {
        if let Some(kept) = self.connection.take()
            && let Ok(answer) = self.exchange(kept, message.clone()).await
        {
            return Ok(answer);
        }
        let connection = self.connect().await?;
        self.exchange(connection, message).await
    }

    async fn exchange(&mut self, connection: SendRequest<Bytes>, message: Bytes) -> io::Result<Answer> {
        let mut connection = connection.ready().await.map_err(into_io)?;
        let (response, mut body) = connection.send_request(self.request()?, false).map_err(into_io)?;
        body.send_data(message, true).map_err(into_io)?;
        let response = response.await.map_err(into_io)?;
        let answer = answer(response).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    fn request(&self) -> io::Result<Request<()>> {
        let endpoint = &self.config.endpoint;
        let scheme = if endpoint.uses_tls { "https" } else { "http" };
        let mut request = Request::post(format!("{scheme}://{}{PATH}", endpoint.authority))
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .header("user-agent", concat!("rootspan-nginx/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.config.headers {
            request = request.header(name, value);
        }
        request.body(()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    async fn connect(&self) -> io::Result<SendRequest<Bytes>> {
        let endpoint = &self.config.endpoint;
        let connection = TcpStream::connect(&endpoint.authority).await?;
        connection.set_nodelay(true)?;
        let Some(tls) = &self.config.tls else { return handshake(connection).await };
        let name = ServerName::try_from(endpoint.host().to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        handshake(tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, connection).await?).await
    }
}

async fn handshake<T>(connection: T) -> io::Result<SendRequest<Bytes>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = h2::client::handshake(connection).await.map_err(into_io)?;
    // Its end shows in the next use of `sender`.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// gRPC's frame: not compressed, length, message.
fn framed(body: [&[u8]; 2]) -> Bytes {
    let length = body[0].len() + body[1].len();
    let mut message = BytesMut::with_capacity(5 + length);
    message.put_u8(0);
    message.put_u32(u32::try_from(length).expect("a batch is far below 4 GiB"));
    message.put_slice(body[0]);
    message.put_slice(body[1]);
    message.freeze()
}

async fn answer(response: http::Response<h2::RecvStream>) -> io::Result<Answer> {
    let (head, mut body) = response.into_parts();
    if head.status != 200 {
        // Something in between answered.
        return Ok(Answer::of_status(head.status.as_u16(), None));
    }
    let mut received = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(into_io)?;
        body.flow_control().release_capacity(part.len()).map_err(into_io)?;
        if received.len() + part.len() > MAX_RESPONSE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the response is too long"));
        }
        received.put(part);
    }
    let trailers = body.trailers().await.map_err(into_io)?;
    // An answer without a message has its status in the head.
    let trailers = trailers.as_ref().unwrap_or(&head.headers);
    let message = received.get(5..).unwrap_or_default();
    Ok(of_code(trailers, rejected_spans(message)))
}

/// What the specification says of gRPC's codes ("Failures", OTLP/gRPC).
fn of_code(trailers: &HeaderMap, rejected: u64) -> Answer {
    let code = trailers.get("grpc-status").and_then(|code| code.to_str().ok()?.parse::<u32>().ok());
    match code {
        Some(0) => Answer::Accepted { rejected },
        // Cancelled, deadline exceeded, aborted, out of range, unavailable, data loss.
        Some(1 | 4 | 10 | 11 | 14 | 15) => Answer::Later { after: None },
        // Resource exhausted: only if the collector says that it is worth another try.
        Some(8) if trailers.contains_key("grpc-status-details-bin") => Answer::Later { after: None },
        _ => Answer::Refused,
    }
}

fn into_io(error: h2::Error) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests;
