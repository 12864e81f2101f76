//! The segment log. Synchronous; group commit is the caller's loop: append what waits, sync once, answer all.
//!
//! # Constraints
//!
//! - What was synced is read back after any crash, in order; what was not may be read back, never in part or changed.
//! - A disk writes pages in any order before a sync, so that behind the last durable byte anything can lie, also sound
//!   frames behind bad ones. After a failed sync the kernel may have dropped the pages, and a later sync of the same
//!   file says nothing about them: a segment with a failed write or sync is never written again.
//! - Bit rot in durable bytes must not look like a torn tail, or acknowledged frames would vanish without a report.
//! - Reading back needs memory for one frame, whatever the journal's length, and believes no length it has not checked.
//!
//! # Format
//!
//! A folder of segments `NNNNNNNNNNNNNNNNNNNN.segment`, named by the first sequence (20 decimal digits). All numbers are
//! little-endian. A segment begins with a header:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic `RSJ1` |
//! | 4 | version, 1 |
//! | 8 | first sequence, as in the name |
//! | 8 | first sequence of the segment before; 0: there was none |
//! | 8 | how many bytes of the segment before were durable |
//! | 4 | CRC32C of the bytes before |
//!
//! then frames up to the end:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the payload as stored |
//! | 4 | length of the payload as given |
//! | 8 | sequence |
//! | 8 | how many bytes of this segment were durable when the frame was written |
//! | 1 + 3 | codec (0 raw, 1 zstd), zeros |
//! | 4 | CRC32C of the payload as stored |
//! | 4 | CRC32C of the segment's first sequence (8 bytes) and the fields before |
//! | n | payload |
//!
//! A new segment begins after every start, when the last one is long enough, and after every failed write or sync. Its
//! header says where the segment before *really* ends, so what a failed write left behind there is known to be no
//! frame, and a segment that no header names was never acknowledged. In the last segment the first bad frame is the torn tail,
//! unless a frame behind it says that those bytes were durable: then, and before the end that the next header names, it
//! is damage, and the rest of the segment is set aside as `*.damaged` and reported.
//!
//! Sequences have gaps where appends failed; they are never given out twice by one process.

mod error;
mod format;
mod reader;
mod recovery;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::directory::{Directory, WritableFile, join};
pub use error::JournalError;
use error::failed;
use format::{FORMAT_PAYLOAD_BYTES, FrameHeader, Packer, SegmentHeader, segment_name};
pub use reader::{Next, Reader};
pub use recovery::Extent;

/// Appended frames are written when this many bytes wait, though only a sync makes them durable: most groups take one
/// write, and a huge one does not take its size in memory.
const WRITE_BYTES: usize = 4 * 1024 * 1024;

/// The written-to segment is closed by [`Journal::remove_through`] when it holds nothing else and at least this much.
const CLOSE_BYTES: u64 = 1024 * 1024;

/// Position of a frame: counted from 1 over the life of the journal, never reused, strictly increasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// How payloads are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As they are.
    Raw,
    /// zstd at level −1; frames that do not shrink are stored raw.
    Zstd,
}

/// Settings of one journal.
#[derive(Clone, Debug)]
pub struct Options {
    /// A new segment is begun when the current one is at least this long; a group is never divided.
    pub segment_bytes: u64,
    /// Codec of new frames; every codec can be read.
    pub codec: Codec,
    /// Longest payload in bytes, before compression; longer ones are refused. At most 1 GiB. What was written under a
    /// higher limit can still be read.
    pub max_payload_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 * 1024 * 1024, codec: Codec::Raw, max_payload_bytes: 128 * 1024 * 1024 }
    }
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Sound frames.
    pub frames: u64,
    /// Bytes dropped because they were written but never acknowledged: no sound frames at the end of the last segment,
    /// and what failed writes left behind.
    pub torn_bytes: u64,
    /// One sentence for each segment of which something durable could not be read.
    pub damaged: Vec<String>,
}

/// The log in one folder of a directory. One owner; appends and syncs are synchronous.
pub struct Journal {
    directory: Arc<dyn Directory>,
    folder: String,
    options: Options,
    /// Durable segments, oldest first; shared with the readers.
    segments: Arc<Mutex<Vec<Segment>>>,
    /// The segment that is written to.
    active: Option<Active>,
    /// Frames that are not written yet.
    pending: Vec<u8>,
    group: Group,
    next: Sequence,
    packer: Option<Packer>,
}

