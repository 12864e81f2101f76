//! Datagrams of syslog as nginx sends them (RFC 3164): `<190>Nov 25 22:18:04 host nginx: {…}`, without the host if
//! `nohostname` is set.
//!
//! A datagram cannot wait. One task takes them out of the socket, another hands batches over; between them is room for
//! [`WAITING`] batches, and what is beyond is dropped and counted.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rootspan_wire::nginx::log::Encoder;
use rootspan_wire::otlp::batch::TraceBatch;
use tokio::net::{UdpSocket, UnixDatagram};
use tokio::sync::mpsc;

use super::files;
use super::lines::{Shared, Tally};
use crate::config::values::Endpoint;
use crate::net::listen::ListenError;
use crate::net::stop::Stop;
use crate::tasks::{self, Task};

/// Longest datagram: the most that UDP carries.
const MAX_DATAGRAM_BYTES: usize = 64 << 10;

/// A batch is handed over when its spans are so long, or when its first line has waited for so long.
const BATCH_BYTES: usize = 256 << 10;
const BATCH_WAIT: Duration = Duration::from_millis(100);

/// Batches that may wait for the pipeline.
const WAITING: usize = 16;

/// The room in the kernel that is asked for; it gives what it allows (`net.core.rmem_max`).
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// A socket that receives datagrams.
#[derive(Debug)]
pub(super) enum Socket {
    /// UDP.
    Udp(UdpSocket),
    /// A path on this machine.
    Unix(UnixDatagram, PathBuf),
}

impl Socket {
    /// Listens on a UDP address.
    pub(super) async fn udp(id: &str, endpoint: &Endpoint) -> Result<Self, ListenError> {
        let host = if endpoint.host.is_empty() { "0.0.0.0" } else { &endpoint.host };
        let bound = UdpSocket::bind((host, endpoint.port)).await;
        let socket = bound.map_err(|error| refused(id, "udp", &endpoint.to_string(), &error))?;
        // A smaller buffer works, too.
        drop(socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES));
        Ok(Self::Udp(socket))
    }

    /// Makes a datagram socket at a path. One that an earlier run has left is replaced; one that somebody reads is not.
    pub(super) fn unix(id: &str, path: &str) -> Result<Self, ListenError> {
        let bind = || {
            let path = Path::new(path);
            let probe = UnixDatagram::unbound()?;
            if probe.connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            files::remove_socket(path)?;
            let socket = UnixDatagram::bind(path)?;
            files::open_to_all(path)?;
            Ok(socket)
        };
        let socket = bind().map_err(|error: io::Error| refused(id, "unix", path, &error))?;
        drop(socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES));
        tracing::info!(socket = path, "the receiver {id} listens");
        Ok(Self::Unix(socket, PathBuf::from(path)))
    }

    /// Its address, if it is UDP.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp(socket) => socket.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Udp(socket) => {
                socket.local_addr().map_or_else(|_| "udp".to_owned(), |address| format!("udp {address}"))
            }
            Self::Unix(_, path) => format!("unix {}", path.display()),
        }
    }

    /// Receives one datagram. Cancel-safe.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.recv(buffer).await,
            Self::Unix(socket, _) => socket.recv(buffer).await,
        }
    }

    /// One that is there already.
    fn receive_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.try_recv(buffer),
            Self::Unix(socket, _) => socket.try_recv(buffer),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // A path that stays is replaced by the next run.
            drop(files::remove_socket(path));
        }
    }
}

fn refused(id: &str, kind: &str, endpoint: &str, error: &io::Error) -> ListenError {
    let (what, key) = (format!("the receiver {id}"), format!("receivers.{id}.syslog.{kind}"));
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { what, endpoint: endpoint.to_owned(), key },
        _ => ListenError::Other { what, endpoint: endpoint.to_owned(), reason: error.to_string(), key },
    }
}

/// Starts to receive.
pub(super) fn start(socket: Socket, shared: &Arc<Shared>, stop: &Stop) -> [Task; 2] {
    let (sender, mut receiver) = mpsc::channel::<(TraceBatch, Tally)>(WAITING);
    let reader = tasks::start("syslog socket", receive(socket, Arc::clone(shared), sender, stop.clone()));
    let (shared, mut stop) = (Arc::clone(shared), stop.clone());
    let writer = tasks::start("syslog batches", async move {
        while let Some((batch, tally)) = receiver.recv().await {
            let lines = tally.lines;
            if !shared.deliver(&batch, tally, &mut stop).await {
                shared.dropped(lines);
            }
        }
    });
    [reader, writer]
}

async fn receive(socket: Socket, shared: Arc<Shared>, sender: mpsc::Sender<(TraceBatch, Tally)>, mut stop: Stop) {
    let name = socket.name();
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    let mut encoder = Encoder::new(&shared.settings);
    let mut tally = Tally::default();
    let mut due = tokio::time::Instant::now();
    loop {
        let holds = tally != Tally::default();
        // All branches are cancel-safe.
        let received = tokio::select! {
            () = stop.stopped() => break,
            () = tokio::time::sleep_until(due), if holds => None,
            received = socket.receive(&mut buffer) => Some(received),
        };
        match received {
            Some(Ok(length)) => {
                if !holds {
                    due = tokio::time::Instant::now() + BATCH_WAIT;
                }
                add(&mut encoder, &mut tally, buffer.get(..length).unwrap_or_default(), &name);
            }
            Some(Err(error)) => {
                tracing::warn!(socket = name, %error, "a datagram could not be received");
                tokio::time::sleep(BATCH_WAIT).await;
            }
            None => {}
        }
        if encoder.byte_count() >= BATCH_BYTES || (holds && tokio::time::Instant::now() >= due) {
            let full = std::mem::replace(&mut encoder, Encoder::new(&shared.settings));
            hand_over(&sender, full, std::mem::take(&mut tally), &shared);
        }
    }
    // What nginx has sent before the stop is there already.
    while let Ok(length) = socket.receive_now(&mut buffer) {
        add(&mut encoder, &mut tally, buffer.get(..length).unwrap_or_default(), &name);
        if encoder.byte_count() >= BATCH_BYTES {
            break;
        }
    }
    hand_over(&sender, encoder, tally, &shared);
}

fn add(encoder: &mut Encoder<'_>, tally: &mut Tally, datagram: &[u8], name: &str) {
    tally.add(encoder.push(message(datagram)), || (name.to_owned(), None));
}

fn hand_over(sender: &mpsc::Sender<(TraceBatch, Tally)>, encoder: Encoder<'_>, tally: Tally, shared: &Shared) {
    if let Err(mpsc::error::TrySendError::Full((_, tally)) | mpsc::error::TrySendError::Closed((_, tally))) =
        sender.try_send((encoder.finish(), tally))
    {
        shared.dropped(tally.lines);
    }
}

/// What stands behind the header, which has no brace: priority, time, perhaps a host, and a tag of letters and digits.
fn message(datagram: &[u8]) -> &[u8] {
    let at = memchr::memchr(b'{', datagram).unwrap_or(0);
    let message = datagram.get(at..).unwrap_or_default();
    message.trim_ascii_end().strip_suffix(b"\0").unwrap_or(message).trim_ascii_end()
}

#[cfg(test)]
mod tests;
