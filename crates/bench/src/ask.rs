//! Questions to the query API over one kept connection, timed at the client.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A connection to the query API.
#[derive(Debug)]
pub(crate) struct Asker {
    connection: SendRequest<Empty<Bytes>>,
    authority: String,
}

/// An answer and how long it took until its last byte.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) json: Value,
    pub(crate) latency: Duration,
}

impl Asker {
    /// Connects to `host:port`.
    pub(crate) async fn connect(authority: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(authority).await.with_context(|| format!("cannot connect to {authority}"))?;
        stream.set_nodelay(true)?;
        let (connection, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // An error of the connection is an error of the question that was under way.
            let _ended = driver.await;
        });
        Ok(Self { connection, authority: authority.to_owned() })
    }

    /// Asks for `path`; anything but 200 is an error.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let request = Request::get(path).header("host", &self.authority).body(Empty::new())?;
        self.connection.ready().await?;
        let started = Instant::now();
        let answer = self.connection.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let latency = started.elapsed();
        if !status.is_success() {
            bail!("{path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(Answer { json: serde_json::from_slice(&body).with_context(|| format!("{path}: no JSON"))?, latency })
    }

    /// Sums `spanCount` over all pages of a search, and counts the traces.
    pub(crate) async fn count(&mut self, query: &str) -> anyhow::Result<(u64, u64)> {
        let (mut traces, mut spans, mut cursor) = (0, 0, None::<String>);
        loop {
            let mut path = format!("/api/v1/search?limit=1000&q={}", encode(query));
            if let Some(cursor) = &cursor {
                path.push_str("&cursor=");
                path.push_str(&encode(cursor));
            }
            let page = self.get(&path).await?.json;
            if let Some(reason) = page["partial"].as_str() {
                bail!("a page of {query} is incomplete: {reason}");
            }
            let rows = page["traces"].as_array().context("no traces in the answer")?;
            traces += rows.len() as u64;
            spans += rows.iter().filter_map(|row| row["spanCount"].as_u64()).sum::<u64>();
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok((traces, spans)),
            }
        }
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