impl Journal {
    /// Opens or creates the journal in `folder` and hands every sound frame with a sequence above `after` to `replay`,
    /// in order. What was handed out is durable, also if it was not acknowledged before. New sequences are above `after`.
    pub fn open(
        directory: Arc<dyn Directory>,
        folder: &str,
        options: Options,
        after: Sequence,
        replay: &mut dyn FnMut(Sequence, Bytes) -> Result<(), JournalError>,
    ) -> Result<(Self, Recovery), JournalError> {
        let mut visit = |_: Sequence, sequence: Sequence, payload: Bytes| replay(sequence, payload);
        let found = recovery::recover(directory.as_ref(), folder, after, &mut visit)?;
        Self::of(directory, folder, options, found)
    }

    fn of(
        directory: Arc<dyn Directory>,
        folder: &str,
        options: Options,
        found: recovery::Found,
    ) -> Result<(Self, Recovery), JournalError> {
        let packer = match options.codec {
            Codec::Raw => None,
            Codec::Zstd => Some(Packer::new().map_err(failed("prepare compression for", folder))?),
        };
        let journal = Self {
            directory,
            folder: folder.to_owned(),
            options,
            segments: Arc::new(Mutex::new(found.segments)),
            active: None,
            pending: Vec::new(),
            group: Group::default(),
            next: found.next,
            packer,
        };
        Ok((journal, found.recovery))
    }

    /// Writes a frame, not yet durable. After an error the frame is not in the journal, and frames that were appended
    /// before it since the last [`Journal::sync`] are lost too: the next sync says so.
    pub fn append(&mut self, payload: &[u8]) -> Result<Sequence, JournalError> {
        self.append_parts(&[payload])
    }

    /// [`Journal::append`] for a payload that lies in pieces.
    pub fn append_parts(&mut self, parts: &[&[u8]]) -> Result<Sequence, JournalError> {
        let limit = self.options.max_payload_bytes.min(FORMAT_PAYLOAD_BYTES);
        let length = parts.iter().map(|part| part.len()).sum();
        if length > limit {
            return Err(JournalError::TooLong { length, limit });
        }
        let sequence = self.next;
        self.next = sequence.next();
        self.encode(sequence, parts, length);
        if self.pending.len() >= WRITE_BYTES
            && let Err(error) = self.write()
        {
            let others_are_lost = self.group.frames > 0;
            self.abandon();
            self.group.lost = others_are_lost.then(|| error.io_kind().unwrap_or(io::ErrorKind::Other));
            return Err(error);
        }
        self.group.frames += 1;
        self.group.last = sequence;
        Ok(sequence)
    }

