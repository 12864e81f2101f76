//! The files of one receiver: found by their patterns, followed through renames and cuts, read line by line. Everything
//! here may block.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::json::is_json;

use super::glob::{Pattern, Step};
use super::packing::{Packing, unpacked};
use super::tracking::{FINGERPRINT_BYTES, Found, Identity, Place, from_text, to_text};
use crate::budget::{Budget, Exhausted, PaidBuffer};

/// Files that are open at once; patterns that match more are a mistake.
const MAX_FILES: usize = 1024;
/// Places of files that are gone, kept so that a copy or a file that comes back is recognised.
const MAX_LOST: usize = 1024;
/// Lines that are on their way at once, and their bytes: what waits for one acknowledgement together.
const WINDOW_LINES: usize = 32;
const WINDOW_BYTES: usize = 4 << 20;
/// How much is read at once.
const READ_BYTES: usize = 64 << 10;
/// Deepest folder that `**` reaches.
const MAX_DEPTH: usize = 64;
/// The name of the file that keeps the places.
const PLACES: &str = "places.json";

/// What is read, and how.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) include: Vec<Pattern>,
    pub(super) exclude: Vec<Pattern>,
    pub(super) exclude_older_than: Duration,
    pub(super) from_the_end: bool,
    pub(super) max_line_bytes: usize,
    pub(super) packing: Packing,
    pub(super) flush_after: Duration,
    /// Where the places are kept; `None`: in memory only.
    pub(super) storage: Option<PathBuf>,
}

/// The files.
#[derive(Debug)]
pub(super) struct Files {
    options: Options,
    open: Vec<OpenFile>,
    lost: Vec<Place>,
    /// Files that were not there before are read from their beginning.
    is_new_whole: bool,
    is_dirty: bool,
}

struct OpenFile {
    file: File,
    place: Place,
    is_packed: bool,
    /// A pattern leads to it; another one is read to its end and let go.
    is_listed: bool,
    length: u64,
    /// When `length` was last seen to change.
    changed: UnixNanos,
    /// Read to its end when it was so long.
    ended_at: Option<u64>,
    stream: Option<Stream>,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("path", &self.place.path).field("offset", &self.place.offset).finish()
    }
}

/// A file being read at a position.
struct Stream {
    reader: Box<dyn BufRead + Send>,
    position: u64,
}

/// Lines that follow each other.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) lines: Vec<Line>,
    /// There was no memory for the next one.
    pub(super) is_exhausted: bool,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    /// Where the next one begins.
    pub(super) end: u64,
    pub(super) content: Content,
}

/// What is in a line.
#[derive(Debug)]
pub(super) enum Content {
    Blank,
    Text(PaidBuffer),
    TooLong,
}

