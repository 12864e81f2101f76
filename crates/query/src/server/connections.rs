//! The accept loop. axum's own has no limits for headers, time and connections, hence hyper directly.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use super::Tls;
use crate::guard::LocalAddress;
use crate::limits;
use crate::task::spawn;

/// After a failed accept: out of file descriptors, mostly, and those come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the sender of `stopped` is dropped, then until the last connection has ended.
pub(super) async fn serve(listener: TcpListener, router: Router, tls: Option<Tls>, mut stopped: watch::Receiver<()>) {
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        // Both branches are cancel-safe: `accept_next` has taken nothing from the socket until it returns.
        let accepted = tokio::select! {
            accepted = accept_next(&listener, &places) => accepted,
            _ = stopped.changed() => break,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(local) = stream.local_addr() else { continue };
        // Answers are written whole; without this the last packet of each would wait.
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
        spawn("query-connection", async move {
            let ended = match tls {
                None => watcher.watch(connection(stream, local, router)).await.map_err(io::Error::other),
                Some(tls) => match handshake(&tls, stream).await {
                    Ok(stream) => watcher.watch(connection(stream, local, router)).await.map_err(io::Error::other),
                    Err(error) => Err(error),
                },
            };
            // A client that breaks off or does not speak HTTP is no event for the operator.
            if let Err(error) = ended {
                tracing::debug!(error = %error, "connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn accept_next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Within its time: whoever says nothing costs no more than a place.
async fn handshake(tls: &Tls, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let shake = async {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        hello.into_stream((tls.0)().await).await
    };
    tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, shake).await.map_err(io::Error::other)?
}

fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    local: SocketAddr,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(LocalAddress(local));
        router.clone().oneshot(request)
    });
    // `half_close` stays off: when the client goes away the request's future is dropped, and with it the query stops.
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_TIMEOUT)
        .max_buf_size(limits::HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
}
