//! Which files a receiver follows, and how far each was read. Everything here may block.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rootspan_model::time::UnixNanos;

use super::files::{self, Handle, Seen};
use super::pieces::{Read, Rest, Stream};
use super::place::{self, Found, Identity, Place, from_text, to_text};
use super::{LINGER, Options};
use crate::budget::Budget;

/// Files that are known at once; each takes some 300 bytes, here and among the places.
const MAX_FILES: usize = 1 << 16;
/// Files that are open while there is nothing to read in them: a renamed one is found again by its handle.
const MAX_IDLE_OPEN: usize = 512;
/// Places of files that are gone, kept so that a copy or a file that comes back is recognised.
const MAX_LOST: usize = 1024;
/// Siblings of a log that are looked at; more generations than anybody keeps.
const MAX_SIBLINGS: usize = 64;

/// The files.
#[derive(Debug)]
pub(crate) struct Tracker {
    options: Options,
    /// Those that their names have left come first: they are older.
    followed: Vec<Followed>,
    /// Places of files that are not there.
    lost: Vec<Place>,
    /// Files that were not there before are read from their beginning.
    is_new_whole: bool,
    /// The places were kept by an earlier run, whose files have not been looked for yet.
    resumes: bool,
    is_dirty: bool,
    /// What was said last of a path.
    said: BTreeMap<String, String>,
}

/// A file that is followed.
#[derive(Debug)]
struct Followed {
    place: Place,
    file: Option<Handle>,
    is_packed: bool,
    /// A pattern leads to it; another one is read until it does not grow any more, and let go.
    is_listed: bool,
    length: u64,
    modified: SystemTime,
    /// When it was last seen to change, or to be left by its name.
    changed: UnixNanos,
    /// Read to its end when it was so long.
    ended_at: Option<u64>,
    /// At that end stands a line that may not be whole.
    has_rest: bool,
    /// It is not whole, and has not grown since that was seen.
    is_tried: bool,
    stream: Option<Stream>,
}

impl Tracker {
    /// Reads where the places were kept. An error is one sentence.
    pub(crate) fn new(options: Options) -> Result<Self, String> {
        let is_new_whole = !options.from_the_end;
        let (followed, lost, said) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut files = Self { options, followed, lost, is_new_whole, resumes: false, is_dirty: false, said };
        if let Some(text) = files.options.storage.as_deref().map(files::read_places).transpose()?.flatten() {
            files.lost = from_text(&text).ok_or("the places in files that were kept were not written by rootspan")?;
            // What is not among them came while nobody looked.
            (files.is_new_whole, files.resumes) = (true, true);
        }
        Ok(files)
    }

    /// How many files there are.
    pub(crate) fn count(&self) -> usize {
        self.followed.len()
    }

    /// The path of a file.
    pub(crate) fn path(&self, index: usize) -> &str {
        &self.followed[index].place.path
    }

    /// What the receiver noted of what was read of a file.
    pub(crate) fn note(&self, index: usize) -> Option<&str> {
        self.followed[index].place.note.as_deref()
    }

    // === finding ===

    /// Looks what the patterns lead to now.
    pub(crate) fn discover(&mut self, now: UnixNanos) {
        let before: HashMap<Identity, usize> =
            self.followed.iter().enumerate().map(|(index, file)| (file.place.identity, index)).collect();
        let mut is_seen = vec![false; self.followed.len()];
        let (mut new, mut cut) = (Vec::new(), Vec::new());
        for path in files::expand(&self.options.include) {
            if self.is_excluded(&path) {
                continue;
            }
            let looked = self.look(&path, now, &before, &mut is_seen, &mut cut);
            if self.hear(&path, looked) == Some(true) {
                new.push(path);
            }
        }
        for (file, is_seen) in self.followed.iter_mut().zip(is_seen) {
            file.leave_unless(is_seen, now);
        }
        // What was cut is known by now, and its copy may be among these.
        for path in new {
            let opened = Handle::open(&path, self.options.packing);
            if let Some((file, found)) = self.hear(&path, opened) {
                self.add(file, &found, true, now);
            }
        }
        self.look_for_copies(&cut, now);
        if std::mem::take(&mut self.resumes) {
            self.resume(now);
        }
        self.let_go(now);
        self.is_new_whole = true;
        let surplus = self.lost.len().saturating_sub(MAX_LOST);
        self.lost.drain(..surplus);
        self.followed.sort_by_key(|file| file.is_listed);
    }