impl Files {
    /// Reads where the places were kept. An error is one sentence.
    pub(super) fn new(options: Options) -> Result<Self, String> {
        let mut files = Self { options, open: Vec::new(), lost: Vec::new(), is_new_whole: false, is_dirty: false };
        files.is_new_whole = !files.options.from_the_end;
        if let Some(folder) = &files.options.storage {
            let said = |error: io::Error| format!("{}: {error}", folder.display());
            std::fs::create_dir_all(folder).map_err(said)?;
            match std::fs::read_to_string(folder.join(PLACES)) {
                Ok(text) => {
                    let broken = || format!("{}: not written by rootspan", folder.join(PLACES).display());
                    files.lost = from_text(&text).ok_or_else(broken)?;
                    // What is not among them came while nobody looked.
                    files.is_new_whole = true;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(said(error)),
            }
        }
        Ok(files)
    }

    /// How many files are open.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// The path of a file.
    pub(super) fn path(&self, index: usize) -> &str {
        &self.open[index].place.path
    }

    /// Looks what the patterns lead to now. What a cut file had is said.
    pub(super) fn discover(&mut self, now: UnixNanos) -> Vec<String> {
        self.let_go();
        self.open.iter_mut().for_each(|open| open.is_listed = false);
        let mut cut = Vec::new();
        let mut new = Vec::new();
        for path in self.expand() {
            let Ok(Some((file, found))) = open(&path, now, self.options.exclude_older_than) else { continue };
            let Some(open) = self.open.iter_mut().find(|open| open.place.identity == found.identity) else {
                new.push((file, found));
                continue;
            };
            if open.is_listed {
                continue;
            }
            open.is_listed = true;
            if open.length != found.length {
                (open.length, open.changed, open.ended_at) = (found.length, now, None);
            }
            let Some(followed) = open.place.follow(&found, open.is_packed) else { continue };
            if followed.is_cut {
                cut.push(found.path.clone());
                open.stream = None;
                open.is_packed = self.options.packing.is_packed(&found.head);
                self.lost.push(std::mem::replace(&mut open.place, followed.place));
                self.is_dirty = true;
            } else {
                open.place = followed.place;
            }
        }
        for (file, found) in new {
            self.add(file, &found, now);
        }
        self.is_new_whole = true;
        let surplus = self.lost.len().saturating_sub(MAX_LOST);
        self.lost.drain(..surplus);
        cut
    }

    fn add(&mut self, file: File, found: &Found, now: UnixNanos) {
        if self.open.len() >= MAX_FILES || self.open.iter().any(|open| open.place.identity == found.identity) {
            return;
        }
        let is_packed = self.options.packing.is_packed(&found.head);
        let same = self.lost.iter().position(|lost| lost.follow(found, is_packed).is_some_and(|f| !f.is_cut));
        let known = same.or_else(|| self.lost.iter().position(|lost| lost.recognise(found, is_packed).is_some()));
        let place = match known {
            Some(index) => Place { path: found.path.clone(), ..self.lost.remove(index) },
            None if self.is_new_whole || is_packed => Place::start_of(found),
            None => Place { offset: found.length, line: None, ..Place::start_of(found) },
        };
        let place = Place { identity: found.identity, fingerprint: found.head.clone(), ..place };
        let (length, changed) = (found.length, now);
        let is_listed = true;
        self.open.push(OpenFile { file, place, is_packed, is_listed, length, changed, ended_at: None, stream: None });
        self.is_dirty = true;
    }

    /// Closes files that nothing leads to any more and that are read.
    fn let_go(&mut self) {
        let (kept, gone) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open: &OpenFile| open.is_listed || open.ended_at != Some(open.length));
        self.open = kept;
        self.is_dirty |= !gone.is_empty();
        self.lost.extend(gone.into_iter().map(|open| open.place));
    }

    /// The paths that the patterns lead to, in order, each once.
    fn expand(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for pattern in &self.options.include {
            let top = if pattern.is_absolute { PathBuf::from("/") } else { PathBuf::new() };
            walk(&top, &pattern.steps, 0, &mut paths);
        }
        paths.sort();
        paths.dedup();
        let is_excluded = |path: &Path| {
            let text = path.to_string_lossy();
            self.options.exclude.iter().any(|pattern| pattern.matches(&text))
        };
        paths.retain(|path| !is_excluded(path));
        paths
    }

