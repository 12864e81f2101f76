//! A directory in memory that knows what a disk would have kept.
//!
//! Every file remembers which of its bytes were synced, every name whether its folder was synced since it changed.
//! [`MemoryDirectory::after_power_loss`] gives the disk as it may look after the power failed: what was synced is there,
//! of the rest nothing, all, or a seeded random part (torn and reordered writes, names in the order they changed).

pub(super) mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::directory::memory::file::File;
use crate::directory::random::Random;
use crate::directory::{Directory, Entry, ReadableFile, Space, WritableFile, check_folder, check_path, parent};

/// The volume's size where none is set.
const DEFAULT_CAPACITY_BYTES: u64 = 1 << 40;

/// What is left of everything that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing: the worst disk that still keeps its promises.
    Nothing,
    /// All: the disk was quick.
    Everything,
    /// Some of it, decided by this seed.
    Random(u64),
}

/// A folder in memory. Clones are the same folder.
#[derive(Clone, Debug, Default)]
pub struct MemoryDirectory {
    volume: Arc<Volume>,
}

impl MemoryDirectory {
    /// An empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the size of the volume: appends beyond it fail with `StorageFull` after writing what fits.
    pub fn set_capacity(&self, bytes: u64) {
        self.volume.names().capacity = bytes;
    }

    /// The disk as it may be found after the power failed now. This directory is not changed; nobody holds the new
    /// one's lock.
    #[must_use]
    pub fn after_power_loss(&self, survival: Survival) -> Self {
        let names = self.volume.names();
        let mut random = Random::new(match survival {
            Survival::Nothing | Survival::Everything => 0,
            Survival::Random(seed) => seed,
        });
        let mut durable = names.durable.clone();
        let survivors = match survival {
            Survival::Nothing => 0,
            Survival::Everything => names.pending.len(),
            Survival::Random(_) => random.below(names.pending.len() as u64 + 1) as usize,
        };
        for change in &names.pending[..survivors] {
            change.apply(&mut durable);
        }
        let reachable: BTreeMap<String, Node> = durable
            .iter()
            .filter(|(path, _)| has_parents(&durable, path))
            .map(|(path, node)| {
                let node = match node {
                    Node::Folder => Node::Folder,
                    Node::File(file) => Node::File(Arc::new(Mutex::new(File::synced(
                        lock(file).after_power_loss(survival, &mut random),
                    )))),
                };
                (path.clone(), node)
            })
            .collect();
        let survived =
            Names { current: reachable.clone(), durable: reachable, capacity: names.capacity, ..Names::default() };
        Self { volume: Arc::new(Volume { names: Mutex::new(survived) }) }
    }

    /// Bit rot: inverts bit `bit` of a file, counted from its start, on the disk itself.
    pub fn flip_bit(&self, path: &str, bit: u64) -> io::Result<()> {
        let file = self.volume.names().file(path)?;
        let mut file = lock(&file);
        let byte = usize::try_from(bit / 8).ok().and_then(|index| file.data.get_mut(index));
        *byte.ok_or(io::ErrorKind::UnexpectedEof)? ^= 1 << (bit % 8);
        Ok(())
    }

    /// A sync that fails as `fsync` does when the disk refuses the pages. Best effort: a removed file has no sync to fail.
    pub(crate) fn fail_sync(&self, path: &str) {
        if let Ok(file) = self.volume.names().file(path) {
            lock(&file).fail_sync();
        }
    }
}

impl Directory for MemoryDirectory {
    fn create(&self, path: &str) -> io::Result<Box<dyn WritableFile>> {
        check_path(path)?;
        let mut names = self.volume.names();
        names.check_parent(path)?;
        if names.current.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(Mutex::new(File::default()));
        names.change(Change::Create { path: path.to_owned(), node: Node::File(Arc::clone(&file)) });
        Ok(Box::new(Handle { volume: Arc::clone(&self.volume), file }))
    }

    fn open_append(&self, path: &str) -> io::Result<Box<dyn WritableFile>> {
        check_path(path)?;
        let file = self.volume.names().file(path)?;
        Ok(Box::new(Handle { volume: Arc::clone(&self.volume), file }))
    }

    fn open_read(&self, path: &str) -> io::Result<Arc<dyn ReadableFile>> {
        check_path(path)?;
        let file = self.volume.names().file(path)?;
        Ok(Arc::new(Handle { volume: Arc::clone(&self.volume), file }))
    }

