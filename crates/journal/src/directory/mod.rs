//! The only door to files: a flat or nested folder in which files are appended to, read, renamed and removed.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// A folder. Paths are relative, separated by `/`, and never leave the folder.
///
/// Durability: data is durable after [`WritableFile::sync`]; a created, renamed or removed *name* after
/// [`Directory::sync_folder`] of the folder that holds it.
pub trait Directory: Send + Sync + Debug {
    /// Creates a file for appending; an existing one is an error.
    fn create(&self, path: &str) -> io::Result<Box<dyn WritableFile>>;
    /// Opens an existing file for appending at its end.
    fn open_append(&self, path: &str) -> io::Result<Box<dyn WritableFile>>;
    /// Opens a file for random reads.
    fn open_read(&self, path: &str) -> io::Result<Arc<dyn ReadableFile>>;
    /// Shortens a file.
    fn truncate(&self, path: &str, length: u64) -> io::Result<()>;
    /// Renames, replacing the target atomically.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; absent is an error of kind `NotFound`.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Creates a folder and its parents.
    fn create_folder(&self, path: &str) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &str) -> io::Result<()>;
    /// Names of files and folders directly in `path` (`""` is the top), sorted.
    fn list(&self, path: &str) -> io::Result<Vec<Entry>>;
    /// Makes names in `path` durable.
    fn sync_folder(&self, path: &str) -> io::Result<()>;
    /// Free and total bytes of the volume.
    fn space(&self) -> io::Result<Space>;
    /// Takes the exclusive lock of the whole folder until the guard is dropped; `WouldBlock` if another process has it.
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>>;
}

/// A file being written.
pub trait WritableFile: Send + Debug {
    /// Appends all of `bytes`.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// `fdatasync`.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file being read, from any thread.
pub trait ReadableFile: Send + Sync + Debug {
    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Exactly `length` bytes from `offset`; `UnexpectedEof` if there are fewer.
    fn read(&self, offset: u64, length: usize) -> io::Result<Bytes>;
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last component of the path.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Length of a file, 0 for a folder.
    pub length: u64,
}

/// Space of a volume in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// Available to this process.
    pub free: u64,
    /// In all.
    pub total: u64,
}
