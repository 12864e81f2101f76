//! A cache of decoded parts of blocks, bounded by bytes; the least recently used entry goes first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Keyed by block number.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    max_bytes: usize,
    entries: Mutex<Entries<T>>,
}

#[derive(Debug)]
struct Entries<T> {
    by_block: HashMap<u64, Entry<T>, foldhash::fast::FixedState>,
    bytes: usize,
    tick: u64,
}

#[derive(Debug)]
struct Entry<T> {
    value: Arc<T>,
    bytes: usize,
    used: u64,
}

impl<T> Cache<T> {
    pub(crate) fn new(max_bytes: usize) -> Self {
        let entries = Entries { by_block: HashMap::default(), bytes: 0, tick: 0 };
        Self { max_bytes, entries: Mutex::new(entries) }
    }

    /// The cached value, or the one that `load` gives together with its size in bytes. Two callers may load the same
    /// value at once: that is wasted work, not an error.
    pub(crate) fn get<E>(&self, block: u64, load: impl FnOnce() -> Result<(T, usize), E>) -> Result<Arc<T>, E> {
        {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.tick += 1;
            let tick = entries.tick;
            if let Some(entry) = entries.by_block.get_mut(&block) {
                entry.used = tick;
                return Ok(Arc::clone(&entry.value));
            }
        }
        let (value, bytes) = load()?;
        let value = Arc::new(value);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(block, Arc::clone(&value), bytes);
        while entries.bytes > self.max_bytes && entries.by_block.len() > 1 {
            entries.evict_oldest();
        }
        Ok(value)
    }

    /// Forgets a block that was removed.
    pub(crate) fn remove(&self, block: u64) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(block);
    }
}

impl<T> Entries<T> {
    fn insert(&mut self, block: u64, value: Arc<T>, bytes: usize) {
        self.remove(block);
        self.bytes += bytes;
        let used = self.tick;
        self.by_block.insert(block, Entry { value, bytes, used });
    }

    fn remove(&mut self, block: u64) {
        if let Some(entry) = self.by_block.remove(&block) {
            self.bytes -= entry.bytes;
        }
    }

    fn evict_oldest(&mut self) {
        // Linear, but only once per load that misses, and a load costs a thousand times more.
        let oldest = self.by_block.iter().min_by_key(|(_, entry)| entry.used).map(|(block, _)| *block);
        if let Some(block) = oldest {
            self.remove(block);
        }
    }
}

#[cfg(test)]
mod tests;
