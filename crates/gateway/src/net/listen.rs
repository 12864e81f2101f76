//! Listening sockets and the loop that accepts connections. The loop does nothing that could fail or wait for a peer:
//! handshakes belong to the connection's task.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::stop::Stop;
use super::stream::{Accepted, Plain, Stream};
use super::tls::ServerTlsConfig;
use super::tls::server::TlsServer;
use crate::config::values::{Endpoint, ListenAddress};
use crate::files;
use crate::tasks::TaskGroup;

/// Connections that one listener serves at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// Pause after a failed accept (out of file descriptors, mostly); the loop itself never ends for one.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// How often failed accepts are said.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(10);
/// A peer that has not completed the TLS handshake by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes of one listener that compute at once, each a signature of a millisecond or so; further ones wait their
/// turn. Peers that have said nothing yet are not among them.
const MAX_HANDSHAKES: usize = 64;

/// Why the gateway cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("{what} cannot listen on {endpoint}: the address is in use by another program; stop it or change `{key}`")]
    InUse {
        /// Which part.
        what: String,
        /// The address.
        endpoint: String,
        /// The configuration key.
        key: String,
    },
    /// Another reason.
    #[error("{what} cannot listen on {endpoint}: {reason}; change `{key}`")]
    Other {
        /// Which part.
        what: String,
        /// The address.
        endpoint: String,
        /// The system's words.
        reason: String,
        /// The configuration key.
        key: String,
    },
    /// Certificate, key or authorities cannot be used.
    #[error("{what} cannot use `{key}`: {reason}")]
    Tls {
        /// Which part.
        what: String,
        /// The configuration key.
        key: String,
        /// Which file, and what is wrong with it.
        reason: String,
    },
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    /// As configured.
    configured: ListenAddress,
    /// Shared while one server takes over from another at the same address: no connection is turned away in between.
    socket: Arc<Socket>,
    tls: Option<TlsServer>,
}

/// Sockets whose servers are about to stop: who is to listen at the same address next takes them over.
#[derive(Debug, Default)]
pub(crate) struct HandOver(Mutex<Vec<Offered>>);

/// A socket that listens where somebody configured it.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    configured: ListenAddress,
    socket: Weak<Socket>,
}

impl HandOver {
    /// Of these sockets. A port that the system chose is nobody's to ask for.
    pub(crate) fn new(sockets: Vec<Offered>) -> Self {
        let is_chosen =
            |socket: &Offered| matches!(&socket.configured, ListenAddress::Tcp(endpoint) if endpoint.port == 0);
        Self(Mutex::new(sockets.into_iter().filter(|socket| !is_chosen(socket)).collect()))
    }

    fn take(&self, address: &ListenAddress) -> Option<Arc<Socket>> {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = sockets.iter().position(|socket| socket.configured == *address)?;
        sockets.swap_remove(found).socket.upgrade()
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener, SocketAddr),
    Unix { listener: UnixListener, _path: OwnPath },
}

/// A socket's path, which goes with it.
#[derive(Debug)]
struct OwnPath(PathBuf);

impl Drop for OwnPath {
    fn drop(&mut self) {
        // Whoever comes next would find a socket that nobody listens on, and removes it.
        drop(files::remove(&self.0));
    }
}

impl Listener {
    /// Listens on `endpoint`. `what` and the configuration `key` are for the message if it cannot.
    pub(crate) async fn bind(
        hand_over: &HandOver,
        endpoint: &Endpoint,
        what: &str,
        key: &str,
    ) -> Result<Self, ListenError> {
        Self::bind_any(hand_over, &ListenAddress::Tcp(endpoint.clone()), what, key).await
    }

    /// The same where a socket in the file system may be meant.
    pub(crate) async fn bind_any(
        hand_over: &HandOver,
        address: &ListenAddress,
        what: &str,
        key: &str,
    ) -> Result<Self, ListenError> {
        let socket = match (hand_over.take(address), address) {
            (Some(socket), _) => socket,
            (None, ListenAddress::Tcp(endpoint)) => {
                Arc::new(bind(endpoint).await.map_err(|error| not_listening(&error, what, address, key))?)
            }
            (None, ListenAddress::Unix(path)) => {
                let socket = bind_unix(path).await.map_err(|error| not_listening(&error, what, address, key))?;
                tracing::info!(socket = %path.display(), "{what} listens");
                Arc::new(socket)
            }
        };
        Ok(Self { configured: address.clone(), socket, tls: None })
    }

    /// Its socket, for a server that takes over.
    pub(crate) fn offered(&self) -> Offered {
        Offered { configured: self.configured.clone(), socket: Arc::downgrade(&self.socket) }
    }