    /// What came of looking at a path; what is wrong with it is said.
    fn hear<T>(&mut self, path: &Path, looked: io::Result<T>) -> Option<T> {
        match looked {
            Ok(value) => {
                self.said.remove(&*path.to_string_lossy());
                Some(value)
            }
            // It may be gone again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.complain(&path.to_string_lossy(), &error);
                None
            }
        }
    }

    /// Looks at what a path leads to; whether that is a new file.
    fn look(
        &mut self,
        path: &Path,
        now: UnixNanos,
        before: &HashMap<Identity, usize>,
        is_seen: &mut [bool],
        cut: &mut Vec<String>,
    ) -> io::Result<bool> {
        let Some(seen) = Seen::look(path)? else { return Ok(false) };
        let oldest = self.options.exclude_older_than;
        if !oldest.is_zero() && seen.age(now) > oldest {
            return Ok(false);
        }
        let Some(&index) = before.get(&seen.identity) else { return Ok(true) };
        // Another name of the same file.
        if std::mem::replace(&mut is_seen[index], true) {
            return Ok(false);
        }
        let text = path.to_string_lossy();
        let followed = &mut self.followed[index];
        let is_same = followed.is_listed && followed.place.path == text;
        if is_same && (followed.length, followed.modified) == (seen.length, seen.modified) {
            return Ok(false);
        }
        let (file, found) = Handle::open(path, self.options.packing)?;
        if followed.place.identity != found.identity {
            is_seen[index] = false;
            return Ok(true);
        }
        if followed.place.is_in(&found) {
            followed.place = followed.place.moved_to(&found);
        } else {
            tracing::info!(receiver = self.options.id, path = %text, "the file was cut and is read from its beginning");
            self.lost.push(std::mem::replace(&mut followed.place, Place::start_of(&found)));
            followed.stream = None;
            cut.push(found.path.clone());
        }
        followed.file = Some(file);
        followed.is_listed = true;
        followed.see(&found, now);
        self.is_dirty = true;
        Ok(false)
    }

    fn add(&mut self, file: Handle, found: &Found, is_listed: bool, now: UnixNanos) {
        if self.followed.iter().any(|followed| followed.place.identity == found.identity) {
            return;
        }
        if self.followed.len() >= MAX_FILES {
            let path = found.path.clone();
            self.complain(&path, &format!("there are more than {MAX_FILES} files; it is left out"));
            return;
        }
        let is_same = |lost: &Place| lost.identity == found.identity && lost.is_in(found);
        let same = self.lost.iter().position(is_same);
        let known = same.or_else(|| self.lost.iter().position(|lost| lost.is_recognised(found)));
        let place = match known {
            Some(index) => self.lost.remove(index).moved_to(found),
            None if self.is_new_whole || found.is_packed => Place::start_of(found),
            None => Place { note: (self.options.note_of)(&found.head), ..Place::end_of(found) },
        };
        let ended_at = place.ended.filter(|ended| *ended == found.length);
        // Others are opened when it is their turn; one that its name has left cannot be.
        let is_kept = !is_listed || self.followed.len() < MAX_IDLE_OPEN;
        self.followed.push(Followed {
            place,
            file: Some(file).filter(|_| ended_at.is_none() && is_kept),
            is_packed: found.is_packed,
            is_listed,
            length: found.length,
            modified: found.modified,
            changed: now,
            ended_at,
            has_rest: false,
            is_tried: false,
            stream: None,
        });
        self.is_dirty = true;
    }

    /// What was not read yet of files that were cut is in their copies.
    fn look_for_copies(&mut self, cut: &[String], now: UnixNanos) {
        for path in cut {
            for (file, found) in self.siblings(path, place::is_called_alike) {
                if self.lost.iter().any(|lost| lost.path == *path && lost.is_recognised(&found)) {
                    self.add(file, &found, false, now);
                }
            }
        }
    }

    /// Looks for the files of an earlier run that no pattern leads to any more, and for what was written behind them while nobody
    /// looked.
    fn resume(&mut self, now: UnixNanos) {
        let missing: Vec<Place> = self.lost.iter().filter(|lost| lost.ended.is_none()).cloned().collect();
        for place in missing {
            // Only a log that is still written to has generations.
            if !self.followed.iter().any(|file| file.place.path == place.path) {
                continue;
            }
            let mut newest = None;
            for (file, found) in self.siblings(&place.path, place::is_called_alike) {
                let is_it = place.identity == found.identity && place.is_in(&found);
                if is_it || place.is_recognised(&found) {
                    newest = newest.max(Some(found.modified));
                    self.add(file, &found, false, now);
                }
            }
            let followed = self.followed.iter().filter(|file| file.place.head == place.head);
            let newest = newest.or_else(|| followed.map(|file| file.modified).max());
            let Some(newest) = newest else {
                tracing::warn!(
                    receiver = self.options.id,
                    path = place.path,
                    line = place.line,
                    "the file that was read before is gone; what was written behind that line may be lost"
                );
                continue;
            };
            for (file, found) in self.siblings(&place.path, place::is_generation) {
                if found.modified >= newest {
                    self.add(file, &found, false, now);
                }
            }
        }
    }

    /// Files beside a path that are called so and that nothing leads to, the oldest first.
    fn siblings(&self, path: &str, is_sibling: fn(&str, &str) -> bool) -> Vec<(Handle, Found)> {
        let is_followed = |found: &Found| self.followed.iter().any(|file| file.place.identity == found.identity);
        let paths = files::siblings(Path::new(path), is_sibling).into_iter().filter(|path| !self.is_excluded(path));
        let mut found: Vec<(Handle, Found)> = paths
            .take(MAX_SIBLINGS)
            .filter_map(|path| files::is_regular(&path).then(|| Handle::open(&path, self.options.packing).ok())?)
            .filter(|(_, found)| !is_followed(found))
            .collect();
        found.sort_by_key(|(_, found)| found.modified);
        found
    }

    /// Closes files that nothing leads to any more and that are read, and those that have rested longest if many are open.
    fn let_go(&mut self, now: UnixNanos) {
        let (kept, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.followed).into_iter().partition(|file| !file.is_over(now));
        self.followed = kept;
        self.is_dirty |= !gone.is_empty();
        self.lost.extend(gone.into_iter().map(|file| file.place));
        let is_idle =
            |file: &&mut Followed| file.is_listed && file.file.is_some() && file.ended_at == Some(file.length);
        let mut idle: Vec<&mut Followed> = self.followed.iter_mut().filter(is_idle).collect();
        let surplus = idle.len().saturating_sub(MAX_IDLE_OPEN);
        idle.sort_by_key(|file| file.changed.0);
        idle.into_iter().take(surplus).for_each(|file| file.file = None);
    }

    fn is_excluded(&self, path: &Path) -> bool {
        let text = path.to_string_lossy();
        self.options.exclude.iter().any(|pattern| pattern.matches(&text))
    }

    /// Says once what is wrong with a file, and what to do.
    fn complain(&mut self, path: &str, problem: &dyn std::fmt::Display) {
        let reason = problem.to_string();
        if self.said.get(path) == Some(&reason) || self.said.len() >= MAX_FILES {
            return;
        }
        tracing::warn!(
            receiver = self.options.id,
            path,
            reason,
            "a file cannot be read; let the user of this process read it, mend it, or add it to `exclude`"
        );
        self.said.insert(path.to_owned(), reason);
    }

    // === reading ===

    /// The first file from `index` on in which there may be something to read; without one the number of files.
    pub(crate) fn next_busy(&self, index: usize, now: UnixNanos) -> usize {
        let rest = self.followed.iter().enumerate().skip(index);
        let is_busy = |file: &Followed| file.rest(&self.options, now).is_some();
        rest.filter(|(_, file)| is_busy(file)).map(|(index, _)| index).next().unwrap_or(self.followed.len())
    }

    /// The next lines of a file. What is wrong with it is said, and it is looked at again when it has changed.
    pub(crate) fn read(&mut self, index: usize, budget: &Arc<Budget>, now: UnixNanos) -> Read {
        let read = self.followed[index].read(&self.options, budget, now);
        match read {
            Ok(read) => read,
            Err(error) => {
                let followed = &mut self.followed[index];
                let is_growing = error.kind() == io::ErrorKind::UnexpectedEof && followed.age(now) < LINGER;
                // What is being written may end anywhere: it is tried again, and said if it stays so.
                followed.ended_at = Some(followed.length);
                followed.has_rest = is_growing;
                (followed.stream, followed.file) = (None, followed.file.take().filter(|_| is_growing));
                if !is_growing {
                    let path = followed.place.path.clone();
                    self.complain(&path, &error);
                }
                Read::End { has_rest: false }
            }
        }
    }

    /// So many lines, which end at `end`, are taken.
    pub(crate) fn advance(&mut self, index: usize, end: u64, lines: u64) {
        let place = &mut self.followed[index].place;
        place.offset = end;
        place.line = place.line.map(|line| line + lines);
        self.is_dirty = true;
    }

    /// What the receiver must know of what was before the place.
    pub(crate) fn keep_note(&mut self, index: usize, note: Option<String>) {
        self.followed[index].place.keep_note(note);
    }

    /// The number of the line that begins at the file's place, counted from 1.
    pub(crate) fn line_number(&mut self, index: usize) -> u64 {
        let Followed { file, place, .. } = &mut self.followed[index];
        if let (None, Some(file)) = (place.line, file) {
            place.line = Some(file.lines_before(place.offset));
        }
        place.line.unwrap_or(0) + 1
    }

    /// Everything is to be read once more.
    pub(crate) fn rewind(&mut self) {
        for file in &mut self.followed {
            file.place = Place { offset: 0, line: Some(0), ended: None, note: None, ..std::mem::take(&mut file.place) };
            (file.stream, file.ended_at, file.has_rest) = (None, None, false);
        }
    }

    /// Keeps the places on disk if they have changed. An error is one sentence.
    pub(crate) fn keep(&mut self) -> Result<(), String> {
        let Some(folder) = self.options.storage.as_deref().filter(|_| self.is_dirty) else { return Ok(()) };
        files::write_places(folder, &to_text(self.followed.iter().map(|file| &file.place).chain(&self.lost)))?;
        self.is_dirty = false;
        Ok(())
    }
}

