//! Cuts what is read into pieces that end where a line ends. Nothing is held but one piece, whose bytes are paid for.

use std::fmt;
use std::io::{self, BufRead};
use std::sync::Arc;

use crate::budget::{Budget, Exhausted, PaidBuffer};

/// Where pieces end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutting {
    /// A piece ends with the first line that makes it so long.
    pub(crate) piece_bytes: usize,
    /// Most lines of a piece.
    pub(crate) piece_lines: u64,
    /// The longest line; a longer one is passed over, and is not held meanwhile.
    pub(crate) line_bytes: usize,
    /// Whether the last line, which has no end yet, is whole as it is.
    pub(crate) is_whole: fn(&[u8]) -> bool,
    /// How much of the beginning of a line that is longer than a piece can stand by itself: JSON values need no lines.
    pub(crate) split: fn(&[u8]) -> usize,
}

impl Cutting {
    /// The longest piece: a line that is too long is recognised by one byte more.
    const fn longest(&self) -> usize {
        self.piece_bytes.saturating_add(self.line_bytes).saturating_add(1)
    }
}

/// Lines that follow each other.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Whole lines with their ends.
    pub(crate) bytes: PaidBuffer,
    /// How many there are, with the one that was passed over.
    pub(crate) lines: u64,
    /// Where it begins.
    pub(crate) start: u64,
    /// Where the next piece begins.
    pub(crate) end: u64,
    /// Behind the bytes was a line that is too long.
    pub(crate) passed_over: bool,
    /// The last line has no end and will not get one, or not soon.
    pub(crate) is_unfinished: bool,
}

/// What came next.
#[derive(Debug)]
pub(crate) enum Read {
    Piece(Piece),
    /// There is no whole line; `has_rest`: but a part of one, and the stream is past it.
    End {
        has_rest: bool,
    },
    /// There is no memory for a line.
    Exhausted,
}

/// What to do with a last line that has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It may grow.
    Wait,
    /// It is taken if it is whole.
    TakeWhole,
    /// Nothing will follow.
    Take,
}

/// Something that is read from a position on.
pub(crate) struct Stream {
    reader: Box<dyn BufRead + Send>,
    /// Where the next piece begins.
    pub(crate) position: u64,
    /// What was read behind it.
    carry: Option<PaidBuffer>,
    /// The reader is past the position, and what is between is not held: to read on it must be opened anew.
    pub(crate) is_past: bool,
    /// It cannot be opened anew: memory for a piece is had before anything is read.
    is_once: bool,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("position", &self.position).finish_non_exhaustive()
    }
}

/// A piece that is being read.
struct Draft {
    bytes: PaidBuffer,
    /// So many of them are whole lines.
    whole: usize,
    lines: u64,
    /// Bytes of a line behind them that is too long and not held.
    skipped: u64,
    /// That line is over.
    passed_over: bool,
    /// When to look next whether a long line can be split.
    split_at: usize,
}

impl Stream {
    /// Goes on at `position`, where `reader` stands.
    pub(crate) fn new(reader: Box<dyn BufRead + Send>, position: u64) -> Self {
        Self { reader, position, carry: None, is_past: false, is_once: false }
    }

    /// The beginning of what can be read once only.
    pub(crate) fn once(reader: Box<dyn BufRead + Send>) -> Self {
        Self { is_once: true, ..Self::new(reader, 0) }
    }

