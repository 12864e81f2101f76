//! Follows log files: reads whole lines, hands them over, and only then moves on and remembers where it is.
//!
//! A log is rotated in one of two ways. *Renamed*: the name leads to another file; nginx writes to the old one until it is told to
//! reopen, so that is read for a while longer. *Copied and truncated*: the file is shorter than what was read, or begins otherwise; what
//! was not read yet is in the copy, which begins as the log did. Both can happen while nobody looks, so the file of positions says
//! how each log began, and a sibling that begins so is where to go on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rootspan_wire::nginx::log::{Encoder, InvalidLine, MAX_LINE_BYTES, Outcome, Settings};
use rootspan_wire::otlp::batch::TraceBatch;

use super::StartAt;
use super::files::{self, Head, LogFile};
use super::lines::{Shared, Tally};
use crate::net::stop::Stop;
use crate::tasks;

mod positions;
use positions::{Positions, Saved};

/// What is read at a time, and how much memory a receiver takes beside its batches. Longer than any line.
const CHUNK_BYTES: usize = 1 << 20;

/// How long a file that was renamed is read after it has grown last: nginx reopens its logs within a moment, but a worker that still
/// has long requests writes when these end.
const LINGER: Duration = Duration::from_secs(60);

/// How often the positions are written while there is a lot to read.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// What to follow.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) paths: Vec<PathBuf>,
    pub(super) start_at: StartAt,
    pub(super) position_file: PathBuf,
    pub(super) poll_interval: Duration,
}

/// Follows the logs until told to stop.
pub(super) async fn run(logs: Logs, shared: Arc<Shared>, mut stop: Stop) {
    let Logs { paths, start_at, position_file, poll_interval } = logs;
    let opened = tasks::blocking("open nginx's logs", move || {
        let mut positions = Positions::read(position_file);
        let tails: Vec<Tail> = paths.into_iter().map(|path| Tail::open(path, start_at, &mut positions)).collect();
        (tails, positions)
    });
    let Some((mut tails, mut positions)) = opened.await else { return };
    let begun = tokio::time::Instant::now();
    let mut saved = begun;
    loop {
        let mut was_idle = true;
        for index in 0..tails.len() {
            let mut tail = tails.swap_remove(index);
            let (now, settings) = (begun.elapsed(), shared.settings.clone());
            let Some((back, chunk)) = tasks::blocking("read nginx's log", move || {
                let chunk = tail.next(now, &settings);
                (tail, chunk)
            })
            .await
            else {
                return;
            };
            tail = back;
            if let Some(chunk) = chunk {
                was_idle = false;
                if !shared.deliver(&chunk.batch, chunk.tally, &mut stop).await {
                    return save(positions, &tails, Some(&tail)).await;
                }
                tail.advance(chunk.source, chunk.to);
            }
            tails.push(tail);
            let last = tails.len() - 1;
            tails.swap(index, last);
        }
        positions.update(&tails);
        if was_idle || saved.elapsed() >= SAVE_INTERVAL {
            let Some(back) = tasks::blocking("save positions", move || positions.write()).await else { return };
            positions = back;
            saved = tokio::time::Instant::now();
        }
        let pause = if was_idle { poll_interval } else { Duration::ZERO };
        // Both branches are cancel-safe.
        tokio::select! {
            biased;
            () = stop.stopped() => return save(positions, &tails, None).await,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Writes the positions for the last time; `out` is a log that is not in `tails` at the moment.
async fn save(mut positions: Positions, tails: &[Tail], out: Option<&Tail>) {
    positions.update(tails);
    positions.update(out.map(std::slice::from_ref).unwrap_or_default());
    tasks::blocking("save positions", move || positions.write()).await;
}

/// One log, with the files that it was before.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    /// Oldest first; the name leads to the last one, unless nobody has made the new file yet.
    sources: Vec<Source>,
    /// What was said last about a log that cannot be read.
    complaint: String,
}

/// A file that is read.
#[derive(Debug)]
struct Source {
    file: LogFile,
    at: Place,
    /// Since when the name leads elsewhere, and how long the file was then.
    left: Option<(Duration, u64)>,
}

/// How far a file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    offset: u64,
    /// Lines before.
    lines: u64,
    head: Head,
    /// In the middle of a line that is too long.
    skips: bool,
}

/// Lines that were read and are to be handed over.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) batch: TraceBatch,
    pub(super) tally: Tally,
    /// Which of the sources.
    source: usize,
    /// Where it is read next.
    to: Place,
}

