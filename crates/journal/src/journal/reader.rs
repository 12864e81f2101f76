//! Reading frames: of one segment at recovery, of the whole journal while it grows.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::directory::{Directory, ReadableFile, join};
use crate::journal::format::{FRAME_HEADER_BYTES, FrameHeader, SEGMENT_HEADER_BYTES, Unpacker, segment_name};
use crate::journal::{JournalError, Segment, Sequence, failed, lock};

/// Small frames are read together; a longer frame is read in one piece of its own.
const CHUNK_BYTES: u64 = 256 * 1024;

/// Reads a journal's durable frames in order from a given sequence, without loading more than one. Payloads may share
/// memory with their neighbours: copy what is kept for long.
pub struct Reader {
    directory: Arc<dyn Directory>,
    folder: String,
    segments: Arc<Mutex<Vec<Segment>>>,
    /// The next frame handed out has this sequence or a higher one.
    next: Sequence,
    current: Option<SegmentReader>,
    unpacker: Unpacker,
}

impl Reader {
    pub(super) fn new(
        directory: Arc<dyn Directory>,
        folder: String,
        segments: Arc<Mutex<Vec<Segment>>>,
        next: Sequence,
    ) -> Result<Self, JournalError> {
        let unpacker = Unpacker::new().map_err(failed("prepare decompression for", &folder))?;
        Ok(Self { directory, folder, segments, next, current: None, unpacker })
    }

    /// The next durable frame; `None` at the end of what is durable now: ask again after the next sync. Frames that were
    /// removed meanwhile are skipped.
    pub fn next_frame(&mut self) -> Result<Option<(Sequence, Bytes)>, JournalError> {
        loop {
            let Some(segment) = self.segment() else { return Ok(None) };
            let step = match self.open(segment).and_then(SegmentReader::step) {
                // Removed between the two lines: the list no longer has it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_listed(segment) => continue,
                other => other.map_err(failed("read", &self.folder))?,
            };
            let reason = match step {
                Step::Frame(header, _) if header.sequence < self.next => continue,
                Step::Frame(header, stored) => match self.unpacker.unpack(&header, stored) {
                    Some(payload) => {
                        self.next = header.sequence.next();
                        return Ok(Some((header.sequence, payload)));
                    }
                    None => "the payload cannot be decompressed",
                },
                Step::End => "frames are missing",
                Step::Bad(reason) => reason,
            };
            self.next = segment.last.next();
            let offset = self.current.take().map_or(0, |reader| reader.position);
            return Err(JournalError::Damaged {
                path: join(&self.folder, &segment_name(segment.first)),
                offset,
                reason,
            });
        }
    }

    /// The segment that holds the next frame, if that is durable.
    fn segment(&self) -> Option<Segment> {
        lock(&self.segments).iter().find(|segment| segment.last >= self.next.max(segment.first)).copied()
    }

    fn is_listed(&self, segment: Segment) -> bool {
        lock(&self.segments).iter().any(|listed| listed.first == segment.first)
    }

    /// The reader of `segment`, up to the end that is durable now.
    fn open(&mut self, segment: Segment) -> io::Result<&mut SegmentReader> {
        if self.current.as_ref().is_none_or(|current| current.first != segment.first) {
            let path = join(&self.folder, &segment_name(segment.first));
            self.current = None;
            self.current = Some(SegmentReader::new(self.directory.open_read(&path)?, segment.first, segment.length));
        }
        let reader = self.current.as_mut().expect("set just above");
        reader.end = segment.length;
        Ok(reader)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").field("folder", &self.folder).field("next", &self.next).finish_non_exhaustive()
    }
}

/// What lies at the position of a [`SegmentReader`].
pub(super) enum Step {
    /// A frame with its payload as stored, both checked; the position is behind it.
    Frame(FrameHeader, Bytes),
    /// No sound frame, and why; the position stays.
    Bad(&'static str),
    /// The end.
    End,
}

/// Reads the frames of one segment.
pub(super) struct SegmentReader {
    file: Arc<dyn ReadableFile>,
    first: Sequence,
    /// Where the next frame begins.
    pub(super) position: u64,
    /// Where the segment ends.
    pub(super) end: u64,
    /// The last sequence read.
    pub(super) last: Sequence,
    chunk: Bytes,
    chunk_start: u64,
}

impl SegmentReader {
    /// Begins behind the header.
    pub(super) fn new(file: Arc<dyn ReadableFile>, first: Sequence, end: u64) -> Self {
        Self {
            file,
            first,
            position: SEGMENT_HEADER_BYTES as u64,
            end,
            last: Sequence(first.0.saturating_sub(1)),
            chunk: Bytes::new(),
            chunk_start: 0,
        }
    }

    /// Reads and checks the frame at the position.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        let left = self.end.saturating_sub(self.position);
        if left == 0 {
            return Ok(Step::End);
        }
        if left < FRAME_HEADER_BYTES as u64 {
            return Ok(Step::Bad("a frame's header is cut off"));
        }
        let header_bytes = self.read(self.position, FRAME_HEADER_BYTES)?;
        let header = header_bytes.first_chunk().and_then(|bytes| FrameHeader::decode(bytes, self.first));
        let Some(header) = header else { return Ok(Step::Bad("a frame's header fails its checksum")) };
        if header.frame_length() > left {
            return Ok(Step::Bad("a frame is cut off"));
        }
        if header.sequence <= self.last {
            return Ok(Step::Bad("a frame is out of order"));
        }
        let stored = self.read(self.position + FRAME_HEADER_BYTES as u64, header.stored_length as usize)?;
        if crc32c::crc32c(&stored) != header.payload_crc {
            return Ok(Step::Bad("a payload fails its checksum"));
        }
        self.position += header.frame_length();
        self.last = header.sequence;
        Ok(Step::Frame(header, stored))
    }

    /// Whether a frame behind the position says that the byte at the position was durable: then what is bad there is
    /// damage, not the torn end of a write.
    pub(super) fn was_durable(&mut self) -> io::Result<bool> {
        let mut offset = self.position;
        while offset + FRAME_HEADER_BYTES as u64 <= self.end {
            let length = CHUNK_BYTES.min(self.end - offset) as usize;
            let chunk = self.read(offset, length)?;
            let is_durable = |bytes: &[u8]| {
                // Most bytes are no header: the codec's field says so before a checksum is computed.
                let may_be_header = bytes[24] <= 1 && bytes[25..28] == [0, 0, 0];
                may_be_header
                    && bytes
                        .first_chunk()
                        .and_then(|bytes| FrameHeader::decode(bytes, self.first))
                        .is_some_and(|header| header.durable > self.position && header.sequence > self.last)
            };
            if chunk.windows(FRAME_HEADER_BYTES).any(is_durable) {
                return Ok(true);
            }
            // The next chunk begins with the first offset that was not tried.
            offset += (length - FRAME_HEADER_BYTES + 1) as u64;
        }
        Ok(false)
    }

    fn read(&mut self, offset: u64, length: usize) -> io::Result<Bytes> {
        let is_in_chunk =
            |chunk: &Bytes, start: u64| offset >= start && offset + length as u64 <= start + chunk.len() as u64;
        if !is_in_chunk(&self.chunk, self.chunk_start) {
            let ahead = CHUNK_BYTES.min(self.end - offset) as usize;
            if length > ahead {
                return self.file.read(offset, length);
            }
            self.chunk = self.file.read(offset, ahead)?;
            self.chunk_start = offset;
        }
        let start = (offset - self.chunk_start) as usize;
        Ok(self.chunk.slice(start..start + length))
    }
}
