//! The HTTP server: binds, serves until told to stop.
//!
//! ```text
//! connection → guard (Host, credentials) → /api/v1/… → queries → store, analytics
//!                                        └ anything else → user interface
//! ```

mod connections;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rootspan_store::store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api;
use crate::guard::{Auth, Guard, protect};
use crate::queries::Queries;
use crate::task::spawn;
use crate::ui;

/// Where and for whom.
#[derive(Debug)]
pub struct Config {
    /// The socket.
    pub bind: Bind,
    /// Host names, beside loopback and the bound address, under which browsers may open it.
    pub allowed_hosts: Vec<String>,
    /// Credentials that every request needs.
    pub auth: Option<Auth>,
    /// Encryption; without it there is none.
    pub tls: Option<Tls>,
}

/// Encryption: gives what the next handshake is made with, so that a certificate can change while the server runs.
#[derive(Clone)]
pub struct Tls(pub Arc<dyn Fn() -> TlsConfig + Send + Sync>);

/// What a handshake is made with, as soon as it is known.
pub type TlsConfig = Pin<Box<dyn Future<Output = Arc<rustls::ServerConfig>> + Send>>;

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// The socket to serve on.
#[derive(Debug)]
pub enum Bind {
    /// Bind this; port 0 lets the system choose.
    Address(SocketAddr),
    /// Already bound, by a caller that had to know the port before.
    Listener(TcpListener),
}

/// What is served.
pub struct State {
    /// The traces.
    pub store: Store,
    /// What only the gateway knows.
    pub ingest_figures: IngestFigures,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Reads the gateway's counters; called for each request of `/api/v1/status`, so it must be cheap.
pub type IngestFigures = Arc<dyn Fn() -> Ingest + Send + Sync>;

/// The gateway's counters since the start of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ingest {
    /// Spans that arrived.
    pub spans_received: u64,
    /// Spans lost after they had been accepted, for whatever reason.
    pub dropped_spans: u64,
    /// Spans that were not accepted.
    pub refused_spans: u64,
}

/// Why the server did not start. One sentence each.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else listens there.
    #[error("port {} of {} is in use by another program; stop it or set extensions.ui.endpoint to another port", .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    /// Any other failure of the socket.
    #[error("the user interface cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// The server.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Binds and serves in the background. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] if the socket cannot be had.
    pub fn start(config: Config, state: State) -> Result<Running, StartError> {
        let listener = listen(config.bind)?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: UNKNOWN, source })?;
        let exposed = config.auth.is_none() && !address.ip().to_canonical().is_loopback();
        let warning = exposed.then(|| {
            format!(
                "the user interface and its API listen on {address} without credentials: whoever reaches this \
                 address reads all traces; set extensions.ui.auth, or bind 127.0.0.1"
            )
        });
        let router = router(state, Guard::new(&config.allowed_hosts, config.auth));
        let is_encrypted = config.tls.is_some();
        let (stop, stopped) = watch::channel(());
        let task = spawn("query-server", connections::serve(listener, router, config.tls, stopped));
        Ok(Running { address, warning, is_encrypted, stop, task })
    }
}

/// A server at work. Dropping it stops it without waiting for the requests that are being answered.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    warning: Option<String>,
    is_encrypted: bool,
    /// Closing it is the signal to stop.
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// The bound address, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// What the operator should know; for the caller's log.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Whether this binary contains the user interface.
    #[must_use]
    pub fn has_user_interface(&self) -> bool {
        ui::is_embedded()
    }

    /// Takes no new connections, lets running requests end, and gives up on them after `deadline`.
    pub async fn stop(self, deadline: Duration) {
        drop(self.stop);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(deadline, self.task).await.is_err() {
            tracing::warn!("requests did not end within the deadline and were cut off");
            abort.abort();
        }
    }
}

/// Stands in for an address that the system would not tell.
const UNKNOWN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// Everything that is served, behind the guard.
fn router(state: State, guard: Guard) -> Router {
    let shared = api::Shared::new(Queries::new(state.store), state.ingest_figures);
    let router = api::router(shared).merge(ui::router()).method_not_allowed_fallback(api::method_not_allowed);
    protect(router, guard)
}

fn listen(bind: Bind) -> Result<tokio::net::TcpListener, StartError> {
    let (address, listener) = match bind {
        Bind::Address(address) => (address, TcpListener::bind(address)),
        Bind::Listener(listener) => (listener.local_addr().unwrap_or(UNKNOWN), Ok(listener)),
    };
    let ready = listener.and_then(|listener| {
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    });
    ready.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse(address),
        _ => StartError::Listen { address, source },
    })
}

#[cfg(test)]
mod tests;
