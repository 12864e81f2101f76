//! Log files in pieces of whole lines, unpacked on the way: however long a file is, no more than a piece of it is held, or a
//! line. What is damaged is given out up to there.
//! Buckets are read so, and `rootspan import` reads so.

use std::io::{self, BufRead as _, BufReader, Read};

use rootspan_wire::cloudfront::{LONG_LINE, whole_values};

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
    /// What a line or JSON value may have at least. What is longer by more than a piece is passed over.
    pub max_value_bytes: usize,
}

/// Whole lines (or whole JSON values where there are no lines) at a time.
pub struct Pieces<'i> {
    input: Input<'i>,
    limits: PieceLimits,
    buffer: Vec<u8>,
    /// Nothing comes any more. An error waits here until what came before it was given out.
    ended: Option<io::Result<()>>,
    /// What is there ends in the middle.
    is_cut: bool,
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
        Self { input, limits, buffer: Vec::new(), ended: None, is_cut: false }
    }

    /// Gives the next piece to `take`; `None` at the end. Instead of a line that is too long there is a [`LONG_LINE`], which
    /// is read as a bad record.
    ///
    /// # Errors
    /// Those of reading and unpacking, once, when all that is whole before was given out.
    pub fn next<T>(&mut self, mut take: impl FnMut(&[u8]) -> T) -> io::Result<Option<T>> {
        loop {
            let end = self.whole();
            if end > 0 {
                let taken = take(&self.buffer[..end]);
                self.buffer.drain(..end);
                return Ok(Some(taken));
            }
            if let Some(ended) = &mut self.ended {
                return std::mem::replace(ended, Ok(())).map(|()| None);
            }
            if self.buffer.len() > self.limits.max_value_bytes {
                self.pass_over_line();
                return Ok(Some(take(LONG_LINE)));
            }
            self.fill();
        }
    }

    /// Reads as much as a piece has.
    fn fill(&mut self) {
        let full = self.buffer.len() + self.limits.piece_bytes;
        while self.buffer.len() < full {
            let Some(chunk) = look(&mut self.input, &mut self.ended) else {
                self.is_cut = matches!(self.ended, Some(Err(_)));
                return;
            };
            let length = chunk.len().min(full - self.buffer.len());
            self.buffer.extend_from_slice(&chunk[..length]);
            self.input.consume(length);
        }
    }

    /// Forgets the line that is in the buffer, and what follows of it.
    fn pass_over_line(&mut self) {
        self.buffer.clear();
        while let Some(chunk) = look(&mut self.input, &mut self.ended) {
            let newline = memchr::memchr(b'\n', chunk);
            let length = newline.map_or(chunk.len(), |newline| newline + 1);
            self.input.consume(length);
            if newline.is_some() {
                return;
            }
        }
    }

    /// How much of the buffer is whole lines, or whole JSON values if it has no line's end.
    fn whole(&self) -> usize {
        let buffer = &self.buffer;
        if self.ended.is_some() && !self.is_cut {
            return buffer.len();
        }
        if let Some(newline) = memchr::memrchr(b'\n', buffer) {
            return newline + 1;
        }
        if buffer.len() < self.limits.piece_bytes && !self.is_cut { 0 } else { whole_values(buffer) }
    }
}

/// What of the input is there next; `None` at its end, and `ended` says how.
fn look<'a>(input: &'a mut Input<'_>, ended: &mut Option<io::Result<()>>) -> Option<&'a [u8]> {
    let is_over = loop {
        match input.fill_buf() {
            Ok(chunk) => break chunk.is_empty(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                *ended = Some(Err(error));
                return None;
            }
        }
    };
    if is_over {
        *ended = Some(Ok(()));
        return None;
    }
    Some(input.buffer())
}

#[cfg(test)]
mod tests;
