//! Edge coverage: what became of all access-log records, per distribution, behaviour and minute of the request's end. Sums
//! are additive: parts that were counted apart, in any order, give the same when they are merged.

use std::collections::{BTreeMap, HashMap};

use rootspan_model::time::UnixNanos;
use rootspan_wire::cloudfront::observation::{Fate, OTHER, Observation, StatusClass};

use crate::histogram::Histogram;

/// Nanoseconds of a minute, the unit of counting.
pub const MINUTE_NANOS: u64 = 60_000_000_000;
/// Most pairs of distribution and behaviour in one sum; CloudFront allows 75 behaviours of a distribution. The others are
/// [`OTHER`].
pub const MAX_KEYS: usize = 1000;
/// Most result types in one cell: CloudFront has a dozen.
const MAX_RESULT_TYPES: usize = 32;

/// What is counted for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The distribution's domain or id.
    pub distribution: Box<str>,
    /// The behaviour's path pattern.
    pub behaviour: Box<str>,
}

/// The sums of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records with a span of a sampled trace, whoever chose its ids.
    pub sampled: u64,
    /// Of these, those whose ids followed from the request id when they came.
    pub derived: u64,
    /// Of these again, those whose ids the function's own log confirmed later.
    pub joined: u64,
    /// Records that the edge did not sample.
    pub sampled_out: u64,
    /// Records with a span although their trace is not sampled.
    pub kept: u64,
    /// Records that the rate of their result type left out.
    pub thinned: u64,
    /// Records of which nobody knows where a span would belong.
    pub unplaced: u64,
    /// Records of a log that is not authoritative.
    pub secondary: u64,
    /// Records that came again. In none of the other sums.
    pub redelivered: u64,
    /// Bytes that viewers were sent.
    pub bytes: u64,
    /// Records by result type, but for secondary ones and those whose log does not have it.
    pub result_types: BTreeMap<Box<str>, u64>,
    /// Records by [`StatusClass`], but for secondary ones.
    pub statuses: [u64; StatusClass::ALL.len()],
    /// From a request's end to the arrival of its record.
    pub delay: Histogram,
    /// How long requests took.
    pub duration: Histogram,
}

impl Counts {
    /// Records that came, each once: the sum of what can become of one.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.sampled + self.sampled_out + self.kept + self.thinned + self.unplaced + self.secondary
    }

    /// Spans that were made.
    #[must_use]
    pub const fn spans(&self) -> u64 {
        self.sampled + self.kept
    }

    /// Spans whose ids nobody but the request id tells.
    #[must_use]
    pub const fn derived(&self) -> u64 {
        self.derived.saturating_sub(self.joined)
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: &Self) {
        let sums = [
            (&mut self.sampled, other.sampled),
            (&mut self.derived, other.derived),
            (&mut self.joined, other.joined),
            (&mut self.sampled_out, other.sampled_out),
            (&mut self.kept, other.kept),
            (&mut self.thinned, other.thinned),
            (&mut self.unplaced, other.unplaced),
            (&mut self.secondary, other.secondary),
            (&mut self.redelivered, other.redelivered),
            (&mut self.bytes, other.bytes),
        ];
        sums.into_iter().chain(self.statuses.iter_mut().zip(other.statuses)).for_each(|(sum, more)| {
            *sum = sum.saturating_add(more);
        });
        for (name, count) in &other.result_types {
            self.add_result_type(name, *count);
        }
        self.delay.merge(&other.delay);
        self.duration.merge(&other.duration);
    }

    fn observe(&mut self, observation: &Observation<'_>, received: Option<UnixNanos>) {
        let sum = match observation.fate {
            Fate::Sampled => &mut self.sampled,
            Fate::Derived => {
                self.derived += 1;
                &mut self.sampled
            }
            Fate::SampledOut => &mut self.sampled_out,
            Fate::Kept => &mut self.kept,
            Fate::Thinned => &mut self.thinned,
            Fate::Unplaced => &mut self.unplaced,
            // The request is counted with its other record.
            Fate::Secondary => {
                self.secondary += 1;
                return;
            }
            Fate::Joined => {
                self.joined += 1;
                return;
            }
        };
        *sum += 1;
        self.bytes = self.bytes.saturating_add(observation.bytes);
        self.statuses[observation.status as usize] += 1;
        if !observation.result_type.is_empty() {
            self.add_result_type(observation.result_type, 1);
        }
        if let Some(taken) = observation.taken_nanos {
            self.duration.record(taken);
        }
        if let (Some(end), Some(received)) = (observation.end, received) {
            self.delay.record(received.nanos_since(end));
        }
    }

    fn add_result_type(&mut self, name: &str, count: u64) {
        if let Some(known) = self.result_types.get_mut(name) {
            *known = known.saturating_add(count);
        } else if self.result_types.len() < MAX_RESULT_TYPES || name == OTHER {
            self.result_types.insert(name.into(), count);
        } else {
            self.add_result_type(OTHER, count);
        }
    }
}