    fn truncate(&self, path: &str, length: u64) -> io::Result<()> {
        check_path(path)?;
        let file = self.volume.names().file(path)?;
        lock(&file).truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_path(from)?;
        check_path(to)?;
        let mut names = self.volume.names();
        names.check_parent(to)?;
        let node = Node::File(names.file(from)?);
        if matches!(names.current.get(to), Some(Node::Folder)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        names.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), node });
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        check_path(path)?;
        let mut names = self.volume.names();
        names.file(path)?;
        names.change(Change::Remove { path: path.to_owned() });
        Ok(())
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        check_folder(path)?;
        let mut names = self.volume.names();
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for folder in ends.filter_map(|end| path.get(..end)).filter(|folder| !folder.is_empty()) {
            match names.current.get(folder) {
                Some(Node::Folder) => {}
                Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => names.change(Change::Create { path: folder.to_owned(), node: Node::Folder }),
            }
        }
        Ok(())
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        check_path(path)?;
        let mut names = self.volume.names();
        names.check_folder(path)?;
        if names.current.keys().any(|name| parent(name) == path) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        names.change(Change::Remove { path: path.to_owned() });
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        check_folder(path)?;
        let names = self.volume.names();
        names.check_folder(path)?;
        let children = names.current.iter().filter(|(name, _)| parent(name) == path);
        Ok(children
            .map(|(name, node)| {
                let name = name.rsplit_once('/').map_or(name.as_str(), |(_, last)| last).to_owned();
                match node {
                    Node::Folder => Entry { name, is_folder: true, length: 0 },
                    Node::File(file) => Entry { name, is_folder: false, length: lock(file).data.len() as u64 },
                }
            })
            .collect())
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        check_folder(path)?;
        let mut names = self.volume.names();
        names.check_folder(path)?;
        names.sync(path);
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        let names = self.volume.names();
        Ok(Space { free: names.capacity.saturating_sub(names.used()), total: names.capacity })
    }

    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let mut names = self.volume.names();
        if names.is_locked {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "folder is in use by another process"));
        }
        names.is_locked = true;
        Ok(Box::new(LockGuard { volume: Arc::clone(&self.volume) }))
    }
}

#[derive(Debug, Default)]
struct Volume {
    names: Mutex<Names>,
}

impl Volume {
    fn names(&self) -> MutexGuard<'_, Names> {
        lock(&self.names)
    }
}

#[derive(Debug)]
struct LockGuard {
    volume: Arc<Volume>,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        self.volume.names().is_locked = false;
    }
}

/// The names: as programs see them, as the disk has them, and the changes between the two, in order.
#[derive(Debug)]
struct Names {
    capacity: u64,
    current: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    pending: Vec<Change>,
    is_locked: bool,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            capacity: DEFAULT_CAPACITY_BYTES,
            current: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            is_locked: false,
        }
    }
}

impl Names {
    fn file(&self, path: &str) -> io::Result<Arc<Mutex<File>>> {
        match self.current.get(path) {
            Some(Node::File(file)) => Ok(Arc::clone(file)),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn check_folder(&self, path: &str) -> io::Result<()> {
        match self.current.get(path) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None if path.is_empty() => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn check_parent(&self, path: &str) -> io::Result<()> {
        self.check_folder(parent(path))
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending.push(change);
    }

    /// Makes the changes in `folder` durable, with earlier changes of the same names elsewhere (a rename is one change).
    fn sync(&mut self, folder: &str) {
        let mut paths = BTreeSet::new();
        let mut is_chosen = vec![false; self.pending.len()];
        for (change, is_chosen) in self.pending.iter().zip(&mut is_chosen).rev() {
            let touched = change.paths();
            if touched.iter().any(|path| parent(path) == folder || paths.contains(*path)) {
                *is_chosen = true;
                paths.extend(touched.into_iter().map(str::to_owned));
            }
        }
        for (change, is_chosen) in std::mem::take(&mut self.pending).into_iter().zip(is_chosen) {
            if is_chosen {
                change.apply(&mut self.durable);
            } else {
                self.pending.push(change);
            }
        }
    }

    fn used(&self) -> u64 {
        let files = self.current.values().filter_map(|node| match node {
            Node::File(file) => Some(lock(file).data.len() as u64),
            Node::Folder => None,
        });
        files.sum()
    }
}

#[derive(Clone, Debug)]
enum Node {
    Folder,
    File(Arc<Mutex<File>>),
}

#[derive(Debug)]
enum Change {
    Create { path: String, node: Node },
    Remove { path: String },
    Rename { from: String, to: String, node: Node },
}

impl Change {
    fn paths(&self) -> Vec<&str> {
        match self {
            Self::Create { path, .. } | Self::Remove { path } => vec![path],
            Self::Rename { from, to, .. } => vec![from, to],
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        match self {
            Self::Create { path, node } => {
                names.insert(path.clone(), node.clone());
            }
            Self::Remove { path } => {
                names.remove(path);
            }
            Self::Rename { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), node.clone());
            }
        }
    }
}

fn has_parents(names: &BTreeMap<String, Node>, path: &str) -> bool {
    let mut folder = parent(path);
    while !folder.is_empty() {
        if !matches!(names.get(folder), Some(Node::Folder)) {
            return false;
        }
        folder = parent(folder);
    }
    true
}

#[derive(Debug)]
struct Handle {
    volume: Arc<Volume>,
    file: Arc<Mutex<File>>,
}

impl WritableFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // The names stay locked over the append so that two writers cannot both take the last free byte.
        let names = self.volume.names();
        let free = if names.capacity == DEFAULT_CAPACITY_BYTES {
            u64::MAX
        } else {
            names.capacity.saturating_sub(names.used())
        };
        let fitting = usize::try_from(free).unwrap_or(usize::MAX).min(bytes.len());
        lock(&self.file).data.extend_from_slice(&bytes[..fitting]);
        if fitting < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        lock(&self.file).sync();
        Ok(())
    }
}

impl ReadableFile for Handle {
    fn length(&self) -> io::Result<u64> {
        Ok(lock(&self.file).data.len() as u64)
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let file = lock(&self.file);
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        let bytes = file.data.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Bytes::copy_from_slice(bytes))
    }
}

/// A panic of one test thread must not turn into another one's.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