    /// The next lines of a file; none at its end.
    ///
    /// # Errors
    /// Those of reading and unpacking.
    pub(super) fn read(&mut self, index: usize, budget: &Arc<Budget>, now: UnixNanos) -> io::Result<Window> {
        let (max_line_bytes, flush_after) = (self.options.max_line_bytes, self.options.flush_after);
        let open = &mut self.open[index];
        let mut window = Window::default();
        if open.is_packed && open.ended_at == Some(open.length) {
            return Ok(window);
        }
        let place = open.place.offset;
        let mut stream = match open.stream.take().filter(|stream| stream.position == place) {
            Some(stream) => stream,
            None => open.stream(place)?,
        };
        let mut bytes = 0;
        while window.lines.len() < WINDOW_LINES && bytes < WINDOW_BYTES {
            let before = stream.position;
            match read_line(&mut stream, budget, max_line_bytes)? {
                Read::Line(content) => {
                    bytes += usize::try_from(stream.position - before).unwrap_or(usize::MAX);
                    window.lines.push(Line { end: stream.position, content });
                }
                Read::Exhausted => {
                    window.is_exhausted = true;
                    return Ok(window);
                }
                Read::End(rest) => {
                    let is_quiet = now.0.saturating_sub(open.changed.0) >= flush_after.as_nanos() as u64;
                    let is_last = !open.is_listed || open.is_packed || is_quiet;
                    let is_whole = |rest: &PaidBuffer| is_json(rest.as_ref());
                    match rest {
                        // A line without an end that is whole as it is: its writer has stopped.
                        Some(rest) if is_last && is_whole(&rest) => {
                            window.lines.push(Line { end: stream.position, content: Content::Text(rest) });
                        }
                        // The stream is past what is not taken.
                        Some(_) => {
                            open.end();
                            return Ok(window);
                        }
                        None => {}
                    }
                    open.end();
                    break;
                }
            }
        }
        // What is unpacked to its end gives no more, also if the file grows.
        if !open.is_packed || open.ended_at != Some(open.length) {
            open.stream = Some(stream);
        }
        Ok(window)
    }

    /// A file cannot be read on as it is now.
    pub(super) fn give_up(&mut self, index: usize) {
        self.open[index].end();
        self.open[index].stream = None;
    }

    /// So many lines, which end at `end`, are taken.
    pub(super) fn advance(&mut self, index: usize, end: u64, lines: u64) {
        let place = &mut self.open[index].place;
        place.offset = end;
        place.line = place.line.map(|line| line + lines);
        self.is_dirty = true;
    }

    /// The number of the line that begins at the file's place, counted from 1.
    pub(super) fn line_number(&mut self, index: usize) -> u64 {
        let OpenFile { file, place, .. } = &mut self.open[index];
        if place.line.is_none() {
            let mut lines = 0;
            let mut buffer = vec![0; READ_BYTES];
            let mut position = 0;
            while position < place.offset {
                let wanted = buffer.len().min(usize::try_from(place.offset - position).unwrap_or(usize::MAX));
                match file.read_at(&mut buffer[..wanted], position) {
                    Ok(read) if read > 0 => {
                        lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
                        position += read as u64;
                    }
                    Ok(_) | Err(_) => break,
                }
            }
            place.line = Some(lines);
        }
        place.line.unwrap_or(0) + 1
    }

    /// Everything is to be read once more.
    pub(super) fn rewind(&mut self) {
        for open in &mut self.open {
            open.place.offset = 0;
            open.place.line = Some(0);
            open.stream = None;
            open.ended_at = None;
        }
    }

    /// Keeps the places on disk if they have changed. An error is one sentence.
    pub(super) fn keep(&mut self) -> Result<(), String> {
        let Some(folder) = self.options.storage.as_ref().filter(|_| self.is_dirty) else { return Ok(()) };
        let places: Vec<Place> = self.open.iter().map(|open| &open.place).chain(&self.lost).cloned().collect();
        let (new, path) = (folder.join("places.new"), folder.join(PLACES));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
            file.write_all(to_text(&places).as_bytes())?;
            file.sync_data()?;
            std::fs::rename(&new, &path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error| format!("{}: {error}", path.display()))?;
        self.is_dirty = false;
        Ok(())
    }
}

impl OpenFile {
    fn end(&mut self) {
        self.ended_at = Some(self.length);
    }