impl Followed {
    /// Takes over how the file is now.
    fn see(&mut self, found: &Found, now: UnixNanos) {
        if self.length != found.length || self.is_packed != found.is_packed {
            (self.changed, self.ended_at) = (now, None);
        }
        (self.length, self.modified, self.is_packed) = (found.length, found.modified, found.is_packed);
    }

    /// A file that its name has left, or that was removed, is read as long as it grows.
    fn leave_unless(&mut self, is_seen: bool, now: UnixNanos) {
        if !is_seen && self.is_listed {
            self.changed = now;
        }
        self.is_listed = is_seen;
        let length = self.file.as_ref().and_then(|file| file.length().ok());
        if let (false, Some(length)) = (is_seen, length.filter(|length| *length != self.length)) {
            (self.length, self.changed, self.ended_at) = (length, now, None);
        }
    }

    /// Since when it has not changed.
    fn age(&self, now: UnixNanos) -> Duration {
        Duration::from_nanos(now.0.saturating_sub(self.changed.0))
    }

    /// Nothing leads to it, and there is nothing more to read.
    fn is_over(&self, now: UnixNanos) -> bool {
        let is_read = self.ended_at == Some(self.length) && !self.has_rest;
        !self.is_listed && (self.file.is_none() || (is_read && self.age(now) >= LINGER))
    }

