//! The files of the receiver: logs, their rotated siblings, and the one that remembers positions.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

/// How much of a file's beginning tells it from others: the first lines have random ids in them.
const HEAD_BYTES: u64 = 1024;

/// Siblings that are looked at; more generations than anybody keeps uncompressed.
const MAX_SIBLINGS: usize = 64;

/// Largest file of positions that is read.
const MAX_POSITION_BYTES: u64 = 4 << 20;

/// Which file a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// How a file begins: what a copy of it has, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes that were looked at; none: nothing is known.
    pub(super) bytes: u64,
    /// SHA-256 of them, in hexadecimal.
    pub(super) hash: String,
}

/// An open log.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    file: File,
}

impl LogFile {
    /// Opens a file; `None` if there is none, or if it is no regular one.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let identity = Identity { device: meta.dev(), inode: meta.ino() };
        Ok(Some(Self { path: path.to_owned(), identity, file }))
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub(super) fn modified(&self) -> io::Result<SystemTime> {
        self.file.metadata()?.modified()
    }

    /// Up to `max` bytes from `offset`.
    pub(super) fn read(&self, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; max];
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + length as u64) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The head of a file that was read up to `offset`: what is before does not change.
    pub(super) fn head(&self, offset: u64) -> io::Result<Head> {
        let bytes = offset.min(HEAD_BYTES);
        let read = self.read(0, usize::try_from(bytes).unwrap_or(usize::MAX))?;
        if bytes == 0 || (read.len() as u64) < bytes {
            return Ok(Head::default());
        }
        let hash = Sha256::digest(&read).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Head { bytes, hash })
    }

    /// Whether the file begins so and is long enough to be the one that was read up to `offset`.
    pub(super) fn continues(&self, head: &Head, offset: u64) -> io::Result<bool> {
        Ok(self.length()? >= offset && (head.bytes == 0 || self.head(head.bytes)? == *head))
    }
}

/// Which file `path` leads to now.
pub(super) fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(Some(Identity { device: meta.dev(), inode: meta.ino() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The log and its rotated generations that are not compressed, oldest first.
pub(super) fn generations(path: &Path) -> io::Result<Vec<LogFile>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let other = entry?.file_name().to_string_lossy().into_owned();
        // `access.log.1`, `access.log-20261125`, `access-20261125.log`
        let rest = other.strip_prefix(&name).or_else(|| other.strip_prefix(&stem)).unwrap_or("x");
        let is_compressed = [".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z"].iter().any(|end| other.ends_with(end));
        if (rest.is_empty() || rest.starts_with(['.', '-'])) && !is_compressed && found.len() < MAX_SIBLINGS {
            let file = LogFile::open(&folder.join(&other)).ok().flatten();
            found.extend(file.and_then(|file| Some((file.modified().ok()?, file))));
        }
    }
    found.sort_by_key(|(modified, _)| *modified);
    Ok(found.into_iter().map(|(_, file)| file).collect())
}

/// The text of the file of positions; `None` if there is none yet.
pub(super) fn read_positions(path: &Path) -> io::Result<Option<String>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.len() > MAX_POSITION_BYTES => return Err(io::Error::other("the file is too long")),
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    std::fs::read_to_string(path).map(Some)
}

/// Replaces the file of positions as a whole.
pub(super) fn write_positions(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    std::fs::rename(&new, path)
}

/// Removes the socket that an earlier run has left; nothing else.
pub(super) fn remove_socket(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets everybody write to a socket: nginx's workers are another user.
pub(super) fn open_to_all(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
}

/// Datagrams that the kernel had no room for at this port; 0 if it does not tell.
pub(super) fn udp_drops(port: u16) -> u64 {
    let wanted = format!(":{port:04X}");
    let of = |path: &str| -> u64 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let ours = lines.filter(|words| words.get(1).is_some_and(|local| local.ends_with(&wanted)));
        ours.filter_map(|words| words.last()?.parse::<u64>().ok()).sum()
    };
    of("/proc/net/udp") + of("/proc/net/udp6")
}