    /// A stream at a position of what the file holds.
    fn stream(&self, position: u64) -> io::Result<Stream> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(if self.is_packed { 0 } else { position }))?;
        let reader = BufReader::with_capacity(READ_BYTES, file);
        if !self.is_packed {
            return Ok(Stream { reader: Box::new(reader), position });
        }
        let mut reader = BufReader::with_capacity(READ_BYTES, unpacked(reader)?);
        io::copy(&mut reader.by_ref().take(position), &mut io::sink())?;
        Ok(Stream { reader: Box::new(reader), position })
    }
}

/// What came next in a stream.
enum Read {
    Line(Content),
    /// The end, and what stands behind the last line.
    End(Option<PaidBuffer>),
    Exhausted,
}

fn read_line(stream: &mut Stream, budget: &Arc<Budget>, limit: usize) -> io::Result<Read> {
    let Ok(mut line) = PaidBuffer::with_capacity(budget, 0) else { return Ok(Read::Exhausted) };
    let (mut is_too_long, mut is_begun) = (false, false);
    loop {
        let chunk = stream.reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(Read::End((is_begun && !is_too_long).then_some(line)));
        }
        is_begun = true;
        let end = memchr::memchr(b'\n', chunk);
        let content = &chunk[..end.unwrap_or(chunk.len())];
        if !is_too_long && line.as_ref().len() + content.len() > limit {
            // What is passed over is not held.
            is_too_long = true;
        }
        if !is_too_long && let Err(Exhausted) = line.append(content, limit) {
            return Ok(Read::Exhausted);
        }
        let length = content.len() + usize::from(end.is_some());
        stream.reader.consume(length);
        stream.position += length as u64;
        if end.is_some() {
            let is_blank = line.as_ref().iter().all(u8::is_ascii_whitespace);
            return Ok(Read::Line(match (is_too_long, is_blank) {
                (true, _) => Content::TooLong,
                (false, true) => Content::Blank,
                (false, false) => Content::Text(line),
            }));
        }
    }
}

/// A regular file, and what it looks like; `None` if it is something else or too old.
fn open(path: &Path, now: UnixNanos, older_than: Duration) -> io::Result<Option<(File, Found)>> {
    // Opening a pipe would wait for its other end.
    let before = std::fs::metadata(path)?;
    if !before.is_file() {
        return Ok(None);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = Duration::from_nanos(now.0).saturating_sub(modified);
    if !metadata.is_file() || (!older_than.is_zero() && age > older_than) {
        return Ok(None);
    }
    let mut head = vec![0; FINGERPRINT_BYTES];
    let mut filled = 0;
    while filled < head.len() {
        match file.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    head.truncate(filled);
    let identity = Identity { device: metadata.dev(), inode: metadata.ino() };
    let found = Found { path: path.to_string_lossy().into_owned(), identity, head, length: metadata.len() };
    Ok(Some((file, found)))
}

/// Adds what a pattern's steps lead to from a folder. Folders that cannot be listed hold nothing.
fn walk(folder: &Path, steps: &[Step], depth: usize, paths: &mut Vec<PathBuf>) {
    let [step, rest @ ..] = steps else { return };
    if depth > MAX_DEPTH {
        return;
    }
    let mut enter = |path: PathBuf, rest: &[Step]| {
        if rest.is_empty() { paths.push(path) } else { walk(&path, rest, depth + 1, paths) }
    };
    if let Step::Name(name) = step {
        return enter(folder.join(name), rest);
    }
    let is_deep = *step == Step::AnyDepth;
    if is_deep && !rest.is_empty() {
        walk(folder, rest, depth + 1, paths);
    }
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in std::fs::read_dir(listed).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = folder.join(&name);
        // Links to folders are not followed below `**`: they may lead in circles.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_deep {
            if is_folder {
                walk(&path, steps, depth + 1, paths);
            } else if rest.is_empty() {
                paths.push(path);
            }
        } else if step.matches(&name) {
            if rest.is_empty() { paths.push(path) } else { walk(&path, rest, depth + 1, paths) }
        }
    }
}