    /// What to do with its last line, if there may be something to read at all.
    fn rest(&self, options: &Options, now: UnixNanos) -> Option<Rest> {
        let is_at_end = self.ended_at == Some(self.length);
        let rest = match self.age(now) {
            // It was cut short, and may still be written.
            age if self.is_packed && is_at_end && age < LINGER => Rest::Wait,
            _ if self.is_packed => Rest::Take,
            age if !self.is_listed && age >= LINGER => Rest::Take,
            age if age >= options.flush_after => Rest::TakeWhole,
            _ => Rest::Wait,
        };
        let is_tried = rest == Rest::TakeWhole && self.is_tried;
        let is_done = is_at_end && (!self.has_rest || rest == Rest::Wait || is_tried);
        (!is_done).then_some(rest)
    }

    fn read(&mut self, options: &Options, budget: &Arc<Budget>, now: UnixNanos) -> io::Result<Read> {
        let Some(rest) = self.rest(options, now) else { return Ok(Read::End { has_rest: self.has_rest }) };
        let place = self.place.offset;
        let mut stream = match self.stream.take() {
            Some(stream) if stream.position == place && !stream.is_past => stream,
            Some(_) | None => self.open_stream(place)?,
        };
        let read = stream.read(&options.cutting, rest, budget)?;
        if let Read::End { has_rest } = &read {
            (self.ended_at, self.has_rest) = (Some(self.length), *has_rest);
            self.is_tried = rest == Rest::TakeWhole;
            // What is unpacked to its end gives no more, and a resting file needs no buffer.
            if self.is_packed {
                (self.place.ended, self.file) = (Some(self.length), None);
            }
        } else {
            self.stream = Some(stream);
        }
        Ok(read)
    }

    /// A stream at a position of what the file holds.
    fn open_stream(&mut self, position: u64) -> io::Result<Stream> {
        if self.file.is_none() {
            let file = Handle::reopen(Path::new(&self.place.path), self.place.identity)?;
            self.file = Some(file);
        }
        let Some(file) = &self.file else { return Err(io::ErrorKind::NotFound.into()) };
        Ok(Stream::new(file.reader_at(position, self.is_packed)?, position))
    }
}
