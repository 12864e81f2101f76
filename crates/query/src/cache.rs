//! The traces that were just read: `/view` is followed by many `/spans/{id}`, and each would read the store again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rootspan_model::ids::TraceId;
use rootspan_store::store::{QueryError, QueryLimits, Store};
use tokio::time::Instant;

use crate::loaded_trace::LoadedTrace;

/// How old a trace may be. A span must be found a second after it was acknowledged.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// How long the details of a span that the page already shows come from the trace that the page was drawn from.
const SHOWN_FOR: Duration = Duration::from_secs(60);

/// What the caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Everything that had arrived a second ago.
    Current,
    /// What a page that was opened within the last minute shows.
    AsShown,
    /// Everything that has arrived.
    Latest,
}

/// A trace and when it was read.
#[derive(Clone, Debug)]
struct Entry {
    id: TraceId,
    trace: Arc<LoadedTrace>,
    /// The store's count of spans when it was read: as long as it stands still, nothing can have been added.
    ingested_spans: u64,
    read_at: Instant,
}

impl Entry {
    fn is_fresh(&self, freshness: Freshness, ingested_spans: u64, now: Instant) -> bool {
        let age = now.duration_since(self.read_at);
        // Retention removes without counting, hence the limit also then.
        let unchanged = self.ingested_spans == ingested_spans && age < SHOWN_FOR;
        match freshness {
            Freshness::Current => age < FRESH_FOR || unchanged,
            Freshness::AsShown => age < SHOWN_FOR,
            Freshness::Latest => unchanged,
        }
    }
}

/// At most so many bytes of them, the least recently used go first.
#[derive(Debug)]
pub(crate) struct TraceCache {
    max_bytes: usize,
    /// Most recently used last. A handful of entries: searching them is cheaper than a map.
    entries: Mutex<VecDeque<Entry>>,
}

impl TraceCache {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, entries: Mutex::default() }
    }

    /// The trace, read from `store` unless a fresh enough one is here.
    pub(crate) fn load(
        &self,
        store: &Store,
        id: &TraceId,
        limits: &QueryLimits,
        freshness: Freshness,
    ) -> Result<Option<Arc<LoadedTrace>>, QueryError> {
        // Taken before reading: what arrives meanwhile makes the entry stale, never the other way round.
        let ingested_spans = store.status().ingested_spans;
        let read_at = Instant::now();
        if let Some(found) = self.get(id, freshness, ingested_spans, read_at) {
            return Ok(Some(found));
        }
        let Some(stored) = store.trace(id, limits)? else { return Ok(None) };
        let trace = Arc::new(LoadedTrace::new(stored));
        self.put(Entry { id: *id, trace: Arc::clone(&trace), ingested_spans, read_at });
        Ok(Some(trace))
    }

    fn get(&self, id: &TraceId, freshness: Freshness, ingested: u64, now: Instant) -> Option<Arc<LoadedTrace>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let index = entries.iter().position(|entry| entry.id == *id)?;
        if !entries.get(index)?.is_fresh(freshness, ingested, now) {
            return None;
        }
        let entry = entries.remove(index)?;
        let trace = Arc::clone(&entry.trace);
        entries.push_back(entry);
        Some(trace)
    }

    fn put(&self, new: Entry) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.id != new.id);
        entries.push_back(new);
        let mut bytes: usize = entries.iter().map(|entry| entry.trace.bytes()).sum();
        while bytes > self.max_bytes
            && let Some(removed) = entries.pop_front()
        {
            bytes -= removed.trace.bytes();
        }
    }
}

#[cfg(test)]
mod tests;
