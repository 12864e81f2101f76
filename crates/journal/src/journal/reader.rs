//! Reading frames: of one segment at recovery, of the whole journal while it grows.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::directory::{Directory, ReadableFile, join};
use crate::journal::format::{
    FRAME_HEADER_BYTES, FrameHeader, SEGMENT_HEADER_BYTES, Unpacker, parse_segment_name, segment_name,
};
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
        match self.next_within(usize::MAX)? {
            Next::Frame(sequence, payload) => Ok(Some((sequence, payload))),
            Next::TooLong { .. } => unreachable!("nothing is longer than that"),
            Next::End => Ok(None),
        }
    }

    /// As [`Reader::next_frame`], for a caller who has room for so many bytes: a longer payload is not read.
    pub fn next_within(&mut self, room: usize) -> Result<Next, JournalError> {
        loop {
            let Some(segment) = self.segment() else { return Ok(Next::End) };
            let step = match self.open(segment).and_then(|reader| reader.step_within(room)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Removed between the two lines: the list no longer has it.
                    if !self.is_listed(segment) {
                        continue;
                    }
                    Step::Bad("the file is missing")
                }
                other => other.map_err(failed("read", &self.folder))?,
            };
            let reason = match step {
                Step::Frame(header, _) if header.sequence < self.next => continue,
                Step::Frame(header, stored) => match self.unpacker.unpack(&header, stored) {
                    Some(payload) => {
                        self.next = header.sequence.next();
                        return Ok(Next::Frame(header.sequence, payload));
                    }
                    None => "the payload cannot be decompressed",
                },
                // Read all the same if it was handed out before: the caller has no room for it, but needs none.
                Step::TooLong(header) if header.sequence < self.next => {
                    self.current.as_mut().expect("it has just stepped").pass_over(&header);
                    continue;
                }
                Step::TooLong(header) => {
                    return Ok(Next::TooLong { sequence: header.sequence, length: header.length as usize });
                }
                Step::End if segment.is_unread => {
                    self.pass_over(segment);
                    continue;
                }
                Step::End => "frames are missing",
                Step::Bad(reason) => reason,
            };
            return Err(self.damaged(segment, reason));
        }
    }

    /// The next frame handed out has this sequence or a higher one; frames before it are not read.
    pub fn skip_to(&mut self, sequence: Sequence) {
        self.next = self.next.max(sequence);
    }

    /// Goes on behind the segment in which reading fails again and again.
    pub fn pass_over_segment(&mut self) {
        if let Some(segment) = self.segment() {
            self.pass_over(segment);
        }
    }

    /// Lets go of the open file if its segment was removed: until then the disk keeps its space.
    pub fn let_go_of_removed(&mut self) {
        let listed = |first: Sequence| lock(&self.segments).iter().any(|segment| segment.first == first);
        if self.current.as_ref().is_some_and(|current| !listed(current.first)) {
            self.current = None;
        }
    }

    fn pass_over(&mut self, segment: Segment) {
        self.current = None;
        self.next = segment.last.next();
    }

    /// Goes to the next sound frame of the segment, or behind the segment.
    fn damaged(&mut self, segment: Segment, reason: &'static str) -> JournalError {
        let offset = self.current.as_ref().map_or(0, |reader| reader.position);
        // What cannot be read here cannot be read behind it either.
        let is_found = self.current.as_mut().is_some_and(|reader| reader.resync().unwrap_or(false));
        if !is_found {
            self.pass_over(segment);
        }
        JournalError::Damaged { path: join(&self.folder, &segment_name(segment.first)), offset, reason }
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

/// What [`Reader::next_within`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A frame.
    Frame(Sequence, Bytes),
    /// The next payload is longer than there is room; it was not read, and is next again.
    TooLong {
        /// Its sequence.
        sequence: Sequence,
        /// Its length.
        length: usize,
    },
    /// The end of what is durable now.
    End,
}

