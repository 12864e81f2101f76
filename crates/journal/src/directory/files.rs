//! Real files in a real folder.
//!
//! Errors keep the kind of the operating system's error and say which file was meant; the cause is their source.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::FlockOperation;

use crate::directory::{Directory, Entry, LOCK_NAME, ReadableFile, Space, WritableFile, check_folder, check_path};

/// Spans hold personal data: only the owner reads them.
const FILE_MODE: u32 = 0o600;
/// As [`FILE_MODE`].
const FOLDER_MODE: u32 = 0o700;

/// Reads longer than this are compared with the file's length before memory is taken for them, so that a damaged length
/// in some footer cannot ask for gigabytes.
const UNCHECKED_READ_BYTES: usize = 1024 * 1024;

/// A folder of the file system.
#[derive(Clone, Debug)]
pub struct FilesDirectory {
    top: PathBuf,
}

impl FilesDirectory {
    /// Opens the folder `top`, creating it and its parents if absent.
    pub fn open(top: impl Into<PathBuf>) -> io::Result<Self> {
        let top = top.into();
        let absent: Vec<&Path> = top.ancestors().take_while(|folder| is_absent(folder)).collect();
        create_folders(&top).map_err(|error| about("create folder", &top, error))?;
        // The name of a new folder is durable once its parent is.
        for parent in absent.into_iter().filter_map(Path::parent) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            match sync_folder(parent) {
                // A folder in which we may create but not read; the system's next sync must do.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                other => other?,
            }
        }
        Ok(Self { top })
    }

    /// The folder.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    fn file(&self, path: &str) -> io::Result<PathBuf> {
        check_path(path)?;
        Ok(self.top.join(path))
    }

    fn folder(&self, path: &str) -> io::Result<PathBuf> {
        check_folder(path)?;
        Ok(self.top.join(path))
    }
}

impl Directory for FilesDirectory {
    fn create(&self, path: &str) -> io::Result<Box<dyn WritableFile>> {
        let path = self.file(path)?;
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|error| about("create", &path, error))?;
        Ok(Box::new(AppendedFile { file, path }))
    }

    fn open_append(&self, path: &str) -> io::Result<Box<dyn WritableFile>> {
        let path = self.file(path)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(|error| about("open", &path, error))?;
        Ok(Box::new(AppendedFile { file, path }))
    }

    fn open_read(&self, path: &str) -> io::Result<Arc<dyn ReadableFile>> {
        let path = self.file(path)?;
        let file = File::open(&path).map_err(|error| about("open", &path, error))?;
        Ok(Arc::new(ReadFile { file, path }))
    }

    fn truncate(&self, path: &str, length: u64) -> io::Result<()> {
        let path = self.file(path)?;
        let shorten = || {
            let file = OpenOptions::new().write(true).open(&path)?;
            if file.metadata()?.len() > length { file.set_len(length) } else { Ok(()) }
        };
        shorten().map_err(|error| about("shorten", &path, error))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let from = self.file(from)?;
        let to = self.file(to)?;
        fs::rename(&from, &to).map_err(|error| about("rename", &from, error))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.file(path)?;
        fs::remove_file(&path).map_err(|error| about("remove", &path, error))
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        let path = self.folder(path)?;
        create_folders(&path).map_err(|error| about("create folder", &path, error))
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        check_path(path)?;
        let path = self.top.join(path);
        fs::remove_dir(&path).map_err(|error| about("remove folder", &path, error))
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let path = self.folder(path)?;
        list(&path).map_err(|error| about("list", &path, error))
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        sync_folder(&self.folder(path)?)
    }

    fn space(&self) -> io::Result<Space> {
        let volume =
            rustix::fs::statvfs(&self.top).map_err(|error| about("ask the free space of", &self.top, error.into()))?;
        Ok(Space {
            free: volume.f_bavail.saturating_mul(volume.f_frsize),
            total: volume.f_blocks.saturating_mul(volume.f_frsize),
        })
    }

    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let path = self.top.join(LOCK_NAME);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|error| about("create", &path, error))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // The kernel gives the lock back when the file is closed, also when the process is killed.
            Ok(()) => Ok(Box::new(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!("folder {} is in use by another process", self.top.display()),
            )),
            Err(error) => Err(about("lock", &path, error.into())),
        }
    }
}

#[derive(Debug)]
struct AppendedFile {
    file: File,
    path: PathBuf,
}

impl WritableFile for AppendedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).map_err(|error| about("write", &self.path, error))
    }

    fn sync(&mut self) -> io::Result<()> {
        rustix::fs::fdatasync(&self.file).map_err(|error| about("sync", &self.path, error.into()))
    }
}

#[derive(Debug)]
struct ReadFile {
    file: File,
    path: PathBuf,
}

impl ReadableFile for ReadFile {
    fn length(&self) -> io::Result<u64> {
        let metadata = self.file.metadata().map_err(|error| about("read", &self.path, error))?;
        Ok(metadata.len())
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let end = offset.checked_add(length as u64);
        if length > UNCHECKED_READ_BYTES && end.is_none_or(|end| self.length().is_ok_and(|len| end > len)) {
            return Err(about("read", &self.path, io::ErrorKind::UnexpectedEof.into()));
        }
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let position = offset + bytes.len() as u64;
            // `with_capacity` may give more room than asked for; what was read beyond is cut below.
            match rustix::io::pread(&self.file, rustix::buffer::spare_capacity(&mut bytes), position) {
                Ok(0) => return Err(about("read", &self.path, io::ErrorKind::UnexpectedEof.into())),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(about("read", &self.path, error.into())),
            }
        }
        bytes.truncate(length);
        Ok(Bytes::from(bytes))
    }
}

fn create_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// The empty path is the current folder.
fn is_absent(folder: &Path) -> bool {
    !folder.as_os_str().is_empty() && matches!(folder.try_exists(), Ok(false))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let sync = || rustix::fs::fsync(File::open(path)?).map_err(io::Error::from);
    sync().map_err(|error| about("sync folder", path, error))
}

fn list(path: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // A name that is no UTF-8 was not made by us and cannot be asked for.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name == LOCK_NAME {
            continue;
        }
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Removed between the two calls.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let is_folder = metadata.is_dir();
        entries.push(Entry { name, is_folder, length: if is_folder { 0 } else { metadata.len() } });
    }
    entries.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    Ok(entries)
}

/// `error` with what was tried on which file.
fn about(operation: &'static str, path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), FileError { operation, path: path.to_owned(), source: error })
}

#[derive(Debug)]
struct FileError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {} {}", self.operation, self.path.display())
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