    /// The address, with the port that the system chose if the configured one is 0; `None` of a Unix socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &*self.socket {
            Socket::Tcp(_, address) => Some(*address),
            Socket::Unix { .. } => None,
        }
    }

    /// Serves under TLS if there is a section `tls` under `key`. `protocols` are those of ALPN.
    pub(crate) fn with_tls(
        self,
        config: Option<&ServerTlsConfig>,
        protocols: &'static [&'static [u8]],
        what: &str,
        key: &str,
    ) -> Result<Self, ListenError> {
        let load = |config| {
            TlsServer::load(config, what, protocols).map_err(|reason| ListenError::Tls {
                what: what.to_owned(),
                key: format!("{key}.tls"),
                reason,
            })
        };
        Ok(Self { tls: config.map(load).transpose()?, ..self })
    }

    /// Accepts connections until told to stop, then waits until each has ended. `serve` gets each connection.
    pub(crate) async fn run<S, F>(self, name: &'static str, mut stop: Stop, serve: S)
    where
        S: Fn(Accepted) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut connections = TaskGroup::new(name);
        let serve = Arc::new(serve);
        let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        let mut complained = None;
        loop {
            // All branches are cancel-safe.
            tokio::select! {
                () = stop.stopped() => break,
                () = connections.ended(), if connections.len() > 0 => {}
                accepted = self.socket.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, peer)) => {
                        let serve = Arc::clone(&serve);
                        match self.tls.clone() {
                            None => connections.start(serve(Accepted { stream: Stream::Plain(stream), peer })),
                            Some(tls) => {
                                let (stop, handshakes) = (stop.clone(), Arc::clone(&handshakes));
                                connections.start(async move {
                                    if let Some(stream) = handshake(&tls, stream, &handshakes, stop).await {
                                        serve(Accepted { stream, peer }).await;
                                    }
                                });
                            }
                        }
                    }
                    Err(error) => {
                        // Out of descriptors it fails each time, until connections end.
                        if complained.is_none_or(|last: Instant| last.elapsed() >= COMPLAINT_PERIOD) {
                            tracing::warn!(server = name, %error, "accept failed; trying again until it succeeds");
                            complained = Some(Instant::now());
                        }
                        tokio::time::sleep(ACCEPT_BACK_OFF).await;
                    }
                },
            }
        }
        drop(self.socket);
        connections.join().await;
    }
}

impl Socket {
    /// Cancel-safe.
    async fn accept(&self) -> io::Result<(Plain, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener, _) => {
                let (stream, peer) = listener.accept().await?;
                Ok((plain(stream), Some(peer)))
            }
            Self::Unix { listener, .. } => Ok((Plain::Unix(listener.accept().await?.0), None)),
        }
    }
}

fn not_listening(error: &io::Error, what: &str, endpoint: &dyn std::fmt::Display, key: &str) -> ListenError {
    let (what, endpoint, key) = (what.to_owned(), endpoint.to_string(), key.to_owned());
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { what, endpoint, key },
        _ => ListenError::Other { what, endpoint, reason: error.to_string(), key },
    }
}

fn plain(stream: TcpStream) -> Plain {
    // Answers are small and waited for. A socket that refuses the option still works.
    drop(stream.set_nodelay(true));
    // A peer that vanished without a word is found by the kernel, after its own time.
    drop(socket2::SockRef::from(&stream).set_keepalive(true));
    Plain::Tcp(stream)
}

/// The TLS handshake, within its time and not when everything stops. A peer that cannot is not worth a line of the log.
async fn handshake(tls: &TlsServer, stream: Plain, handshakes: &Semaphore, mut stop: Stop) -> Option<Stream> {
    let shake = async {
        let hello = tls.hello(stream).await?;
        let _turn = handshakes.acquire().await.map_err(io::Error::other)?;
        tls.accept(hello).await
    };
    tokio::select! {
        () = stop.stopped() => None,
        shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, shake) => match shaken {
            Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                None
            }
            Err(_) => None,
        },
    }
}

/// A path at which nobody listens any more is left over from a process that was killed: it is taken over.
async fn bind_unix(path: &Path) -> io::Result<Socket> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(path).await => {
            files::remove(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    Ok(Socket::Unix { listener, _path: OwnPath(path.to_owned()) })
}

async fn is_left_over(path: &Path) -> bool {
    let connected = UnixStream::connect(path).await;
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

async fn bind(endpoint: &Endpoint) -> io::Result<Socket> {
    let listener = if endpoint.host.is_empty() {
        // Every address: both families if the system has version 6.
        match TcpListener::bind(("::", endpoint.port)).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind(("0.0.0.0", endpoint.port)).await?
            }
            bound => bound?,
        }
    } else {
        // A name may have addresses of both families; like Go, version 4 goes first.
        let mut addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let first = addresses.first().ok_or_else(|| io::Error::other("the name has no address"))?;
        TcpListener::bind(first).await?
    };
    let address = listener.local_addr()?;
    Ok(Socket::Tcp(listener, address))
}