/// What lies at the position of a [`SegmentReader`].
pub(super) enum Step {
    /// A frame with its payload as stored, both checked; the position is behind it.
    Frame(FrameHeader, Bytes),
    /// A sound header of a frame that is too long; the position stays.
    TooLong(FrameHeader),
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
        self.step_within(usize::MAX)
    }

    /// As [`SegmentReader::step`], but payloads longer than `room` are not read.
    pub(super) fn step_within(&mut self, room: usize) -> io::Result<Step> {
        if self.position >= self.end {
            return Ok(Step::End);
        }
        let header = match self.header()? {
            Ok(header) => header,
            Err(reason) => return Ok(Step::Bad(reason)),
        };
        if header.length as usize > room {
            return Ok(Step::TooLong(header));
        }
        let stored = self.read(self.position + FRAME_HEADER_BYTES as u64, header.stored_length as usize)?;
        if crc32c::crc32c(&stored) != header.payload_crc {
            return Ok(Step::Bad("a payload fails its checksum"));
        }
        self.pass_over(&header);
        Ok(Step::Frame(header, stored))
    }

    /// Goes behind the frame at the position.
    pub(super) fn pass_over(&mut self, header: &FrameHeader) {
        self.position += header.frame_length();
        self.last = header.sequence;
    }

    /// The header at the position, or what is wrong with it.
    fn header(&mut self) -> io::Result<Result<FrameHeader, &'static str>> {
        let left = self.end.saturating_sub(self.position);
        if left < FRAME_HEADER_BYTES as u64 {
            return Ok(Err("a frame's header is cut off"));
        }
        let header_bytes = self.read(self.position, FRAME_HEADER_BYTES)?;
        let header = header_bytes.first_chunk().and_then(|bytes| FrameHeader::decode(bytes, self.first));
        let Some(header) = header else { return Ok(Err("a frame's header fails its checksum")) };
        if header.frame_length() > left {
            return Ok(Err("a frame is cut off"));
        }
        if header.sequence <= self.last {
            return Ok(Err("a frame is out of order"));
        }
        Ok(Ok(header))
    }

    /// Whether a frame behind the position says that the byte at the position was durable: then what is bad there is
    /// damage, not the torn end of a write.
    pub(super) fn was_durable(&mut self) -> io::Result<bool> {
        let position = self.position;
        Ok(self.find(|header| header.durable > position)?.is_some())
    }

    /// Leaves what is bad at the position and goes to the next frame; whether there is one. A sound header says where
    /// that is; behind any other the bytes are searched for one.
    pub(super) fn resync(&mut self) -> io::Result<bool> {
        if let Ok(header) = self.header()? {
            self.pass_over(&header);
            return Ok(self.position < self.end);
        }
        let found = self.find(|_| true)?;
        self.position = found.unwrap_or(self.end);
        Ok(found.is_some())
    }

    /// Where the next sound header behind the position begins that comes after the last frame and `is_wanted`.
    fn find(&mut self, is_wanted: impl Fn(&FrameHeader) -> bool) -> io::Result<Option<u64>> {
        let mut offset = self.position + 1;
        while offset + FRAME_HEADER_BYTES as u64 <= self.end {
            let length = CHUNK_BYTES.min(self.end - offset) as usize;
            let chunk = self.read(offset, length)?;
            let is_found = |bytes: &[u8]| {
                // Most bytes are no header: the codec's field says so before a checksum is computed.
                let may_be_header = bytes[24] <= 1 && bytes[25..28] == [0, 0, 0];
                may_be_header
                    && bytes
                        .first_chunk()
                        .and_then(|bytes| FrameHeader::decode(bytes, self.first))
                        .is_some_and(|header| header.sequence > self.last && is_wanted(&header))
            };
            if let Some(index) = chunk.windows(FRAME_HEADER_BYTES).position(is_found) {
                return Ok(Some(offset + index as u64));
            }
            // The next chunk begins with the first offset that was not tried.
            offset += (length - FRAME_HEADER_BYTES + 1) as u64;
        }
        Ok(None)
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

/// Hands every sound frame of every segment in `folder` to `visit`, and changes nothing: also beside a process that has
/// the journal. Frames that were written but never acknowledged may be among them. Returns a sentence for each damaged
/// place.
pub(super) fn look_at(
    directory: &dyn Directory,
    folder: &str,
    visit: &mut dyn FnMut(Sequence, Sequence, Bytes) -> Result<(), JournalError>,
) -> Result<Vec<String>, JournalError> {
    let mut damaged = Vec::new();
    let mut unpacker = Unpacker::new().map_err(failed("open", folder))?;
    for entry in directory.list(folder).map_err(failed("open", folder))? {
        let Some(first) = parse_segment_name(&entry.name) else { continue };
        let path = join(folder, &entry.name);
        let file = match directory.open_read(&path) {
            // It was removed a moment ago: everything in it is delivered.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(failed("open", folder))?,
        };
        let length = file.length().map_err(failed("read", folder))?;
        let mut reader = SegmentReader::new(file, first, length);
        loop {
            match reader.step().map_err(failed("read", folder))? {
                Step::Frame(header, stored) => match unpacker.unpack(&header, stored) {
                    Some(payload) => visit(first, header.sequence, payload)?,
                    None => damaged.push(format!("a frame of {path} cannot be decompressed")),
                },
                Step::TooLong(_) => unreachable!("there is room for every frame"),
                Step::End => break,
                Step::Bad(reason) => {
                    let offset = reader.position;
                    if !reader.resync().map_err(failed("read", folder))? {
                        // The end of a file that is written to now, or of one that was cut off.
                        break;
                    }
                    damaged.push(format!("{path} is damaged at offset {offset}: {reason}"));
                }
            }
        }
    }
    Ok(damaged)
}
