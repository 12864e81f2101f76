//! What following touches on the disk: folders, files, and the one that keeps the places. Everything here may block.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rootspan_model::time::UnixNanos;

use super::glob::{Pattern, Step};
use super::packing::{Packing, unpacked};
use super::place::{Found, HEAD_BYTES, Identity};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;
/// Deepest folder that `**` reaches.
const MAX_DEPTH: usize = 64;
/// Largest file of places that is read.
const MAX_PLACES_BYTES: u64 = 64 << 20;
/// The name of the file that keeps the places.
const PLACES: &str = "places.json";

/// What a path leads to, without opening it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) identity: Identity,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
}

impl Seen {
    /// `None` if it is no regular file: opening a pipe would wait for its other end.
    pub(super) fn look(path: &Path) -> io::Result<Option<Self>> {
        let metadata = std::fs::metadata(path)?;
        metadata.is_file().then(|| Self::of(&metadata)).transpose()
    }

    fn of(metadata: &Metadata) -> io::Result<Self> {
        let identity = Identity { device: metadata.dev(), inode: metadata.ino() };
        Ok(Self { identity, length: metadata.len(), modified: metadata.modified()? })
    }

    /// How long nobody has written to it.
    pub(super) fn age(&self, now: UnixNanos) -> Duration {
        Duration::from_nanos(now.0).saturating_sub(self.modified.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// Whether a path leads to a regular file.
pub(super) fn is_regular(path: &Path) -> bool {
    matches!(Seen::look(path), Ok(Some(_)))
}

/// An open file.
#[derive(Debug)]
pub(super) struct Handle(File);

impl Handle {
    /// Opens a file; also gives what it looks like.
    pub(super) fn open(path: &Path, packing: Packing) -> io::Result<(Self, Found)> {
        let handle = Self(File::open(path)?);
        let Seen { identity, length, modified } = handle.seen()?;
        let mut head = handle.head()?;
        let is_packed = packing.is_packed(&head);
        if is_packed {
            head.clear();
            // What cannot be unpacked, or not yet, is said when it is read.
            if let Ok(inside) = handle.reader_at(0, true) {
                drop(inside.take(HEAD_BYTES as u64).read_to_end(&mut head));
            }
        }
        let path = path.to_string_lossy().into_owned();
        Ok((handle, Found { path, identity, head, length, modified, is_packed }))
    }

    /// Opens a file again that was closed meanwhile.
    pub(super) fn reopen(path: &Path, expected: Identity) -> io::Result<Self> {
        let handle = Self(File::open(path)?);
        if handle.seen()?.identity == expected { Ok(handle) } else { Err(io::Error::other("it was replaced")) }
    }

    fn seen(&self) -> io::Result<Seen> {
        Seen::of(&self.0.metadata()?)
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn head(&self) -> io::Result<Vec<u8>> {
        let mut head = vec![0; HEAD_BYTES];
        let mut filled = 0;
        while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        head.truncate(filled);
        Ok(head)
    }

    /// What the file holds, from a position of that on.
    pub(super) fn reader_at(&self, position: u64, is_packed: bool) -> io::Result<Box<dyn BufRead + Send>> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(if is_packed { 0 } else { position }))?;
        let reader = BufReader::with_capacity(READ_BYTES, file);
        if !is_packed {
            return Ok(Box::new(reader));
        }
        let mut reader = BufReader::with_capacity(READ_BYTES, unpacked(reader)?);
        io::copy(&mut reader.by_ref().take(position), &mut io::sink())?;
        Ok(Box::new(reader))
    }

    /// How many lines there are before a position.
    pub(super) fn lines_before(&self, offset: u64) -> u64 {
        let mut lines = 0;
        let mut buffer = vec![0; READ_BYTES];
        let mut position = 0;
        while position < offset {
            let wanted = buffer.len().min(usize::try_from(offset - position).unwrap_or(usize::MAX));
            match self.0.read_at(&mut buffer[..wanted], position) {
                Ok(read) if read > 0 => {
                    lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
                    position += read as u64;
                }
                Ok(_) | Err(_) => break,
            }
        }
        lines
    }
}

/// The text of the file that keeps the places in `folder`, which is made; `None` if there is none. An error is one sentence.
pub(super) fn read_places(folder: &Path) -> Result<Option<String>, String> {
    let path = folder.join(PLACES);
    let read = || {
        std::fs::create_dir_all(folder)?;
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.len() > MAX_PLACES_BYTES => return Err(io::Error::other("the file is too long")),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        std::fs::read_to_string(&path).map(Some)
    };
    read().map_err(|error| format!("{}: {error}", path.display()))
}

/// Replaces that file as a whole. An error is one sentence.
pub(super) fn write_places(folder: &Path, text: &str) -> Result<(), String> {
    let (new, path) = (folder.join("places.new"), folder.join(PLACES));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        std::fs::rename(&new, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

/// The paths beside `path` whose names `is_sibling` of its own.
pub(super) fn siblings(path: &Path, is_sibling: fn(&str, &str) -> bool) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(Path::new(""));
    let names = list(folder).map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|other| is_sibling(&name, other)).map(|other| folder.join(other)).collect()
}

/// What is in a folder; in one that cannot be listed is nothing.
fn list(folder: &Path) -> impl Iterator<Item = std::fs::DirEntry> + use<> {
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::read_dir(listed).into_iter().flatten().flatten()
}

/// The paths that patterns lead to, in order, each once.
pub(super) fn expand(patterns: &[Pattern]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for pattern in patterns {
        let top = if pattern.is_absolute { PathBuf::from("/") } else { PathBuf::new() };
        walk(&top, &pattern.steps, 0, &mut paths);
    }
    paths.sort();
    paths.dedup();
    paths
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
    for entry in list(folder) {
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
