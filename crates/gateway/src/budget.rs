//! The process's budget of payload bytes, and reservations on it.
//!
//! Admission reserves before it allocates: the length on the wire first, more while decompressing. It never waits: a
//! reservation that does not fit is refused, and so is the request. A reservation stays with the bytes that it pays for
//! ([`PaidBuffer`], then `batch::Batch`) and is given back when the last owner of them is gone, however the batch left
//! the process; the answer to the sender has nothing to do with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Where no limit is configured and the control group has none.
const DEFAULT_PROCESS_LIMIT: u64 = 2 << 30;
/// Payload bytes cost a little more than their length (index, allocator, buffers of sockets).
const OVERHEAD_NUMERATOR: u64 = 4;
const OVERHEAD_DENOMINATOR: u64 = 5;
/// Even a limit below what the process needs for itself leaves room for one request of usual size.
const MIN_PAYLOAD_BYTES: u64 = 8 << 20;

/// Bytes of payload that may be held at once.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicU64,
    used: AtomicU64,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit: AtomicU64::new(limit), used: AtomicU64::new(0) })
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Sets another limit. What is reserved stays reserved, also above it.
    pub(crate) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes reserved now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Reserves `bytes`, or refuses.
    pub fn try_reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Exhausted> {
        self.take(bytes)?;
        Ok(Reservation { budget: Arc::clone(self), bytes })
    }

    fn take(&self, bytes: u64) -> Result<(), Exhausted> {
        let limit = self.limit();
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits).map(|_| ()).map_err(|_| Exhausted)
    }

    fn give_back(&self, bytes: u64) {
        let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
        assert!(before >= bytes, "more bytes given back than were reserved");
    }
}

/// Bytes of the budget that belong to whoever owns this.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    /// Bytes reserved.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the reservation `bytes` long in all: grows if there is room, else changes nothing; shrinks always.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Exhausted> {
        if bytes > self.bytes {
            self.budget.take(bytes - self.bytes)?;
        } else {
            self.budget.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// A growing buffer that is paid for before it grows; the fields drop together.
#[derive(Debug)]
pub struct PaidBuffer {
    buffer: Vec<u8>,
    reservation: Reservation,
}

impl PaidBuffer {
    /// An empty buffer with room for `capacity` bytes.
    pub fn with_capacity(budget: &Arc<Budget>, capacity: usize) -> Result<Self, Exhausted> {
        let reservation = budget.try_reserve(capacity as u64)?;
        Ok(Self { buffer: Vec::with_capacity(capacity), reservation })
    }

    /// Appends `bytes`; the capacity at least doubles when it must grow, but not beyond `limit` for that alone.
    pub fn append(&mut self, bytes: &[u8], limit: usize) -> Result<(), Exhausted> {
        let length = self.buffer.len() + bytes.len();
        if length > self.buffer.capacity() {
            self.reserve(length.max((self.buffer.capacity() * 2).min(limit)))?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Makes the buffer `length` bytes long, zeroes behind what is there.
    pub(crate) fn resize(&mut self, length: usize) -> Result<(), Exhausted> {
        if length > self.buffer.capacity() {
            self.reserve(length)?;
        }
        self.buffer.resize(length, 0);
        Ok(())
    }

    /// Leaves the first `length` bytes; what they take stays.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.buffer.truncate(length);
    }

    /// The bytes, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// A buffer grows by moving: for that moment the old and the new one exist, and both are paid for.
    fn reserve(&mut self, capacity: usize) -> Result<(), Exhausted> {
        let both = self.reservation.bytes().saturating_add(capacity as u64);
        self.reservation.resize(both)?;
        self.buffer.reserve_exact(capacity - self.buffer.len());
        debug_assert!(self.buffer.capacity() <= capacity, "exactly what was paid for");
        self.reservation.resize(capacity as u64)
    }

    /// The bytes, shared, and what pays for them; neither may outlive the other by much.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, Reservation) {
        let Self { mut buffer, mut reservation } = self;
        // A quarter too much is not worth a copy.
        if buffer.capacity() / 4 * 3 > buffer.len() {
            buffer.shrink_to_fit();
        }
        if reservation.resize(buffer.capacity() as u64).is_err() {
            debug_assert!(false, "a buffer is never longer than what was paid for");
        }
        (buffer.into(), reservation)
    }
}

impl AsRef<[u8]> for PaidBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

/// The process's limit: the smallest that was configured, else 75 % of the control group's, else 2 GiB.
#[must_use]
pub fn process_limit(configured: impl Iterator<Item = u64>, control_group: Option<u64>) -> u64 {
    let default = || control_group.map_or(DEFAULT_PROCESS_LIMIT, |limit| limit / 4 * 3);
    configured.min().unwrap_or_else(default)
}

/// What of the process's limit is left for payload after the process's own needs.
#[must_use]
pub fn payload_limit(process_limit: u64, resident_at_start: u64, store_tail: u64) -> u64 {
    let left = process_limit.saturating_sub(resident_at_start).saturating_sub(store_tail);
    (left / OVERHEAD_DENOMINATOR * OVERHEAD_NUMERATOR).max(MIN_PAYLOAD_BYTES)
}

#[cfg(test)]
mod tests;
