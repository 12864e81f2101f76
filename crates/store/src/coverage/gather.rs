//! From frames of observations to the sums of a tail.
//!
//! A frame of the journal begins with [`MARK`], which no request of OTLP does (no field has the number 0); then come one byte
//! of flags, the time of receipt in nanoseconds (8 bytes, little-endian), and the observations.

use std::collections::{BTreeMap, HashMap};

use rootspan_analytics::coverage::{Coverage, minute};
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::time::UnixNanos;
use rootspan_wire::cloudfront::observation::{Fate, InvalidObservations, Observation, read};

use super::Arrival;
use super::seen::{Seen, Sighting};
use crate::shared::Shared;
use crate::tail::{Placement, Tail};

/// The first byte of a frame of observations.
pub(crate) const MARK: u8 = 0;
const FLAG_IMPORTED: u8 = 1;
const HEADER_BYTES: usize = 10;

/// Requests of one behaviour and minute whose back ends are looked for. A hundred tell as well as a thousand whether trace
/// headers arrive.
const MAX_MISSES: u32 = 100;
/// Memory of one cell, about: two histograms of some dozen buckets.
const CELL_BYTES: usize = 1024;

/// Observations as the journal keeps them.
pub(crate) fn frame(observations: &[u8], arrival: Arrival, received: UnixNanos) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + observations.len());
    frame.push(MARK);
    frame.push(if arrival == Arrival::Imported { FLAG_IMPORTED } else { 0 });
    frame.extend_from_slice(&received.0.to_le_bytes());
    frame.extend_from_slice(observations);
    frame
}

/// What a tail has counted, by (clamped) hour.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) hours: BTreeMap<u32, HourGathered>,
}

/// One hour's part: what becomes one file.
#[derive(Debug, Default)]
pub(crate) struct HourGathered {
    pub(crate) coverage: Coverage,
    pub(crate) misses: Vec<Miss>,
    /// Of the records that were counted, as [`super::seen`] has them.
    pub(crate) hashes: Vec<u64>,
    /// Misses by key and minute.
    miss_counts: HashMap<(u32, u32), u32, foldhash::fast::RandomState>,
}

/// A sampled request that a back end must have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Miss {
    /// Number of its key in the coverage beside it.
    pub(crate) key: u32,
    /// The minute in which it ended.
    pub(crate) minute: u32,
    /// The second in which its record came; of an imported one, in which it ended.
    pub(crate) arrived: u32,
    pub(crate) trace_id: TraceId,
    /// The viewer's span.
    pub(crate) span_id: SpanId,
}

impl Gathered {
    /// Bytes of memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let hour = |hour: &HourGathered| {
            hour.coverage.cell_count() * CELL_BYTES
                + hour.misses.len() * size_of::<Miss>()
                + hour.hashes.len() * size_of::<u64>()
        };
        self.hours.values().map(hour).sum()
    }
}

/// Counts the observations of a frame into a tail.
pub(crate) fn gather(
    shared: &Shared,
    tail: &Tail,
    seen: &mut Seen,
    frame: &[u8],
    placement: Placement,
) -> Result<(), InvalidObservations> {
    let (header, observations) = frame.split_first_chunk::<HEADER_BYTES>().ok_or(InvalidObservations)?;
    let [_, flags, received @ ..] = *header;
    let received = UnixNanos(u64::from_le_bytes(received));
    let is_imported = flags & FLAG_IMPORTED != 0;
    // Files are looked into before the tail is locked.
    let mut hours: Vec<u32> = Vec::new();
    read(observations, &mut |observation| {
        let hour = hour(observation, received, placement);
        if observation.request.is_some() && !hours.contains(&hour) {
            hours.push(hour);
        }
    })?;
    for hour in hours {
        seen.load(shared, hour);
    }
    tail.gather(|gathered| {
        read(observations, &mut |observation| {
            let hour = hour(observation, received, placement);
            let sighting = match observation.request {
                // Not a record of its own, so not one that comes again either.
                _ if observation.fate == Fate::Joined => Sighting::Unknowable,
                Some(request) => seen.look(hour, request),
                None => Sighting::Unknowable,
            };
            gathered.hours.entry(hour).or_default().count(observation, received, is_imported, sighting);
        })
    })
}

fn hour(observation: &Observation<'_>, received: UnixNanos, placement: Placement) -> u32 {
    placement.hour(observation.end.unwrap_or(received).0)
}

impl HourGathered {
    fn count(&mut self, observation: &Observation<'_>, received: UnixNanos, is_imported: bool, sighting: Sighting) {
        let minute = minute(observation, received);
        if sighting == Sighting::Again {
            return self.coverage.observe_again(minute, observation);
        }
        self.coverage.observe(minute, observation, (!is_imported).then_some(received));
        if sighting == Sighting::First {
            self.hashes.extend(observation.request.map(super::seen::kept_bits));
        }
        let Some((trace_id, span_id)) = observation.sent_to_origin else { return };
        let key = self.coverage.key(observation.distribution, observation.behaviour);
        let count = self.miss_counts.entry((key, minute)).or_default();
        if *count < MAX_MISSES {
            *count += 1;
            let ended = observation.end.unwrap_or(received);
            let arrived = super::read::seconds_of(if is_imported { ended } else { received });
            self.misses.push(Miss { key, minute, arrived, trace_id, span_id });
        }
    }
}
