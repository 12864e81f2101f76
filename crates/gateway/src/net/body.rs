//! Bodies of HTTP requests, buffered under the byte budget and decompressed under it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::decompress::{Compression, DecompressError, decompress};
use crate::budget::{Budget, Exhausted, PaidBuffer};
use crate::tasks;

/// A sender that needs longer for its body than this has hung, and holds memory that others need.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Work on fewer bytes than this takes less than half a millisecond and stays on the connection's thread.
const INLINE_BYTES: usize = 128 << 10;
/// First step of a body whose length is not known.
const FIRST_STEP_BYTES: usize = 16 << 10;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Longer than the limit, as sent or decompressed.
    TooLarge,
    /// The budget has no room for it.
    Exhausted,
    /// The connection broke, or the sender hung.
    Broken,
    /// It is not compressed as it says; the rest of a sentence about it.
    Corrupt(&'static str),
}

impl From<Exhausted> for BodyError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl From<DecompressError> for BodyError {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::Corrupt(reason) => Self::Corrupt(reason),
            DecompressError::TooLarge => Self::TooLarge,
            DecompressError::Exhausted => Self::Exhausted,
        }
    }
}

/// Reads a whole body of at most `limit` bytes within `time`.
pub(crate) async fn collect<B>(
    body: B,
    limit: usize,
    budget: &Arc<Budget>,
    time: Duration,
) -> Result<PaidBuffer, BodyError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    match tokio::time::timeout(time, collect_patiently(body, limit, budget)).await {
        Ok(collected) => collected,
        Err(_) => Err(BodyError::Broken),
    }
}

async fn collect_patiently<B>(mut body: B, limit: usize, budget: &Arc<Budget>) -> Result<PaidBuffer, BodyError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let collected = buffer(&mut body, limit, budget).await;
    if matches!(collected, Err(BodyError::Exhausted)) {
        // What is not read ends the connection, and may destroy the answer on its way: under overload everybody would
        // have to connect anew. Reading it costs no memory.
        discard(&mut body, limit).await;
    }
    collected
}

async fn buffer<B>(body: &mut B, limit: usize, budget: &Arc<Budget>) -> Result<PaidBuffer, BodyError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let known = body.size_hint().exact();
    if known.is_some_and(|length| length > limit as u64) {
        return Err(BodyError::TooLarge);
    }
    let capacity = known.and_then(|length| usize::try_from(length).ok()).unwrap_or(FIRST_STEP_BYTES);
    let mut buffer = PaidBuffer::with_capacity(budget, capacity)?;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(BodyError::Broken) };
        let Ok(data) = frame.into_data() else { continue };
        if buffer.as_ref().len() + data.len() > limit {
            return Err(BodyError::TooLarge);
        }
        buffer.append(&data, limit)?;
    }
    Ok(buffer)
}

/// Reads on for nothing, about `limit` bytes at most.
async fn discard<B>(body: &mut B, limit: usize)
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut discarded = 0;
    while discarded <= limit
        && let Some(Ok(frame)) = body.frame().await
    {
        discarded += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// The body without its compression; the compressed bytes are given back.
pub(crate) async fn unpack(
    compression: Option<Compression>,
    body: PaidBuffer,
    limit: usize,
    budget: &Arc<Budget>,
) -> Result<PaidBuffer, BodyError> {
    let Some(compression) = compression else { return Ok(body) };
    if body.as_ref().len() < INLINE_BYTES {
        return Ok(decompress(compression, body.as_ref(), limit, budget)?);
    }
    let budget = Arc::clone(budget);
    let work = move || decompress(compression, body.as_ref(), limit, &budget);
    let output = tasks::blocking("decompress", work).await;
    Ok(output.ok_or(BodyError::Corrupt("the decoder failed"))??)
}