impl Tail {
    /// Opens a log where it was left. A log that is new begins as configured; one that appears later, at its beginning.
    pub(super) fn open(path: PathBuf, start_at: StartAt, positions: &mut Positions) -> Self {
        let mut tail = Self { path, sources: Vec::new(), complaint: String::new() };
        let saved = positions.of(&tail.path);
        let opened = if saved.is_empty() { tail.begin(start_at) } else { tail.resume(&saved) };
        if let Err(error) = opened {
            tail.complain(&error.to_string());
        }
        tail
    }

    fn begin(&mut self, start_at: StartAt) -> std::io::Result<()> {
        let Some(file) = LogFile::open(&self.path)? else { return Ok(()) };
        let mut at = Place::default();
        if start_at == StartAt::End {
            at.offset = file.length()?;
            at.head = file.head(at.offset)?;
        }
        self.sources.push(Source { file, at, left: None });
        Ok(())
    }

    fn resume(&mut self, saved: &[Saved]) -> std::io::Result<()> {
        let mut generations = files::generations(&self.path)?;
        let mut newest = None;
        for entry in saved {
            let position = find(&generations, entry)?;
            let Some(file) = position.map(|index| generations.remove(index)) else {
                self.complain("the file that was read before is gone; lines behind the last position may be lost");
                continue;
            };
            newest = newest.max(Some(file.modified()?));
            let at = Place { offset: entry.offset, lines: entry.lines, head: entry.head.clone(), skips: false };
            self.sources.push(Source { file, at, left: None });
        }
        // What was written after the newest one that is known was not read by anybody.
        for file in generations {
            if file.path == self.path || newest.is_some_and(|newest| file.modified().is_ok_and(|time| time >= newest)) {
                self.sources.push(Source { file, at: Place::default(), left: None });
            }
        }
        // The name leads to the newest; the others are read to their ends.
        let path = &self.path;
        self.sources.sort_by_key(|source| source.file.path == *path);
        for source in &mut self.sources {
            if source.file.path != *path {
                source.left = Some((Duration::ZERO, source.file.length()?));
            }
        }
        Ok(())
    }

    /// The next whole lines of the oldest file that has some. `now` is the time since the start.
    pub(super) fn next(&mut self, now: Duration, settings: &Settings) -> Option<Chunk> {
        if let Err(error) = self.look(now) {
            self.complain(&error.to_string());
        }
        for index in 0..self.sources.len() {
            match self.sources[index].read(settings) {
                Ok(Some((batch, tally, to))) => return Some(Chunk { batch, tally, source: index, to }),
                Ok(None) => {}
                Err(error) => self.complain(&error.to_string()),
            }
        }
        self.close_old(now, settings)
    }

    /// Moves on in a source, once its lines are delivered.
    pub(super) fn advance(&mut self, source: usize, to: Place) {
        if let Some(source) = self.sources.get_mut(source) {
            source.at = to;
        }
    }

    /// What is to be remembered.
    pub(super) fn saved(&self) -> Vec<Saved> {
        let entry = |source: &Source| Saved {
            path: self.path.clone(),
            identity: source.file.identity,
            offset: source.at.offset,
            lines: source.at.lines,
            head: source.at.head.clone(),
        };
        self.sources.iter().map(entry).collect()
    }

    /// Sees whether the log was rotated.
    fn look(&mut self, now: Duration) -> std::io::Result<()> {
        let Some(identity) = files::identity(&self.path)? else { return Ok(()) };
        let current = self.sources.last_mut().filter(|source| source.left.is_none());
        match current {
            Some(source) if source.file.identity == identity => {
                if source.file.continues(&source.at.head, source.at.offset)? {
                    self.complaint.clear();
                    return Ok(());
                }
                self.truncated(now)
            }
            current => {
                if let Some(source) = current {
                    source.left = Some((now, source.file.length()?));
                }
                if let Some(file) = LogFile::open(&self.path)? {
                    self.sources.push(Source { file, at: Place::default(), left: None });
                }
                Ok(())
            }
        }
    }

