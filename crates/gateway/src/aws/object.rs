//! An object as a stream of bytes for a thread that may wait. A connection that breaks is followed by another one that
//! goes on where the first one ended; the object must not have been replaced meanwhile.

use std::io::{self, Read};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf as _, Bytes};
use rootspan_model::time::UnixNanos;
use tokio::runtime::Handle;

use super::bucket::Bucket;
use super::problem::{Fault, Problem};
use crate::net::stop::Stop;

/// Longest wait for the next bytes.
const STALL: Duration = Duration::from_secs(60);
/// Connections that may break within one object.
const MAX_RESUMES: u32 = 5;

/// An object that is being read. Reading blocks; use it on a thread that may.
#[derive(Debug)]
pub struct ObjectReader {
    bucket: Bucket,
    key: String,
    etag: Option<String>,
    runtime: Handle,
    stop: Option<Stop>,
    /// Absent before the first read, and after a connection has broken.
    body: Option<ByteStream>,
    chunk: Bytes,
    /// Bytes that came.
    offset: u64,
    resumes: u32,
    modified: Option<UnixNanos>,
}

/// Nobody wants more.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("reading was stopped")]
pub(crate) struct Stopped;

impl ObjectReader {
    /// Prepares to read; `runtime` is where its connections live.
    #[must_use]
    pub fn new(bucket: &Bucket, key: &str, runtime: Handle) -> Self {
        let (body, chunk) = (None, Bytes::new());
        let (bucket, key) = (bucket.clone(), key.to_owned());
        Self { bucket, key, etag: None, runtime, stop: None, body, chunk, offset: 0, resumes: 0, modified: None }
    }

    /// The same, which ends with an error when it is told to stop.
    pub(crate) fn until(self, stop: Stop) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Bytes that came so far.
    pub(crate) const fn bytes_read(&self) -> u64 {
        self.offset
    }

    /// When it was written, once that is known.
    pub(crate) const fn modified(&self) -> Option<UnixNanos> {
        self.modified
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> Result<Bytes, Problem> {
        loop {
            let mut body = match self.body.take() {
                Some(body) => body,
                None => {
                    let answer = self.bucket.get(&self.key, self.etag.as_deref(), self.offset).await?;
                    self.etag = answer.e_tag;
                    let written = answer.last_modified.and_then(|at| u64::try_from(at.as_nanos()).ok());
                    self.modified = written.map(UnixNanos);
                    answer.body
                }
            };
            let broken = match tokio::time::timeout(STALL, body.next()).await {
                Ok(Some(Ok(chunk))) => {
                    self.body = Some(body);
                    self.offset += chunk.len() as u64;
                    return Ok(chunk);
                }
                Ok(None) => {
                    self.body = Some(body);
                    return Ok(Bytes::new());
                }
                Ok(Some(Err(error))) => error.to_string(),
                Err(_) => format!("no bytes came within {} s", STALL.as_secs()),
            };
            self.resumes += 1;
            if self.resumes > MAX_RESUMES {
                let what = format!("cannot read {}", self.bucket.url(&self.key));
                return Err(Problem::new(Fault::Unreachable, what, broken));
            }
        }
    }

    /// The same, unless it is told to stop before.
    async fn next_unless_stopped(&mut self) -> io::Result<Bytes> {
        let Some(mut stop) = self.stop.clone() else { return self.next().await.map_err(io::Error::other) };
        // What was read of a chunk is lost when it is stopped, and nobody wants it.
        tokio::select! {
            biased;
            () = stop.stopped() => Err(io::Error::other(Stopped)),
            next = self.next() => next.map_err(io::Error::other),
        }
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let runtime = self.runtime.clone();
            self.chunk = runtime.block_on(self.next_unless_stopped())?;
            if self.chunk.is_empty() {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