    /// Makes everything appended so far durable. After an error nothing appended since the last good sync counts as
    /// durable; the segment is abandoned at its last durable byte and the next append begins a new one.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        if let Some(kind) = self.group.lost {
            self.abandon();
            return Err(JournalError::Lost { folder: self.folder.clone(), kind });
        }
        if self.group.frames == 0 {
            return Ok(());
        }
        let synced = self.write().and_then(|()| self.sync_active());
        if synced.is_err() {
            self.abandon();
        }
        synced
    }

    /// Hands everything appended so far to the operating system: it survives the end of this process, not the loss of
    /// power, and readers do not see it yet. After an error everything appended since the last good sync is lost.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        if let Some(kind) = self.group.lost {
            self.abandon();
            return Err(JournalError::Lost { folder: self.folder.clone(), kind });
        }
        let written = self.write();
        if written.is_err() {
            self.abandon();
        }
        written
    }

    /// Whether the next append begins a new segment: the moment to append first what a start should find there.
    #[must_use]
    pub fn begins_segment(&self) -> bool {
        let is_full = |active: &Active| active.written >= self.options.segment_bytes;
        self.group.frames == 0 && self.active.as_ref().is_none_or(is_full)
    }

    /// Lets the next append begin a new segment, if everything appended is synced.
    pub fn close_segment(&mut self) {
        if self.group == Group::default() {
            self.active = None;
        }
    }

    /// First sequences of the segments with durable bytes, oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<Sequence> {
        lock(&self.segments).iter().map(|segment| segment.first).collect()
    }

    /// Removes whole segments all of whose frames are at or below `through`. The newest segment stays, because it knows the
    /// last sequence.
    pub fn remove_through(&mut self, through: Sequence) -> Result<(), JournalError> {
        if let Some(active) = &self.active
            && self.group == Group::default()
            && active.durable >= CLOSE_BYTES
            && lock(&self.segments).last().is_some_and(|newest| newest.last <= through)
        {
            self.active = None;
        }
        let mut is_any_removed = false;
        loop {
            let first = match lock(&self.segments).as_slice() {
                [oldest, _, ..] if oldest.last <= through => oldest.first,
                _ => break,
            };
            self.remove_file(first)?;
            lock(&self.segments).remove(0);
            is_any_removed = true;
        }
        if is_any_removed {
            self.directory.sync_folder(&self.folder).map_err(failed("remove from", &self.folder))?;
        }
        Ok(())
    }

    /// As [`Journal::open`], for an owner that knows from its own frames what older segments hold: only the newest
    /// segment that has frames is read, or with [`Extent::All`] every one. `visit` is given the first sequence of the
    /// segment, the sequence of the frame, and the frame. Damaged frames stay where they are and are passed over, here
    /// and by the [`Reader`]; in segments that are not read nobody has looked for them yet.
    pub fn open_passing_over(
        directory: Arc<dyn Directory>,
        folder: &str,
        options: Options,
        extent: Extent,
        visit: &mut dyn FnMut(Sequence, Sequence, Bytes) -> Result<(), JournalError>,
    ) -> Result<(Self, Recovery), JournalError> {
        let found = recovery::recover_passing_over(directory.as_ref(), folder, extent, visit)?;
        Self::of(directory, folder, options, found)
    }

    /// Removes whole segments, given by their first sequences, wherever they are. The newest one stays. For owners who open
    /// with [`Journal::open_passing_over`]: elsewhere a segment that is missing between others is damage.
    pub fn remove_segments(&mut self, firsts: &[Sequence]) -> Result<(), JournalError> {
        let newest = lock(&self.segments).last().map(|newest| newest.first);
        let mut is_any_removed = false;
        for first in firsts.iter().filter(|first| Some(**first) != newest) {
            self.remove_file(*first)?;
            lock(&self.segments).retain(|segment| segment.first != *first);
            is_any_removed = true;
        }
        if is_any_removed {
            self.directory.sync_folder(&self.folder).map_err(failed("remove from", &self.folder))?;
        }
        Ok(())
    }

    /// One that is gone already is fine.
    fn remove_file(&self, first: Sequence) -> Result<(), JournalError> {
        match self.directory.remove(&join(&self.folder, &segment_name(first))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove from", &self.folder)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Hands every sound frame in `folder` to `visit` (the first sequence of its segment, its own, the payload) and changes
    /// nothing: also beside a process that has the journal. Frames that were written but never acknowledged may be among
    /// them. Returns a sentence for each damaged place.
    pub fn look_at(
        directory: &dyn Directory,
        folder: &str,
        visit: &mut dyn FnMut(Sequence, Sequence, Bytes) -> Result<(), JournalError>,
    ) -> Result<Vec<String>, JournalError> {
        reader::look_at(directory, folder, visit)
    }

    /// Reads durable frames from `sequence` on. The reader goes on while the journal grows and may live in another thread.
    pub fn read_from(&self, sequence: Sequence) -> Result<Reader, JournalError> {
        Reader::new(Arc::clone(&self.directory), self.folder.clone(), Arc::clone(&self.segments), sequence)
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes_on_disk(&self) -> u64 {
        let durable: u64 = lock(&self.segments).iter().map(|segment| segment.length).sum();
        durable + self.active.as_ref().map_or(0, |active| active.written - active.durable)
    }

    /// The last sequence given out, in this process or before.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        Sequence(self.next.0.saturating_sub(1))
    }

    /// Appends the frame to `pending`, with the header of a new segment if one is due.
    fn encode(&mut self, sequence: Sequence, parts: &[&[u8]], length: usize) {
        if self.begins_segment() {
            self.active = None;
        }
        let active = self.active.get_or_insert_with(|| {
            let previous = lock(&self.segments).last().copied();
            let header = SegmentHeader {
                first: sequence,
                previous: previous.map_or(Sequence(0), |segment| segment.first),
                previous_length: previous.map_or(0, |segment| segment.length),
            };
            header.encode(&mut self.pending);
            Active { first: sequence, file: None, written: 0, durable: 0 }
        });
        let packed = self.packer.as_mut().and_then(|packer| packer.pack(parts));
        let (codec, stored) = packed.as_ref().map_or((Codec::Raw, parts), |packed| (Codec::Zstd, packed.as_slice()));
        let header = FrameHeader {
            sequence,
            codec,
            stored_length: stored.iter().map(|part| part.len()).sum::<usize>() as u32,
            length: length as u32,
            durable: active.durable,
            payload_crc: stored.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part)),
        };
        header.encode(active.first, &mut self.pending);
        stored.iter().for_each(|part| self.pending.extend_from_slice(part));
    }

    /// Writes what is pending.
    fn write(&mut self) -> Result<(), JournalError> {
        let Some(active) = &mut self.active else { return Ok(()) };
        if self.pending.is_empty() {
            return Ok(());
        }
        let file = match &mut active.file {
            Some(file) => file,
            None => {
                let path = join(&self.folder, &segment_name(active.first));
                active.file.insert(self.directory.create(&path).map_err(failed("begin a segment in", &self.folder))?)
            }
        };
        // Counted before it is tried: after an error any part may be in the file.
        active.written += self.pending.len() as u64;
        file.append(&self.pending).map_err(failed("write to", &self.folder))?;
        self.pending.clear();
        self.pending.shrink_to(2 * WRITE_BYTES);
        Ok(())
    }

    /// Makes what is written durable and shows it to the readers.
    fn sync_active(&mut self) -> Result<(), JournalError> {
        let Some(Active { first, file: Some(file), written, durable }) = &mut self.active else {
            unreachable!("a group has frames, and they were written just now");
        };
        file.sync().map_err(failed("sync", &self.folder))?;
        let is_new = *durable == 0;
        if is_new {
            self.directory.sync_folder(&self.folder).map_err(failed("sync", &self.folder))?;
        }
        *durable = *written;
        let durable = Segment { first: *first, last: self.group.last, length: *durable, is_unread: false };
        let mut segments = lock(&self.segments);
        if is_new {
            segments.push(durable);
        } else {
            let newest = segments.last_mut().expect("the segment that is written to is listed since its first sync");
            assert_eq!(newest.first, durable.first, "the segment that is written to is the newest");
            *newest = durable;
        }
        self.group = Group::default();
        Ok(())
    }

    /// Gives up everything since the last good sync. The file is shortened if the disk lets us; the next segment's header
    /// says where it ends in any case.
    fn abandon(&mut self) {
        self.pending = Vec::new();
        self.group = Group::default();
        let Some(Active { first, file: Some(_), written, durable }) = self.active.take() else { return };
        let path = join(&self.folder, &segment_name(first));
        // The error that made us give up is the one to report; this one only costs space until the next start.
        drop(match durable {
            0 => self.directory.remove(&path),
            _ if written > durable => self.directory.truncate(&path, durable),
            _ => Ok(()),
        });
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Journal")
            .field("folder", &self.folder)
            .field("options", &self.options)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// A segment with durable bytes.
#[derive(Clone, Copy, Debug)]
struct Segment {
    first: Sequence,
    /// The last sound frame; below `first` if there is none.
    last: Sequence,
    /// How many of its bytes count.
    length: u64,
    /// Nobody has read it: `last` is the highest that it can be.
    is_unread: bool,
}

/// The segment that is written to.
#[derive(Debug)]
struct Active {
    first: Sequence,
    /// Created with the first write.
    file: Option<Box<dyn WritableFile>>,
    written: u64,
    durable: u64,
}

/// What was appended since the last sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Group {
    frames: u64,
    last: Sequence,
    /// Frames were appended, and then an append failed, in this way.
    lost: Option<io::ErrorKind>,
}

/// The list is changed in one step each time, so a panic elsewhere cannot leave it half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
