//! Connections to back ends: name, TCP, TLS. Each new connection looks the name up again, so a back end that has moved
//! is found as soon as a connection is lost.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::resolve::Resolver;
use super::stream::{Plain, Stream};
use super::tls::client::TlsClient;
use crate::tasks::{self, Task};

/// The only address, or the last of several, has so long to answer; a host that is gone says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An address before the last: the next one is to be tried within the time that an attempt usually has (5 s).
const EARLY_CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);
/// How often the name of an open connection is looked up again, as grpc-go's resolver may.
const LOOK_UP_PERIOD: Duration = Duration::from_secs(30);
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

    /// Waits until `host` leads elsewhere than to this address. A look-up that fails says nothing against it.
    pub(crate) async fn moved(&self, host: &str, address: SocketAddr) {
        let host = host.trim_matches(['[', ']']);
        loop {
            tokio::time::sleep(LOOK_UP_PERIOD).await;
            let addresses = self.resolver.addresses(host, address.port()).await;
            if addresses.is_ok_and(|addresses| !addresses.contains(&address)) {
                tracing::info!(%host, %address, "the back end's name leads elsewhere: connecting anew");
                return;
            }
        }
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
pub(crate) struct Pooled {
    io: TokioIo<Stream>,
    has_moved: HasMoved,
    /// Ends with the connection.
    _watcher: Task,
}

/// Whether the name of a connection leads elsewhere by now. Each answer carries it among its extensions: whoever reads
/// the answer then takes the connection out of the pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct HasMoved(Arc<AtomicBool>);

impl HasMoved {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Pooled {
    fn new(connector: Connector, host: String, stream: Stream, address: SocketAddr) -> Self {
        let has_moved = HasMoved::default();
        let watched = has_moved.clone();
        let watcher = tasks::start("name of a back end", async move {
            connector.moved(&host, address).await;
            watched.0.store(true, Ordering::Release);
        });
        Self { io: TokioIo::new(stream), has_moved, _watcher: watcher }
    }
}

impl Connection for Pooled {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.has_moved.clone());
        if self.io.inner().negotiated_http2() { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Pooled {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Pooled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
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
            let (stream, address) = connector.connect(host, uri.port_u16().unwrap_or(default_port)).await?;
            let host = host.to_owned();
            Ok(Pooled::new(connector, host, stream, address))
        })
    }
}
