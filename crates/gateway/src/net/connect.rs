//! Connections to back ends: name, TCP, TLS. Each new connection looks the name up again, so a back end that has moved
//! is found as soon as a connection is lost.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::resolve::Resolver;
use super::stream::{Plain, Stream};
use super::tls::client::TlsClient;

/// The only address, or the last of several, has so long to answer; a host that is gone says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An address before the last: the next one is to be tried within the time that an attempt usually has (5 s).
const EARLY_CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);
/// The TLS handshake has so long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to servers.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    resolver: Resolver,
    tls: Option<TlsClient>,
}

impl Connector {
    /// Plain without `tls`.
    pub(crate) fn new(resolver: Resolver, tls: Option<TlsClient>) -> Self {
        Self { resolver, tls }
    }

    /// Connects to the first address of `host` that answers; also says which.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> io::Result<(Stream, SocketAddr)> {
        let host = host.trim_matches(['[', ']']);
        let addresses = self.resolver.addresses(host, port).await?;
        let mut failure = None;
        for (index, address) in addresses.iter().enumerate() {
            let is_last = index + 1 == addresses.len();
            match connect_to(*address, if is_last { CONNECT_TIMEOUT } else { EARLY_CONNECT_TIMEOUT }).await {
                Ok(stream) => return Ok((self.secure(host, stream).await?, *address)),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| io::Error::other("the name has no address")))
    }

    /// Whether `host` has this address now. A look-up that fails says nothing against it.
    pub(crate) async fn still_leads_to(&self, host: &str, address: SocketAddr) -> bool {
        let addresses = self.resolver.addresses(host.trim_matches(['[', ']']), address.port()).await;
        addresses.map_or(true, |addresses| addresses.contains(&address))
    }

    async fn secure(&self, host: &str, stream: Plain) -> io::Result<Stream> {
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.connect(host, stream)).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream?))),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake was not complete in time")),
        }
    }
}

async fn connect_to(address: SocketAddr, limit: Duration) -> io::Result<Plain> {
    match tokio::time::timeout(limit, TcpStream::connect(address)).await {
        Ok(stream) => {
            let stream = stream?;
            // A socket that refuses the option still works.
            drop(stream.set_nodelay(true));
            drop(socket2::SockRef::from(&stream).set_keepalive(true));
            Ok(Plain::Tcp(stream))
        }
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
    }
}

/// A connection as hyper's pool wants it.
#[derive(Debug)]
pub(crate) struct Pooled(TokioIo<Stream>);

impl Connection for Pooled {
    fn connected(&self) -> hyper_util::client::legacy::connect::Connected {
        let connected = hyper_util::client::legacy::connect::Connected::new();
        if self.0.inner().negotiated_http2() { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Pooled {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Pooled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Pooled;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Pooled>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let host = uri.host().ok_or_else(|| io::Error::other("the address has no host"))?;
            let default_port = if connector.tls.is_some() { 443 } else { 80 };
            let (stream, _) = connector.connect(host, uri.port_u16().unwrap_or(default_port)).await?;
            Ok(Pooled(TokioIo::new(stream)))
        })
    }
}
