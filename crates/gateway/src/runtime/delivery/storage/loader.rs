//! Reads back what is not in memory. Synchronous, as `disk`.

use std::sync::Arc;

use bytes::Bytes;
use rootspan_journal::journal::{JournalError, Next, Reader, Sequence};
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::payload::Payload;

use super::book::Size;
use super::disk::describe;
use super::frame::Frame;
use crate::batch::Batch;
use crate::budget::Budget;

/// Read frames that are shorter than this share memory with their neighbours: they are copied.
const SHARED_BYTES: usize = 256 << 10;

/// Reads back what is not in memory.
#[derive(Debug)]
pub(super) struct Loader {
    reader: Reader,
}

/// A frame that was read.
#[derive(Debug)]
pub(super) enum Read {
    Request { sequence: Sequence, batch: Batch, size: Size, taken: UnixNanos },
    Other { sequence: Sequence },
}

/// What loading found.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) frames: Vec<Read>,
    pub(super) end: LoadEnd,
    /// A sentence for each damaged place.
    pub(super) damaged: Vec<String>,
}

/// Why loading ended.
#[derive(Debug)]
pub(super) enum LoadEnd {
    /// Enough was read.
    Enough,
    /// Everything up to the given frame was read.
    CaughtUp,
    /// There is no memory for the next request.
    NoMemory,
    /// The disk failed.
    Failed(String),
}

impl Loader {
    pub(super) const fn new(reader: Reader) -> Self {
        Self { reader }
    }

    /// Holds no file that was removed: its space would not come back before the next read, and where the disk is full
    /// nothing new comes that would be read.
    pub(super) fn let_go_of_removed(&mut self) {
        self.reader.let_go_of_removed();
    }

    /// Reads frames up to `until`, about `bytes` of them, and pays for each before it is read.
    pub(super) fn load(&mut self, from: Sequence, until: Sequence, bytes: u64, budget: &Arc<Budget>) -> Loaded {
        self.reader.skip_to(from);
        let mut loaded = Loaded { frames: Vec::new(), end: LoadEnd::Enough, damaged: Vec::new() };
        let mut sum = 0;
        while sum < bytes {
            match self.next(until, budget) {
                Ok(Some(read)) => {
                    sum += read.bytes();
                    loaded.frames.push(read);
                }
                Ok(None) => {
                    loaded.end = LoadEnd::CaughtUp;
                    break;
                }
                Err(Stopped::NoMemory) => {
                    loaded.end = LoadEnd::NoMemory;
                    break;
                }
                Err(Stopped::Journal(error @ JournalError::Damaged { .. })) => loaded.damaged.push(describe(&error)),
                Err(Stopped::Journal(error)) => {
                    loaded.end = LoadEnd::Failed(describe(&error));
                    break;
                }
            }
        }
        loaded
    }

    /// Gives up what cannot be read.
    pub(super) fn pass_over_segment(&mut self) {
        self.reader.pass_over_segment();
    }

    fn next(&mut self, until: Sequence, budget: &Arc<Budget>) -> Result<Option<Read>, Stopped> {
        let length = match self.reader.next_within(0)? {
            // Delivery does not know yet that it is durable.
            Next::TooLong { sequence, .. } if sequence > until => return Ok(None),
            Next::TooLong { length, .. } => length,
            // Nothing of ours is empty, and nothing has to be paid for.
            Next::Frame(sequence, _) => return Ok(Some(Read::Other { sequence })),
            Next::End => return Ok(None),
        };
        let reservation = budget.try_reserve(length as u64).map_err(|_| Stopped::NoMemory)?;
        let (sequence, payload) = match self.reader.next_within(length)? {
            Next::Frame(sequence, payload) => (sequence, payload),
            Next::End | Next::TooLong { .. } => return Ok(None),
        };
        let Some(Frame::Request(head, request)) = Frame::decode(&payload) else {
            return Ok(Some(Read::Other { sequence }));
        };
        drop(payload);
        let request = if length < SHARED_BYTES { Bytes::copy_from_slice(&request) } else { request };
        let size = Size::of_request(u64::from(head.items), request.len() as u64);
        let Ok(payload) = Payload::from_trusted(head.signal, request) else {
            // Its checksum is right, so it was written like this: a bug of ours. It is counted as lost in the end.
            return Err(Stopped::Journal(JournalError::Replay {
                sequence: sequence.0,
                reason: "the request cannot be read".to_owned(),
            }));
        };
        let batch = Batch::new(payload, reservation);
        Ok(Some(Read::Request { sequence, batch, size, taken: head.taken }))
    }
}

/// Why the next frame was not read.
enum Stopped {
    NoMemory,
    Journal(JournalError),
}

impl From<JournalError> for Stopped {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl Read {
    const fn bytes(&self) -> u64 {
        match self {
            Self::Request { size, .. } => size.bytes,
            Self::Other { .. } => 0,
        }
    }
}
