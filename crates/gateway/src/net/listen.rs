//! Listening sockets and the loop that accepts connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::stop::Stop;
use crate::config::values::Endpoint;
use crate::tasks::TaskGroup;

/// Connections that one listener serves at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// Pause after a failed accept (out of file descriptors, mostly); the loop itself never ends for one.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

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
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `endpoint`. `what` and the configuration `key` are for the message if it cannot.
    pub(crate) async fn bind(endpoint: &Endpoint, what: &str, key: &str) -> Result<Self, ListenError> {
        bind(endpoint).await.map_err(|error| {
            let (what, endpoint, key) = (what.to_owned(), endpoint.to_string(), key.to_owned());
            match error.kind() {
                io::ErrorKind::AddrInUse => ListenError::InUse { what, endpoint, key },
                _ => ListenError::Other { what, endpoint, reason: error.to_string(), key },
            }
        })
    }

    /// The address, with the port that the system chose if the configured one is 0.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections until told to stop, then waits until each has ended. `serve` gets each connection.
    pub(crate) async fn run<F>(self, name: &'static str, mut stop: Stop, serve: impl Fn(TcpStream) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut connections = TaskGroup::new(name);
        loop {
            // All branches are cancel-safe.
            tokio::select! {
                () = stop.stopped() => break,
                () = connections.ended(), if connections.len() > 0 => {}
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        // Answers are small and waited for. A socket that refuses the option still works.
                        drop(stream.set_nodelay(true));
                        // A peer that vanished without a word is found by the kernel, after its own time.
                        drop(socket2::SockRef::from(&stream).set_keepalive(true));
                        connections.start(serve(stream));
                    }
                    Err(error) => {
                        tracing::warn!(server = name, %error, "accept failed");
                        tokio::time::sleep(ACCEPT_BACK_OFF).await;
                    }
                },
            }
        }
        drop(self.listener);
        connections.join().await;
    }
}

async fn bind(endpoint: &Endpoint) -> io::Result<Listener> {
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
    Ok(Listener { listener, address })
}
