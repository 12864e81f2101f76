//! The only door to files: a flat or nested folder in which files are appended to, read, renamed and removed.
//!
//! [`files`] is the real one, [`memory`] keeps everything in memory and can lose power, [`faulty`] fails on demand.
//! [`checksum`] adds a CRC32C per 64 KiB to a finished file and checks it on every read.

pub mod checksum;
pub mod faulty;
pub mod files;
pub mod memory;
mod random;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// A folder. Paths are relative, separated by `/`, and never leave the folder.
///
/// Durability: data is durable after [`WritableFile::sync`]; a created, renamed or removed *name* after
/// [`Directory::sync_folder`] of the folder that holds it. Until then a loss of power may or may not undo it.
pub trait Directory: Send + Sync + Debug {
    /// Creates a file for appending; an existing one is an error of kind `AlreadyExists`.
    fn create(&self, path: &str) -> io::Result<Box<dyn WritableFile>>;
    /// Opens an existing file for appending at its end.
    fn open_append(&self, path: &str) -> io::Result<Box<dyn WritableFile>>;
    /// Opens a file for random reads. It stays readable after its name is gone.
    fn open_read(&self, path: &str) -> io::Result<Arc<dyn ReadableFile>>;
    /// Shortens a file; it never makes one longer.
    fn truncate(&self, path: &str, length: u64) -> io::Result<()>;
    /// Renames a file, replacing the target atomically. Folders are not renamed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; absent is an error of kind `NotFound`.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Creates a folder and its parents; an existing one is fine. [`create_folder_durably`] also syncs the names.
    fn create_folder(&self, path: &str) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &str) -> io::Result<()>;
    /// Names of files and folders directly in `path` (`""` is the top), sorted. The lock file is not listed.
    fn list(&self, path: &str) -> io::Result<Vec<Entry>>;
    /// Makes names in `path` durable (`""` is the top).
    fn sync_folder(&self, path: &str) -> io::Result<()>;
    /// Free and total bytes of the volume.
    fn space(&self) -> io::Result<Space>;
    /// Takes the exclusive lock of the whole folder until the guard is dropped; `WouldBlock` if somebody else has it.
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>>;
}

/// A file being written. Data that was appended but not synced is lost with the power, in whole or in part.
pub trait WritableFile: Send + Debug {
    /// Appends all of `bytes`. After an error any part of them may be in the file.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// `fdatasync`. After an error nothing appended since the last good sync can be relied on, *even if a later sync
    /// succeeds*: the kernel may have dropped the pages. Write it again elsewhere.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Available to this process.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// The lock's name in the top folder; no other file may be called so.
pub const LOCK_NAME: &str = ".lock";

/// Creates a folder and its parents and makes their names durable.
pub fn create_folder_durably(directory: &dyn Directory, path: &str) -> io::Result<()> {
    directory.create_folder(path)?;
    let mut folder = path;
    while !folder.is_empty() {
        folder = parent(folder);
        directory.sync_folder(folder)?;
    }
    Ok(())
}

/// The folder that holds `path`; `""` for the top.
#[must_use]
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `folder/name`, or `name` at the top.
#[must_use]
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Refuses what could leave the folder or name something unexpected in it.
fn check_path(path: &str) -> io::Result<()> {
    let good = path.split('/').all(|part| {
        !matches!(part, "" | "." | ".." | LOCK_NAME) && !part.bytes().any(|byte| byte < b' ' || byte == b'\\')
    });
    if good {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a relative path: {path:?}")))
    }
}

/// As [`check_path`], and the top folder.
fn check_folder(path: &str) -> io::Result<()> {
    if path.is_empty() { Ok(()) } else { check_path(path) }
}

#[cfg(test)]
mod tests;
