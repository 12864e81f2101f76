//! Joins records with what the edge function logged of the same request by `console.log`, whichever comes first.
//!
//! The function's data says where the span belongs; the record says everything else. Data that comes first waits for its
//! record. A record that comes first becomes a span with derived ids at once, if that is allowed, and waits as well: with
//! its data it becomes a span once more, and the store puts it in the place of the derived one.
//!
//! What waits is memory only: after a restart a record without its data keeps its derived ids.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Field, Record};
use rootspan_model::edge_id::EdgeIds;
use rootspan_model::ids::TraceId;
use rootspan_model::log_payload::LogPayload;

/// Bytes of records that wait; about thirty thousand.
const RECORD_BYTES: usize = 32 << 20;
/// Requests whose data waits.
const PAYLOADS: usize = 100_000;

/// What waits for its other half. The oldest goes when there is no room.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    payloads: Bounded<LogPayload>,
    records: Bounded<Box<Record<'static>>>,
    /// Data has been seen: records without it are worth keeping.
    has_payloads: bool,
}

impl Joiner {
    /// Where records wait from the beginning because the function is known to log its data.
    pub(crate) fn new(expects_payloads: bool) -> Self {
        let waiting = Waiting { has_payloads: expects_payloads, ..Waiting::default() };
        Self { waiting: Mutex::new(waiting) }
    }

    /// The data of a record's request, if it came before. Else the record is kept for it.
    pub(crate) fn payload_of(&self, record: &Record<'_>) -> Option<LogPayload> {
        let request_id = record.get(Field::RequestId)?;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.has_payloads {
            return None;
        }
        let key = EdgeIds::of_request(request_id).trace_id;
        // A record may be delivered again: its data stays.
        if let Some(payload) = waiting.payloads.get(&key) {
            return Some(*payload);
        }
        let size = record.byte_count();
        waiting.records.insert(key, Box::new(record.clone().into_owned()), size, RECORD_BYTES);
        None
    }

    /// The record that came before this data, if one did.
    pub(crate) fn record_for(&self, request_id: &str, payload: &LogPayload) -> Option<Box<Record<'static>>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.has_payloads = true;
        let key = EdgeIds::of_request(request_id).trace_id;
        waiting.payloads.insert(key, *payload, 1, PAYLOADS);
        waiting.records.remove(&key)
    }
}

/// A map that forgets: when the young half is full it becomes the old one, and the old one goes.
#[derive(Debug)]
struct Bounded<T> {
    young: Half<T>,
    old: Half<T>,
}

/// By the trace id that follows from the request id: 16 bytes of a hash instead of 56 characters.
#[derive(Debug)]
struct Half<T> {
    entries: HashMap<TraceId, T>,
    /// Sizes of all that was inserted.
    size: usize,
}

impl<T> Default for Half<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), size: 0 }
    }
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self { young: Half::default(), old: Half::default() }
    }
}

impl<T> Bounded<T> {
    fn get(&self, key: &TraceId) -> Option<&T> {
        self.young.entries.get(key).or_else(|| self.old.entries.get(key))
    }

    /// Inserts a value of some size; both halves together have at most `limit`.
    fn insert(&mut self, key: TraceId, value: T, size: usize, limit: usize) {
        if self.young.size + size > limit / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.size += size;
        self.young.entries.insert(key, value);
    }

    fn remove(&mut self, key: &TraceId) -> Option<T> {
        let (young, old) = (self.young.entries.remove(key), self.old.entries.remove(key));
        young.or(old)
    }
}

#[cfg(test)]
mod tests;