/// Sums by key and minute.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    keys: Vec<Key>,
    numbers: HashMap<Box<str>, HashMap<Box<str>, u32>>,
    cells: BTreeMap<(u32, u32), Counts>,
}

impl Coverage {
    /// The number of a key; that of [`OTHER`] if there are too many.
    pub fn key(&mut self, distribution: &str, behaviour: &str) -> u32 {
        if let Some(number) = self.numbers.get(distribution).and_then(|behaviours| behaviours.get(behaviour)) {
            return *number;
        }
        if self.keys.len() >= MAX_KEYS && (distribution, behaviour) != (OTHER, OTHER) {
            return self.key(OTHER, OTHER);
        }
        let number = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let key = Key { distribution: distribution.into(), behaviour: behaviour.into() };
        self.numbers.entry(key.distribution.clone()).or_default().insert(key.behaviour.clone(), number);
        self.keys.push(key);
        number
    }

    /// Counts a record. Without `received` its delay says nothing: it was imported.
    pub fn observe(&mut self, minute: u32, observation: &Observation<'_>, received: Option<UnixNanos>) {
        self.cell(minute, observation).observe(observation, received);
    }

    /// Counts a record that was counted before.
    pub fn observe_again(&mut self, minute: u32, observation: &Observation<'_>) {
        self.cell(minute, observation).redelivered += 1;
    }

    /// Adds sums of a minute (or of what a minute is part of) and a key.
    pub fn add(&mut self, key: &Key, minute: u32, counts: &Counts) {
        let number = self.key(&key.distribution, &key.behaviour);
        self.cells.entry((number, minute)).or_default().merge(counts);
    }

    /// Adds another's sums.
    pub fn merge(&mut self, other: &Self) {
        for (key, minute, counts) in other.cells() {
            self.add(key, minute, counts);
        }
    }

    /// All cells, by key and then minute.
    pub fn cells(&self) -> impl Iterator<Item = (&Key, u32, &Counts)> {
        let key = |number: u32| self.keys.get(number as usize);
        self.cells.iter().filter_map(move |((number, minute), counts)| Some((key(*number)?, *minute, counts)))
    }

    /// The keys, by their numbers.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// All cells with the numbers of their keys.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, u32, &Counts)> {
        self.cells.iter().map(|((number, minute), counts)| (*number, *minute, counts))
    }

    /// How many cells there are.
    #[must_use]
    pub fn cell_count(&self) -> usize {
        self.cells.len()
    }

    fn cell(&mut self, minute: u32, observation: &Observation<'_>) -> &mut Counts {
        let number = self.key(observation.distribution, observation.behaviour);
        self.cells.entry((number, minute)).or_default()
    }
}

/// The minute in which a request ended, or its record came if it does not tell.
#[must_use]
pub fn minute(observation: &Observation<'_>, received: UnixNanos) -> u32 {
    let end = observation.end.unwrap_or(received);
    // 2^64 ns are 307 million minutes.
    u32::try_from(end.0 / MINUTE_NANOS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
