//! OTLP over HTTP/1.1 on one connection that is kept open. Blocking, with a deadline on every step.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::{Answer, rejected_spans};
use crate::config::ExporterConfig;

/// Longest head of a response.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Longest body that is read; a longer one costs the connection.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Longest single wait on the socket, so that the deadline is looked at often enough.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Sends requests to one endpoint.
#[derive(Debug)]
pub(super) struct Client {
    authority: String,
    host: String,
    tls: Option<Arc<ClientConfig>>,
    /// The request up to the value of `Content-Length`.
    head: String,
    connection: Option<Connection>,
}

impl Client {
    pub(super) fn new(config: &ExporterConfig) -> Self {
        let endpoint = &config.endpoint;
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-protobuf\r\nUser-Agent: rootspan-nginx/{}\r\n",
            endpoint.path.as_deref().unwrap_or("/v1/traces"),
            endpoint.authority,
            env!("CARGO_PKG_VERSION"),
        );
        for (name, value) in &config.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("Content-Length: ");
        let host = endpoint.host().to_owned();
        Self { authority: endpoint.authority.clone(), host, tls: config.tls.clone(), head, connection: None }
    }

    /// Sends one request and reads the answer.
    ///
    /// # Errors
    ///
    /// If there is no answer before `deadline`. A connection that was kept and fails before the first byte of an answer is
    /// replaced once: the collector may have closed it while it was idle.
    pub(super) fn post(&mut self, body: [&[u8]; 2], deadline: Instant) -> io::Result<Answer> {
        if let Some(kept) = self.connection.take() {
            match self.exchange(kept, body, deadline) {
                Err(Failure::NoAnswer(_)) => {}
                Err(Failure::Answer(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
        }
        let connection = self.connect(deadline)?;
        self.exchange(connection, body, deadline).map_err(|failure| match failure {
            Failure::NoAnswer(error) | Failure::Answer(error) => error,
        })
    }

    fn connect(&self, deadline: Instant) -> io::Result<Connection> {
        let connection = connect(&self.authority, deadline)?;
        let Some(tls) = &self.tls else { return Ok(Connection::Plain(connection)) };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| invalid("the endpoint's host is no name"))?;
        let session = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        Ok(Connection::Tls(Box::new(StreamOwned::new(session, connection))))
    }

    fn exchange(&mut self, mut connection: Connection, body: [&[u8]; 2], deadline: Instant) -> Result<Answer, Failure> {
        // Two writes: what is small, and the spans as they are.
        let mut head = format!("{}{}\r\n\r\n", self.head, body[0].len() + body[1].len()).into_bytes();
        head.extend_from_slice(body[0]);
        write_all(&mut connection, &head, deadline).map_err(Failure::NoAnswer)?;
        write_all(&mut connection, body[1], deadline).map_err(Failure::NoAnswer)?;
        let mut received = Vec::with_capacity(1024);
        let body_at = loop {
            if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            let was_empty = received.is_empty();
            let error = match read_more(&mut connection, &mut received, deadline) {
                Ok(()) if received.len() <= MAX_HEAD_BYTES => continue,
                Ok(()) => invalid("the response's head is too long"),
                Err(error) => error,
            };
            return Err(if was_empty { Failure::NoAnswer(error) } else { Failure::Answer(error) });
        };
        let head = Head::parse(&received[..body_at]).map_err(Failure::Answer)?;
        let body_length = head.content_length.filter(|length| *length <= MAX_BODY_BYTES);
        if let Some(length) = body_length {
            while received.len() < body_at + length {
                read_more(&mut connection, &mut received, deadline).map_err(Failure::Answer)?;
            }
            if head.keeps_alive && received.len() == body_at + length {
                self.connection = Some(connection);
            }
        }
        let body = body_length.and_then(|length| received.get(body_at..body_at + length)).unwrap_or_default();
        Ok(match head.status {
            200..=299 => Answer::Accepted { rejected: rejected_spans(body) },
            other => Answer::of_status(other, head.retry_after),
        })
    }
}

/// A connection to the collector.
#[derive(Debug)]
enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    /// Both waits, for TLS reads while it writes and the other way round.
    fn wait_at_most(&self, deadline: Instant) -> io::Result<()> {
        let wait = Some(left(deadline)?.min(MAX_WAIT));
        self.socket().set_read_timeout(wait)?;
        self.socket().set_write_timeout(wait)
    }
}

/// Whether a failure came before anything was answered.
enum Failure {
    NoAnswer(io::Error),
    Answer(io::Error),
}

/// What matters of a response's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    content_length: Option<usize>,
    keeps_alive: bool,
    retry_after: Option<Duration>,
}

impl Head {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("the response's head is not text"))?;
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let mut words = status_line.split(' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|status| status.parse().ok());
        let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
            return Err(invalid("the response is not HTTP"));
        };
        let (mut content_length, mut retry_after) = (None, None);
        let mut keeps_alive = version != "HTTP/1.0";
        if status == 204 || status == 304 {
            content_length = Some(0);
        }
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                content_length = value.parse().ok();
            } else if name.eq_ignore_ascii_case("connection") {
                keeps_alive = !value.eq_ignore_ascii_case("close");
            } else if name.eq_ignore_ascii_case("retry-after") {
                retry_after = value.parse().ok().map(Duration::from_secs);
            }
        }
        Ok(Self { status, content_length, keeps_alive, retry_after })
    }
}

fn connect(authority: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = invalid("the endpoint's name has no address");
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(connection) => {
                connection.set_nodelay(true)?;
                return Ok(connection);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn write_all(connection: &mut Connection, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        connection.wait_at_most(deadline)?;
        match connection.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads something.
fn read_more(connection: &mut Connection, received: &mut Vec<u8>, deadline: Instant) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        connection.wait_at_most(deadline)?;
        match connection.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                received.extend_from_slice(&buffer[..count]);
                return Ok(());
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// The time until `deadline`, never zero, which sockets take for "for ever".
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests;
