//! Log files in pieces of whole lines, unpacked on the way: however long a file is, no more than a piece of it is held.
//! Buckets are read so, and `rootspan import` reads so.

use std::io::{self, BufRead as _, BufReader, Read};

use rootspan_wire::cloudfront::whole_values;

/// How much is looked at to find out what it is.
const HEAD_BYTES: usize = 64 << 10;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A file's content without its compression.
pub type Input<'i> = BufReader<Box<dyn Read + 'i>>;

/// Unpacks what is packed with gzip or zstd, twice at most. What it is then begins in the reader's buffer.
///
/// # Errors
/// Those of reading and unpacking.
pub fn unpack<'i>(input: impl Read + 'i) -> io::Result<Input<'i>> {
    let mut input: Input<'i> = BufReader::with_capacity(HEAD_BYTES, Box::new(input));
    for _ in 0..2 {
        let head = input.fill_buf()?;
        if head.starts_with(GZIP) {
            input = BufReader::with_capacity(HEAD_BYTES, Box::new(flate2::bufread::MultiGzDecoder::new(input)));
        } else if head.starts_with(ZSTD) {
            let decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            input = BufReader::with_capacity(HEAD_BYTES, Box::new(decoder));
        } else {
            break;
        }
    }
    input.fill_buf()?;
    Ok(input)
}

/// How much is held at once.
#[derive(Clone, Copy, Debug)]
pub struct PieceLimits {
    /// Pieces have about this length.
    pub piece_bytes: usize,
    /// The longest line or JSON value.
    pub max_value_bytes: usize,
}

/// Whole lines (or whole JSON values where there are no lines) at a time.
pub struct Pieces<'i> {
    input: Input<'i>,
    limits: PieceLimits,
    buffer: Vec<u8>,
    is_at_end: bool,
}

impl std::fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<'i> Pieces<'i> {
    /// The pieces of what was unpacked.
    #[must_use]
    pub const fn new(input: Input<'i>, limits: PieceLimits) -> Self {
        Self { input, limits, buffer: Vec::new(), is_at_end: false }
    }

    /// Gives the next piece to `take`; `None` at the end.
    ///
    /// # Errors
    /// Those of reading and unpacking, and that a value is too long.
    pub fn next<T>(&mut self, mut take: impl FnMut(&[u8]) -> T) -> io::Result<Option<T>> {
        loop {
            let end = if self.is_at_end { self.buffer.len() } else { self.whole() };
            if end > 0 {
                let taken = take(&self.buffer[..end]);
                self.buffer.drain(..end);
                return Ok(Some(taken));
            }
            if self.is_at_end {
                return Ok(None);
            }
            let limit = self.limits.max_value_bytes;
            if self.buffer.len() > limit {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line has more than {limit} bytes")));
            }
            let before = self.buffer.len();
            let piece = (&mut self.input).take(self.limits.piece_bytes as u64);
            io::copy(&mut { piece }, &mut self.buffer)?;
            self.is_at_end = self.buffer.len() == before;
        }
    }

    /// How much of the buffer is whole lines, or whole JSON values if it has no line's end.
    fn whole(&self) -> usize {
        let buffer = &self.buffer;
        if let Some(newline) = memchr::memrchr(b'\n', buffer) {
            return newline + 1;
        }
        if buffer.len() < self.limits.piece_bytes { 0 } else { whole_values(buffer) }
    }
}

#[cfg(test)]
mod tests;
