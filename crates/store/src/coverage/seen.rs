//! Which records were counted, by hour: a record that comes again has the same end, so it is looked for in its hour only.
//!
//! Constraints: what recognises a record must be small, because most records become no span, and bounded. A record is 40 bits
//! of a hash; two records of an hour with a million are taken for one with a probability of one in a million each. In memory
//! there are the hours that records come for; what is let go is read again from the files and the tails. When one hour alone
//! has more than [`MAX_HASHES`] (1,100 records a second throughout it), those beyond are counted again if they come again.

use std::collections::{HashMap, HashSet};

use super::file;
use crate::shared::Shared;

/// Most records that are known at once: 40 to 80 MB, in use only where there are as many.
const MAX_HASHES: usize = 4_000_000;
/// Bits of a hash that are kept.
const BITS: u64 = (1 << 40) - 1;

/// What is kept of a hash.
pub(crate) const fn kept_bits(request: u64) -> u64 {
    request & BITS
}

/// How often it is looked whether there is room.
const ROOM_EVERY: usize = 1024;

/// What is known of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    First,
    Again,
    /// It is counted, and will be again if it comes again.
    Unknowable,
}

/// See the module. Owned by the writer.
#[derive(Debug)]
pub(crate) struct Seen {
    hours: HashMap<u32, Hour>,
    max_hashes: usize,
    tick: u64,
}

#[derive(Debug, Default)]
struct Hour {
    hashes: HashSet<u64, foldhash::fast::RandomState>,
    used: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { hours: HashMap::new(), max_hashes: MAX_HASHES, tick: 0 }
    }
}

impl Seen {
    #[cfg(test)]
    pub(super) fn with_limit(max_hashes: usize) -> Self {
        Self { max_hashes, ..Self::default() }
    }

    /// Makes sure that an hour's records are known.
    pub(crate) fn load(&mut self, shared: &Shared, hour: u32) {
        self.tick += 1;
        if let Some(known) = self.hours.get_mut(&hour) {
            known.used = self.tick;
            return;
        }
        let mut hashes = HashSet::default();
        let snapshot = shared.snapshot();
        for live in snapshot.coverage.iter().filter(|live| live.entry.hour == u64::from(hour)) {
            match file::read_hashes(shared.directory.as_ref(), &live.entry) {
                Ok(found) => hashes.extend(found),
                Err(error) => {
                    let path = live.entry.path();
                    tracing::warn!(path, %error, "records that come again will be counted again: a file cannot be read");
                }
            }
        }
        for tail in &snapshot.tails {
            tail.gathered(|gathered| {
                hashes.extend(gathered.hours.get(&hour).into_iter().flat_map(|hour| &hour.hashes));
            });
        }
        self.hours.insert(hour, Hour { hashes, used: self.tick });
        self.make_room(hour);
    }

    /// Whether a record is new; then it is known from now on, if there is room. Its hour must be loaded.
    pub(crate) fn look(&mut self, hour: u32, request: u64) -> Sighting {
        let max_hashes = self.max_hashes;
        // Let go since it was loaded, because all hours of one frame do not fit.
        let Some(known) = self.hours.get_mut(&hour) else { return Sighting::Unknowable };
        let bits = kept_bits(request);
        if known.hashes.contains(&bits) {
            return Sighting::Again;
        }
        if known.hashes.len() >= max_hashes {
            return Sighting::Unknowable;
        }
        known.hashes.insert(bits);
        if known.hashes.len().is_multiple_of(ROOM_EVERY) {
            self.make_room(hour);
        }
        Sighting::First
    }

    /// Lets the hours go that were not needed for longest.
    fn make_room(&mut self, current: u32) {
        while self.hours.values().map(|hour| hour.hashes.len()).sum::<usize>() > self.max_hashes {
            let others = self.hours.iter().filter(|(hour, _)| **hour != current);
            let Some(oldest) = others.min_by_key(|(_, hour)| hour.used).map(|(hour, _)| *hour) else { return };
            self.hours.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
