//! Watches every batch of this thread: a reservation must live exactly as long as the bytes that it pays for.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::budget::{Budget, Reservation};

thread_local! {
    /// Absent where no simulation runs.
    static BATCHES: RefCell<Option<Vec<Watched>>> = const { RefCell::new(None) };
}

/// One batch. The bytes are held by the watch, too; they are nobody else's when they are unique.
struct Watched {
    bytes: Bytes,
    reservation: Weak<Reservation>,
}

/// Called where a batch is made.
pub(crate) fn watch(bytes: &Bytes, reservation: &Arc<Reservation>) {
    BATCHES.with_borrow_mut(|batches| {
        if let Some(batches) = batches
            && !bytes.is_empty()
        {
            batches.push(Watched { bytes: bytes.clone(), reservation: Arc::downgrade(reservation) });
        }
    });
}

/// From now on batches are watched.
pub(super) fn begin() {
    BATCHES.set(Some(Vec::new()));
}

/// Nobody watches any more.
pub(super) fn end() {
    BATCHES.set(None);
}

/// What is wrong now, where nobody is in the middle of anything: bytes that nobody pays for, payments for nothing.
pub(super) fn check(budget: &Budget) -> Result<(), String> {
    BATCHES.with_borrow_mut(|batches| {
        let Some(batches) = batches else { return Ok(()) };
        let mut reserved = 0;
        let mut unpaid = 0;
        batches.retain(|batch| {
            let reservation = batch.reservation.upgrade();
            reserved += reservation.as_ref().map_or(0, |reservation| reservation.bytes());
            let is_held = !batch.bytes.is_unique();
            if is_held && reservation.is_none() {
                unpaid += batch.bytes.len();
            }
            is_held
        });
        if unpaid > 0 {
            return Err(format!("{unpaid} bytes are held that nobody pays for"));
        }
        let used = budget.used();
        if reserved != used {
            return Err(format!("{used} bytes are reserved, {reserved} of them for batches"));
        }
        Ok(())
    })
}
