//! OTLP over HTTP/1.1 on one connection that is kept open. Blocking, with a deadline on every step.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rootspan_wire::otlp::protobuf::{FieldValue, Reader};

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
    /// The request up to the value of `Content-Length`.
    head: String,
    connection: Option<TcpStream>,
}

/// What the collector answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// 2xx.
    Accepted {
        /// Spans that a partial success names as rejected.
        rejected: u64,
    },
    /// Do not try again.
    Refused,
    /// Try again.
    Later {
        /// `Retry-After`.
        after: Option<Duration>,
    },
}

impl Client {
    pub(super) fn new(config: &ExporterConfig) -> Self {
        let endpoint = &config.endpoint;
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-protobuf\r\nUser-Agent: rootspan-nginx/{}\r\n",
            endpoint.path,
            endpoint.authority,
            env!("CARGO_PKG_VERSION"),
        );
        for (name, value) in &config.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("Content-Length: ");
        Self { authority: endpoint.authority.clone(), head, connection: None }
    }

    /// Sends one request and reads the answer.
    ///
    /// # Errors
    ///
    /// If there is no answer before `deadline`. A connection that was kept and fails before the first byte of an answer is
    /// replaced once: the collector may have closed it while it was idle.
    pub(super) fn post(&mut self, body: &[u8], deadline: Instant) -> io::Result<Answer> {
        if let Some(kept) = self.connection.take() {
            match self.exchange(kept, body, deadline) {
                Err(Failure::NoAnswer(_)) => {}
                Err(Failure::Answer(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
        }
        let connection = connect(&self.authority, deadline)?;
        self.exchange(connection, body, deadline).map_err(|failure| match failure {
            Failure::NoAnswer(error) | Failure::Answer(error) => error,
        })
    }

    fn exchange(&mut self, mut connection: TcpStream, body: &[u8], deadline: Instant) -> Result<Answer, Failure> {
        let head = format!("{}{}\r\n\r\n", self.head, body.len());
        write_all(&mut connection, head.as_bytes(), deadline).map_err(Failure::NoAnswer)?;
        write_all(&mut connection, body, deadline).map_err(Failure::NoAnswer)?;
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
            // The statuses that the specification calls retryable.
            429 | 502 | 503 | 504 => Answer::Later { after: head.retry_after },
            _ => Answer::Refused,
        })
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

/// `ExportTraceServiceResponse.partial_success.rejected_spans`; 0 if the body is something else.
fn rejected_spans(body: &[u8]) -> u64 {
    let field = |body, wanted: u32| {
        let mut reader = Reader::new(body);
        while let Ok(Some(field)) = reader.field() {
            if field.number == wanted {
                return Some(field.value);
            }
        }
        None
    };
    let Some(FieldValue::Bytes(partial_success)) = field(body, 1) else { return 0 };
    match field(partial_success, 1) {
        Some(FieldValue::Varint(rejected)) => rejected,
        _ => 0,
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

fn write_all(connection: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        connection.set_write_timeout(Some(left(deadline)?.min(MAX_WAIT)))?;
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
fn read_more(connection: &mut TcpStream, received: &mut Vec<u8>, deadline: Instant) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        connection.set_read_timeout(Some(left(deadline)?.min(MAX_WAIT)))?;
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