    /// The log begins anew; what was not read of it is in the copy, if there is one.
    fn truncated(&mut self, now: Duration) -> std::io::Result<()> {
        let Some(current) = self.sources.last_mut() else { return Ok(()) };
        let before = std::mem::take(&mut current.at);
        let identity = current.file.identity;
        let mut copy = None;
        for file in files::generations(&self.path)? {
            if file.identity != identity && before.head.bytes > 0 && file.continues(&before.head, before.offset)? {
                copy = Some(file);
            }
        }
        let Some(file) = copy else {
            if before.offset > 0 {
                self.complain(&format!("it was truncated; lines after line {} may be lost", before.lines));
            }
            return Ok(());
        };
        let left = Some((now, file.length()?));
        let last = self.sources.len() - 1;
        self.sources.insert(last, Source { file, at: before, left });
        Ok(())
    }

    /// Lets go of files that the name left and that do not grow any more. What stands at the end of one without an end of line
    /// will never have one: it is a bad line.
    fn close_old(&mut self, now: Duration, settings: &Settings) -> Option<Chunk> {
        let has_current = self.sources.last().is_some_and(|source| source.left.is_none());
        let mut index = 0;
        while index < self.sources.len() {
            let source = &mut self.sources[index];
            let Some((since, length)) = source.left else { break };
            let grown = source.file.length().unwrap_or(length);
            if grown > length {
                source.left = Some((now, grown));
            }
            if grown > length || now.saturating_sub(since) < LINGER || !has_current {
                index += 1;
                continue;
            }
            if grown > source.at.offset {
                return source.unfinished(grown).map(|(tally, to)| Chunk {
                    batch: Encoder::new(settings).finish(),
                    tally,
                    source: index,
                    to,
                });
            }
            self.sources.remove(index);
        }
        None
    }

    /// Says once what is wrong with the log.
    fn complain(&mut self, reason: &str) {
        if self.complaint != reason {
            tracing::warn!(file = %self.path.display(), reason, "nginx's log");
            reason.clone_into(&mut self.complaint);
        }
    }
}

/// The file that an entry means: the same one if it still begins so, else one that begins so, a copy.
fn find(generations: &[LogFile], saved: &Saved) -> std::io::Result<Option<usize>> {
    let mut copy = None;
    for (index, file) in generations.iter().enumerate() {
        if !file.continues(&saved.head, saved.offset)? {
            continue;
        }
        if file.identity == saved.identity {
            return Ok(Some(index));
        }
        if saved.head.bytes > 0 {
            copy = Some(index);
        }
    }
    Ok(copy)
}

impl Source {
    /// Whole lines from where it is; `None` if there is none.
    fn read(&self, settings: &Settings) -> std::io::Result<Option<(TraceBatch, Tally, Place)>> {
        let bytes = self.file.read(self.at.offset, CHUNK_BYTES)?;
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1);
        let mut to = self.at.clone();
        let mut tally = Tally::default();
        let mut encoder = Encoder::new(settings);
        let place = |lines| (self.file.path.display().to_string(), Some(lines));
        if whole == 0 {
            if bytes.len() <= MAX_LINE_BYTES {
                return Ok(None);
            }
            // Too long already: counted once, and passed over up to its end.
            if !to.skips {
                tally.add(Outcome::Invalid(InvalidLine::TooLong), || place(to.lines + 1));
            }
            to.skips = true;
            to.offset += bytes.len() as u64;
        }
        for line in bytes.get(..whole).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            to.lines += 1;
            to.offset += line.len() as u64;
            let line = line.trim_ascii_end();
            if std::mem::take(&mut to.skips) || line.is_empty() {
                continue;
            }
            tally.add(encoder.push(line), || place(to.lines));
        }
        if to.head.bytes < to.offset {
            to.head = self.file.head(to.offset)?;
        }
        Ok(Some((encoder.finish(), tally, to)))
    }

    /// What stands behind the last end of line, as a bad line.
    fn unfinished(&self, length: u64) -> Option<(Tally, Place)> {
        let mut tally = Tally::default();
        if !self.at.skips {
            let place = (self.file.path.display().to_string(), Some(self.at.lines + 1));
            tally.add(Outcome::Invalid(InvalidLine::Unfinished), || place);
        }
        let to = Place { offset: length, lines: self.at.lines + 1, head: self.at.head.clone(), skips: false };
        (length > self.at.offset).then_some((tally, to))
    }
}

/// The name of a log, for messages.
impl AsRef<Path> for Tail {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
