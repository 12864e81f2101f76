//! A small HTTP/1.1 client on a plain socket: it sends exactly what a test says, however hostile.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::wait::PATIENCE;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    authority: String,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), authority: address.to_string() })
    }

    /// Sends a request and reads the answer. A `Host` among the headers replaces the right one.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: {}\r\n", self.authority));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        // A server that refuses early may not read the body; its answer is what counts.
        let written = stream.write_all(body);
        let answer = self.read_answer();
        if answer.is_err() {
            written?;
        }
        answer
    }

    fn read_answer(&mut self) -> io::Result<Answer> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("no status line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if answer.header("transfer-encoding") == "chunked" {
            while let length @ 1.. = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)? {
                self.read_body(&mut answer.body, length)?;
                self.line()?;
            }
            self.line()?;
        } else {
            let length = answer.header("content-length").parse().unwrap_or(0);
            self.read_body(&mut answer.body, length)?;
        }
        Ok(answer)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn read_body(&mut self, body: &mut Vec<u8>, length: usize) -> io::Result<()> {
        let before = body.len();
        body.resize(before + length, 0);
        self.stream.read_exact(&mut body[before..])
    }
}

/// One request on a connection of its own.
pub(crate) fn send(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let answer = Connection::open(address).and_then(|mut connection| connection.send(method, target, headers, body));
    answer.unwrap_or_else(|error| panic!("{method} {target} at {address}: {error}"))
}

/// A GET.
pub(crate) fn get(address: SocketAddr, target: &str) -> Answer {
    send(address, "GET", target, &[], &[])
}

/// A POST.
pub(crate) fn post(address: SocketAddr, target: &str, content_type: &str, body: &[u8]) -> Answer {
    send(address, "POST", target, &[("Content-Type", content_type)], body)
}

/// What may stand in a query's value.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
