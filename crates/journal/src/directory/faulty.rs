//! A directory in memory whose operations fail on demand, deterministic from a seed.
//!
//! Operations that change the disk are counted from 0 (reading, listing and locking are not). One of them can be the
//! last one before the power fails; chosen ones fail as a disk fails: an append leaves a random part of its bytes, a
//! sync makes later syncs of the same bytes worthless, everything else does nothing. A full disk is
//! [`MemoryDirectory::set_capacity`], bit rot [`MemoryDirectory::flip_bit`].

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::directory::memory::{MemoryDirectory, Survival};
use crate::directory::random::Random;
use crate::directory::{Directory, Entry, ReadableFile, Space, WritableFile};

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Decides how much of a failing append is written and what survives the loss of power.
    pub seed: u64,
    /// The power fails in the operation with this number: it may be half done, it and all later ones are errors.
    pub power_fails_at: Option<u64>,
    /// Operations with these numbers fail with an input/output error.
    pub failing: BTreeSet<u64>,
}

/// A directory in memory with [`Faults`]. Clones are the same directory.
#[derive(Clone, Debug)]
pub struct FaultyDirectory {
    disk: MemoryDirectory,
    shared: Arc<Mutex<Shared>>,
}

impl FaultyDirectory {
    /// A faulty door to `disk`.
    #[must_use]
    pub fn new(disk: MemoryDirectory, faults: Faults) -> Self {
        let random = Random::new(faults.seed);
        let shared = Shared { faults, random, operations: 0, has_power: true };
        Self { disk, shared: Arc::new(Mutex::new(shared)) }
    }

    /// The disk below, without faults.
    #[must_use]
    pub fn disk(&self) -> &MemoryDirectory {
        &self.disk
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.shared().operations
    }

    /// Whether the power is still on.
    #[must_use]
    pub fn has_power(&self) -> bool {
        self.shared().has_power
    }

    /// Lets the next `count` operations fail.
    pub fn fail_next(&self, count: u64) {
        let mut shared = self.shared();
        let next = shared.operations;
        shared.faults.failing.extend(next..next.saturating_add(count));
    }

    /// Lets the power fail in the operation that many after the next one.
    pub fn fail_power_after(&self, count: u64) {
        let mut shared = self.shared();
        shared.faults.power_fails_at = shared.operations.checked_add(count);
    }

    /// Turns the power off (if it still is on) and gives the disk as it is found afterwards.
    #[must_use]
    pub fn power_off(&self, survival: Survival) -> MemoryDirectory {
        self.shared().has_power = false;
        self.disk.after_power_loss(survival)
    }

    /// Ends the process that uses this directory: its operations fail from now on, the disk below is as it was, also in
    /// what it has not made durable yet.
    #[must_use]
    pub fn kill(&self) -> MemoryDirectory {
        self.shared().has_power = false;
        self.disk.clone()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    fn check_power(&self) -> io::Result<()> {
        self.shared().check_power()
    }

    fn open(&self, file: Box<dyn WritableFile>, path: &str) -> Box<dyn WritableFile> {
        Box::new(FaultyFile { file, path: path.to_owned(), directory: self.clone() })
    }

    /// Counts an operation; an error if it is to fail.
    fn operation(&self) -> io::Result<()> {
        self.shared().operation()
    }
}

impl Directory for FaultyDirectory {
    fn create(&self, path: &str) -> io::Result<Box<dyn WritableFile>> {
        self.operation()?;
        Ok(self.open(self.disk.create(path)?, path))
    }

    fn open_append(&self, path: &str) -> io::Result<Box<dyn WritableFile>> {
        self.check_power()?;
        Ok(self.open(self.disk.open_append(path)?, path))
    }

    fn open_read(&self, path: &str) -> io::Result<Arc<dyn ReadableFile>> {
        self.check_power()?;
        Ok(Arc::new(FaultyRead { file: self.disk.open_read(path)?, directory: self.clone() }))
    }

    fn truncate(&self, path: &str, length: u64) -> io::Result<()> {
        self.operation()?;
        self.disk.truncate(path, length)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operation()?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.operation()?;
        self.disk.remove(path)
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        self.operation()?;
        self.disk.create_folder(path)
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        self.operation()?;
        self.disk.remove_folder(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        self.check_power()?;
        self.disk.list(path)
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.operation()?;
        self.disk.sync_folder(path)
    }

    fn space(&self) -> io::Result<Space> {
        self.check_power()?;
        self.disk.space()
    }

    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        self.check_power()?;
        self.disk.lock()
    }
}

#[derive(Debug)]
struct Shared {
    faults: Faults,
    random: Random,
    operations: u64,
    has_power: bool,
}

impl Shared {
    fn check_power(&self) -> io::Result<()> {
        if self.has_power { Ok(()) } else { Err(io::Error::other("the power is off")) }
    }

    fn operation(&mut self) -> io::Result<()> {
        self.check_power()?;
        let number = self.operations;
        self.operations += 1;
        if self.faults.power_fails_at == Some(number) {
            self.has_power = false;
        }
        self.check_power()?;
        if self.faults.failing.contains(&number) { Err(io::Error::other("input/output error")) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn WritableFile>,
    path: String,
    directory: FaultyDirectory,
}

impl WritableFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.directory.check_power()?;
        let Err(error) = self.directory.operation() else { return self.file.append(bytes) };
        let part = self.directory.shared().random.below(bytes.len() as u64 + 1) as usize;
        self.file.append(&bytes[..part])?;
        Err(error)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.directory.check_power()?;
        let Err(error) = self.directory.operation() else { return self.file.sync() };
        // Without power, or with the process gone, the kernel was never asked.
        if self.directory.has_power() {
            self.directory.disk.fail_sync(&self.path);
        }
        Err(error)
    }
}

#[derive(Debug)]
struct FaultyRead {
    file: Arc<dyn ReadableFile>,
    directory: FaultyDirectory,
}

impl ReadableFile for FaultyRead {
    fn length(&self) -> io::Result<u64> {
        self.directory.check_power()?;
        self.file.length()
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.directory.check_power()?;
        self.file.read(offset, length)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