    /// The next lines.
    ///
    /// # Errors
    /// Those of the reader.
    pub(crate) fn read(&mut self, cutting: &Cutting, rest: Rest, budget: &Arc<Budget>) -> io::Result<Read> {
        let Ok(bytes) = self.begin(cutting, budget) else { return Ok(Read::Exhausted) };
        let split_at = cutting.piece_bytes.max(bytes.as_ref().len() + 1);
        let mut draft = Draft { bytes, whole: 0, lines: 0, skipped: 0, passed_over: false, split_at };
        loop {
            if draft.passed_over || draft.whole >= cutting.piece_bytes || draft.lines >= cutting.piece_lines {
                return Ok(self.finish(draft, false));
            }
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                // The error comes again; what was read before is sound.
                Err(_) if draft.whole > 0 => {
                    self.is_past = true;
                    return Ok(self.finish(draft, false));
                }
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                return Ok(self.at_end(draft, cutting, rest));
            }
            let end = memchr::memchr(b'\n', chunk).map(|newline| newline + 1);
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            let (length, is_all) = (part.len(), part.len() == chunk.len());
            if draft.add(part, end.is_some(), cutting).is_err() {
                let has_lines = draft.whole > 0;
                let piece = self.finish(draft, false);
                return Ok(if has_lines { piece } else { Read::Exhausted });
            }
            self.reader.consume(length);
            if end.is_some() {
                draft.end_line();
            }
            // What comes next may be long in coming: what is here goes on its way.
            let is_enough = self.is_once && is_all && draft.whole > 0 && draft.skipped == 0;
            if is_enough || (end.is_none() && draft.can_be_split(cutting)) {
                self.carry = draft.behind(cutting, budget);
                if self.carry.is_some() || !self.is_once {
                    return Ok(self.finish(draft, false));
                }
            }
        }
    }

    /// The buffer of a piece, with what was read of it already.
    fn begin(&mut self, cutting: &Cutting, budget: &Arc<Budget>) -> Result<PaidBuffer, Exhausted> {
        if !self.is_once {
            return self.carry.take().map_or_else(|| PaidBuffer::with_capacity(budget, 0), Ok);
        }
        let mut bytes = PaidBuffer::with_capacity(budget, cutting.longest())?;
        if let Some(carry) = self.carry.take() {
            bytes.append(carry.as_ref(), cutting.longest())?;
        }
        Ok(bytes)
    }

    fn at_end(&mut self, mut draft: Draft, cutting: &Cutting, rest: Rest) -> Read {
        let last = draft.bytes.as_ref().get(draft.whole..).unwrap_or_default();
        let has_rest = draft.skipped > 0 || !last.is_empty();
        let takes_rest = match rest {
            Rest::Wait => false,
            Rest::TakeWhole => draft.skipped == 0 && (cutting.is_whole)(last),
            Rest::Take => true,
        };
        let is_unfinished = has_rest && takes_rest;
        if is_unfinished {
            draft.end_line();
        }
        if draft.lines > 0 {
            return self.finish(draft, is_unfinished);
        }
        self.is_past |= has_rest;
        Read::End { has_rest }
    }

    fn finish(&mut self, draft: Draft, is_unfinished: bool) -> Read {
        let Draft { mut bytes, whole, lines, skipped, passed_over, .. } = draft;
        let is_all = bytes.as_ref().len() == whole && (passed_over || skipped == 0);
        self.is_past |= !is_all && self.carry.is_none();
        bytes.truncate(whole);
        let start = self.position;
        self.position += whole as u64 + if passed_over { skipped } else { 0 };
        Read::Piece(Piece { bytes, lines, start, end: self.position, passed_over, is_unfinished })
    }
}

impl Draft {
    /// Adds a part of a line; what is passed over is not held.
    fn add(&mut self, part: &[u8], is_end: bool, cutting: &Cutting) -> Result<(), Exhausted> {
        let held = self.bytes.as_ref().len() - self.whole;
        if self.skipped == 0 && held + part.len() - usize::from(is_end) > cutting.line_bytes {
            self.skipped = held as u64;
            self.bytes.truncate(self.whole);
        } else if self.skipped == 0 {
            return self.bytes.append(part, cutting.longest());
        }
        self.skipped += part.len() as u64;
        Ok(())
    }

    /// What is behind the whole lines, in a buffer of its own, if there is memory for it.
    fn behind(&self, cutting: &Cutting, budget: &Arc<Budget>) -> Option<PaidBuffer> {
        let behind = self.bytes.as_ref().get(self.whole..)?;
        let mut buffer = PaidBuffer::with_capacity(budget, behind.len()).ok()?;
        buffer.append(behind, cutting.longest()).ok()?;
        Some(buffer)
    }

    fn end_line(&mut self) {
        self.lines += 1;
        self.passed_over = self.skipped > 0;
        if !self.passed_over {
            self.whole = self.bytes.as_ref().len();
        }
    }

    /// Whether the beginning of a long line stands by itself. It is looked at each time the line has doubled.
    fn can_be_split(&mut self, cutting: &Cutting) -> bool {
        let line = self.bytes.as_ref().get(self.whole..).unwrap_or_default();
        if line.len() < self.split_at {
            return false;
        }
        self.split_at = line.len() * 2;
        let length = (cutting.split)(line);
        self.whole += length;
        length > 0
    }
}
