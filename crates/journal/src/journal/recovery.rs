//! Opening a journal: which segments count and how far, replay, and what to do with what is not sound.

use std::io;

use bytes::Bytes;

use crate::directory::{Directory, create_folder_durably, join};
use crate::journal::format::{SEGMENT_HEADER_BYTES, SegmentHeader, Unpacker, parse_segment_name, segment_name};
use crate::journal::reader::{SegmentReader, Step};
use crate::journal::{JournalError, Recovery, Segment, Sequence, failed};

/// Damaged bytes are set aside in pieces of this length.
const COPY_BYTES: u64 = 1024 * 1024;

/// Ending that is added to the name of a segment for its damaged part.
const DAMAGED_ENDING: &str = ".damaged";

/// Where the journal stands after recovery.
pub(super) struct Found {
    pub(super) segments: Vec<Segment>,
    /// The next sequence to give out.
    pub(super) next: Sequence,
    pub(super) recovery: Recovery,
}

/// A function that takes a replayed frame: its segment's first sequence, its own, and the payload.
type Replay<'a> = &'a mut dyn FnMut(Sequence, Sequence, Bytes) -> Result<(), JournalError>;

/// How much of a journal is read when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every segment.
    All,
    /// The newest segment that has frames, and what is behind it.
    Newest,
}

/// What is done about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// The rest of the segment goes to a file of its own.
    SetAside,
    /// It stays; what is sound behind it counts.
    PassOver,
}

/// Finds the segments, replays their frames above `after`, cuts the torn tail and sets aside what is damaged.
pub(super) fn recover(
    directory: &dyn Directory,
    folder: &str,
    after: Sequence,
    replay: Replay<'_>,
) -> Result<Found, JournalError> {
    recover_with(directory, folder, after, Damage::SetAside, Extent::All, replay)
}

/// As [`recover`] of everything, or only of the newest segment that has frames; damage is passed over.
pub(super) fn recover_passing_over(
    directory: &dyn Directory,
    folder: &str,
    extent: Extent,
    replay: Replay<'_>,
) -> Result<Found, JournalError> {
    recover_with(directory, folder, Sequence(0), Damage::PassOver, extent, replay)
}

fn recover_with(
    directory: &dyn Directory,
    folder: &str,
    after: Sequence,
    damage: Damage,
    extent: Extent,
    replay: Replay<'_>,
) -> Result<Found, JournalError> {
    let names = match directory.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_folder_durably(directory, folder).map_err(failed("create", folder))?;
            Vec::new()
        }
        other => other.map_err(failed("open", folder))?,
    };
    let mut files = Vec::new();
    let mut known_damage = Vec::new();
    for entry in names.into_iter().filter(|entry| !entry.is_folder) {
        if let Some(first) = parse_segment_name(&entry.name) {
            let header = read_header(directory, folder, first, entry.length).map_err(failed("open", folder))?;
            files.push(SegmentFile { first, length: entry.length, header });
        } else if let Some((segment, _)) = entry.name.split_once(DAMAGED_ENDING) {
            known_damage.extend(parse_segment_name(segment));
        }
    }
    files.sort_unstable_by_key(|file| file.first);
    let mut recoverer = Recoverer {
        directory,
        folder,
        after,
        damage,
        known_damage,
        unpacker: Unpacker::new().map_err(failed("open", folder))?,
        last: Sequence(0),
        recovery: Recovery::default(),
    };
    // No name is used twice, not even that of a segment that is about to be removed.
    let above = files.last().map_or(Sequence(0), |newest| newest.first);
    let links = recoverer.chain(files)?;
    let read_from = match extent {
        Extent::All => 0,
        Extent::Newest => recoverer.newest_with_frames(&links)?,
    };
    let segments = recoverer.replay(&links, read_from, replay)?;
    if let Some(newest) = segments.last() {
        // What was replayed may only be in the kernel's memory: the next segment's header will call it durable. (If a sync
        // failed, shortening the file failed too, and the machine then loses power after this start, those frames may
        // be reported as damaged. They were never acknowledged.)
        let path = join(folder, &segment_name(newest.first));
        let sync = || directory.open_append(&path)?.sync().and_then(|()| directory.sync_folder(folder));
        sync().map_err(failed("sync", folder))?;
    }
    let next = recoverer.last.max(after).max(above).next();
    Ok(Found { segments, next, recovery: recoverer.recovery })
}

/// A file that looks like a segment.
struct SegmentFile {
    first: Sequence,
    length: u64,
    /// `None` if it is not sound.
    header: Option<SegmentHeader>,
}

/// A segment that counts.
struct Link {
    first: Sequence,
    length: u64,
    end: End,
}

impl Link {
    /// How many of its bytes can count.
    fn readable(&self) -> u64 {
        match self.end {
            End::TornTail | End::Unknown => self.length,
            End::At(end) => end.min(self.length),
        }
    }
}

/// How far a segment counts.
#[derive(Clone, Copy)]
enum End {
    /// It is the newest one: up to its torn tail.
    TornTail,
    /// The header of the next one says where it ends.
    At(u64),
    /// The header that would say so is damaged: up to the end of the file.
    Unknown,
}

struct Recoverer<'a> {
    directory: &'a dyn Directory,
    folder: &'a str,
    after: Sequence,
    damage: Damage,
    /// Segments a part of which was set aside before.
    known_damage: Vec<Sequence>,
    unpacker: Unpacker,
    /// The last sound frame.
    last: Sequence,
    recovery: Recovery,
}

impl Recoverer<'_> {
    /// Follows the headers from the newest segment back and returns the segments that count, oldest first. Files that no
    /// header names are what failed writes left behind.
    fn chain(&mut self, files: Vec<SegmentFile>) -> Result<Vec<Link>, JournalError> {
        let mut links: Vec<Link> = Vec::new();
        let mut end = End::TornTail;
        // The segment that the header above names.
        let mut expected: Option<Sequence> = None;
        for file in files.into_iter().rev() {
            if let Some(first) = expected {
                if file.first > first {
                    self.drop_file(&file)?;
                    continue;
                }
                if file.first < first {
                    self.report_missing(first, links.last());
                    end = End::Unknown;
                }
            }
            let Some(header) = file.header else {
                let is_torn = matches!(end, End::TornTail) && !self.was_durable(&file)?;
                if is_torn {
                    self.drop_file(&file)?;
                } else if self.damage == Damage::PassOver && file.length > SEGMENT_HEADER_BYTES as u64 {
                    // Frames can be told without the header; the name says to which segment they belong.
                    let path = join(self.folder, &segment_name(file.first));
                    self.recovery.damaged.push(format!("the header of segment {path} is damaged"));
                    links.push(Link { first: file.first, length: file.length, end });
                    end = End::Unknown;
                } else {
                    self.set_aside_all(&file);
                    end = if matches!(end, End::TornTail) { End::TornTail } else { End::Unknown };
                }
                expected = None;
                continue;
            };
            links.push(Link { first: file.first, length: file.length, end });
            end = End::At(header.previous_length);
            expected = Some(header.previous);
        }
        // That the oldest one names another says nothing: `remove_through` took it.
        links.reverse();
        Ok(links)
    }

    /// The index of the newest link with a sound first frame; 0 if there is none.
    fn newest_with_frames(&self, links: &[Link]) -> Result<usize, JournalError> {
        for (index, link) in links.iter().enumerate().rev() {
            let path = join(self.folder, &segment_name(link.first));
            let file = self.directory.open_read(&path).map_err(failed("open", self.folder))?;
            let mut reader = SegmentReader::new(file, link.first, link.readable());
            if matches!(reader.step().map_err(failed("read", self.folder))?, Step::Frame(..)) {
                return Ok(index);
            }
        }
        Ok(0)
    }

    /// Replays the links from the index `read_from` on.
    fn replay(&mut self, links: &[Link], read_from: usize, replay: Replay<'_>) -> Result<Vec<Segment>, JournalError> {
        let mut segments = Vec::with_capacity(links.len());
        for (index, link) in links.iter().enumerate() {
            let next = links.get(index + 1).filter(|_| index < read_from);
            segments.push(match next {
                Some(next) => {
                    self.last = Sequence(next.first.0 - 1);
                    Segment { first: link.first, last: self.last, length: link.readable(), is_unread: true }
                }
                None => {
                    let length = self.replay_segment(link, replay)?;
                    let last = self.last.max(Sequence(link.first.0 - 1));
                    Segment { first: link.first, last, length, is_unread: false }
                }
            });
        }
        Ok(segments)
    }

    /// Replays one segment and returns how many of its bytes count from now on.
    fn replay_segment(&mut self, link: &Link, replay: Replay<'_>) -> Result<u64, JournalError> {
        let path = join(self.folder, &segment_name(link.first));
        let file = self.directory.open_read(&path).map_err(failed("open", self.folder))?;
        let end = link.readable();
        let mut reader = SegmentReader::new(file, link.first, end);
        let reason = loop {
            let before = reader.position;
            match reader.step().map_err(failed("read", self.folder))? {
                Step::Frame(header, stored) => {
                    if header.sequence > self.after {
                        let Some(payload) = self.unpacker.unpack(&header, stored) else {
                            reader.position = before;
                            break "a payload cannot be decompressed";
                        };
                        replay(link.first, header.sequence, payload)?;
                    }
                    self.recovery.frames += 1;
                    self.last = header.sequence;
                }
                Step::Bad(reason) if self.passes_over(link, &mut reader, reason)? => {}
                Step::Bad(reason) => break reason,
                Step::TooLong(_) => unreachable!("there is room for every frame"),
                Step::End => match link.end {
                    End::At(end) if end > link.length && !self.known_damage.contains(&link.first) => {
                        let at = link.length;
                        self.recovery.damaged.push(format!("segment {path} ends at {at} instead of {end} bytes"));
                        return Ok(link.length);
                    }
                    End::At(_) | End::TornTail | End::Unknown => {
                        self.cut(&path, reader.position, link.length);
                        return Ok(reader.position);
                    }
                },
            }
        };
        let position = reader.position;
        let is_torn =
            matches!(link.end, End::TornTail) && !reader.was_durable().map_err(failed("read", self.folder))?;
        if is_torn {
            self.cut(&path, position, link.length);
        } else if self.damage == Damage::SetAside {
            self.set_aside_from(&path, position, end, reason);
        } else {
            // Nothing sound is behind it.
            self.report_passed_over(link, position, reason);
        }
        Ok(position)
    }

    /// Leaves damage behind for the next sound frame of the segment; false if that is not wanted, or it is no damage, or
    /// there is none.
    fn passes_over(&mut self, link: &Link, reader: &mut SegmentReader, reason: &str) -> Result<bool, JournalError> {
        if self.damage == Damage::SetAside {
            return Ok(false);
        }
        let position = reader.position;
        let is_damage =
            !matches!(link.end, End::TornTail) || reader.was_durable().map_err(failed("read", self.folder))?;
        let passes = is_damage && reader.resync().map_err(failed("read", self.folder))?;
        if passes {
            self.report_passed_over(link, position, reason);
        } else {
            reader.position = position;
        }
        Ok(passes)
    }

    fn report_passed_over(&mut self, link: &Link, position: u64, reason: &str) {
        let path = join(self.folder, &segment_name(link.first));
        self.recovery.damaged.push(format!("segment {path} is damaged at offset {position} ({reason})"));
    }

    /// Whether a segment without a sound header has a frame that says that the header was durable.
    fn was_durable(&self, file: &SegmentFile) -> Result<bool, JournalError> {
        let path = join(self.folder, &segment_name(file.first));
        let scan = || {
            let mut reader = SegmentReader::new(self.directory.open_read(&path)?, file.first, file.length);
            reader.was_durable()
        };
        scan().map_err(failed("read", self.folder))
    }

    /// Shortens a file to what counts. Where that fails the rest is ignored again next time.
    fn cut(&mut self, path: &str, length: u64, from: u64) {
        if from > length {
            self.recovery.torn_bytes += from - length;
            drop(self.directory.truncate(path, length));
        }
    }

    fn drop_file(&mut self, file: &SegmentFile) -> Result<(), JournalError> {
        self.recovery.torn_bytes += file.length;
        self.directory.remove(&join(self.folder, &segment_name(file.first))).map_err(failed("clean", self.folder))
    }

    /// Names a segment that is not there, unless it was one to be removed or was set aside before. Where damage is passed
    /// over, the owner knows which segments there should be.
    fn report_missing(&mut self, first: Sequence, next: Option<&Link>) {
        if self.damage == Damage::PassOver {
            return;
        }
        let was_needed = next.is_some_and(|next| next.first > self.after.next());
        if was_needed && !self.known_damage.contains(&first) {
            let path = join(self.folder, &segment_name(first));
            self.recovery.damaged.push(format!("segment {path} is missing"));
        }
    }

    /// Renames a segment whose header is damaged.
    fn set_aside_all(&mut self, file: &SegmentFile) {
        let path = join(self.folder, &segment_name(file.first));
        let set_aside = || {
            let target = self.free_name(&path)?;
            self.directory.rename(&path, &target)?;
            self.directory.sync_folder(self.folder)?;
            Ok(target)
        };
        let outcome = describe(set_aside());
        self.recovery.damaged.push(format!("the header of segment {path} is damaged: {outcome}"));
    }

    /// Moves the bytes `from..end` of a segment to a file of their own.
    fn set_aside_from(&mut self, path: &str, from: u64, end: u64, reason: &str) {
        let set_aside = || {
            let target = self.free_name(path)?;
            let source = self.directory.open_read(path)?;
            let mut copy = self.directory.create(&target)?;
            let mut position = from;
            while position < end {
                let piece = source.read(position, COPY_BYTES.min(end - position) as usize)?;
                copy.append(&piece)?;
                position += piece.len() as u64;
            }
            copy.sync()?;
            self.directory.sync_folder(self.folder)?;
            self.directory.truncate(path, from)?;
            Ok(target)
        };
        let outcome = describe(set_aside());
        self.recovery
            .damaged
            .push(format!("segment {path} is damaged at offset {from} of {end} ({reason}): {outcome}"));
    }

    /// `path` with the ending of damaged parts and, if that is taken, a number.
    fn free_name(&self, path: &str) -> io::Result<String> {
        let mut name = format!("{path}{DAMAGED_ENDING}");
        let mut number = 1_u64;
        loop {
            match self.directory.open_read(&name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(name),
                Err(error) => return Err(error),
                Ok(_) => number += 1,
            }
            name = format!("{path}{DAMAGED_ENDING}-{number}");
        }
    }
}

fn read_header(
    directory: &dyn Directory,
    folder: &str,
    first: Sequence,
    length: u64,
) -> io::Result<Option<SegmentHeader>> {
    if length < SEGMENT_HEADER_BYTES as u64 {
        return Ok(None);
    }
    let file = directory.open_read(&join(folder, &segment_name(first)))?;
    let bytes = file.read(0, SEGMENT_HEADER_BYTES)?;
    Ok(bytes.first_chunk().and_then(|bytes| SegmentHeader::decode(bytes, first)))
}

fn describe(outcome: io::Result<String>) -> String {
    match outcome {
        Ok(target) => format!("it was set aside as {target}"),
        Err(error) => format!("it is left out, and could not be set aside: {error}"),
    }
}
