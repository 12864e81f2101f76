//! The older sampling of the OpenTelemetry Collector's `probabilistic_sampler`, mode `hash_seed`: FNV-1a over a seed and
//! the trace id, compared in 14 bits. Collectors with the same seed keep the same traces, so every bit of it matters.

use super::{RANGE, Randomness, Threshold};
use crate::ids::TraceId;

/// Decisions are made in 2¹⁴ buckets.
const BUCKET_BITS: u32 = 14;
const BUCKETS: u64 = 1 << BUCKET_BITS;
/// Bits of a randomness.
const RANDOMNESS_BITS: u32 = 56;

impl Randomness {
    /// The randomness of a trace by its hash. The 14 bits that decide are the highest, reversed in order, because here
    /// a *high* randomness is kept; the lower ones repeat what the hash has.
    #[must_use]
    pub fn of_hash(trace_id: TraceId, seed: u32) -> Self {
        let hash = fnv1a(&seed.to_le_bytes(), trace_id.as_bytes());
        let bucket = u64::from(hash) & (BUCKETS - 1);
        // The hash's other bits, the upper 14 of them, spread over the middle 28 of the randomness.
        let unused = u64::from(hash >> (32 - BUCKET_BITS));
        let mixed = unused ^ (unused << 10);
        Self((BUCKETS - 1 - bucket) << (RANDOMNESS_BITS - BUCKET_BITS) | mixed << BUCKET_BITS | bucket)
    }
}

impl Threshold {
    /// The threshold for [`Randomness::of_hash`], from a percentage: multiplied in single precision and cut off, as the
    /// collector does it. `None`: keep nothing.
    #[must_use]
    pub fn of_percentage(percentage: f32) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut off and saturated on purpose")]
        let kept = (percentage.min(100.0) * (BUCKETS as f32 / 100.0)) as u64;
        let rejected = (BUCKETS - kept.min(BUCKETS)) << (RANDOMNESS_BITS - BUCKET_BITS);
        (rejected < RANGE).then_some(Self(rejected))
    }
}

/// FNV-1a, 32 bits, over both slices.
fn fnv1a(first: &[u8], second: &[u8]) -> u32 {
    first.iter().chain(second).fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Published test vectors of FNV-1a.
        assert_eq!(fnv1a(b"", b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"", b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(b"foo", b"bar"), 0xbf9c_f968);
    }

    #[test]
    fn the_decision_is_the_collectors_comparison_of_buckets() {
        // The original rule: keep if `hash & 0x3fff < percentage * 163.84`.
        for number in 0..2_000_u64 {
            let mut bytes = [0x5a; 16];
            bytes[8..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            let trace_id = TraceId::new(bytes);
            for (percentage, buckets) in
                [(0.01_f32, 1), (1.0, 163), (12.5, 2048), (33.3, 5455), (99.99, 16382), (100.0, 16384)]
            {
                for seed in [0, 22, u32::MAX] {
                    let bucket = fnv1a(&seed.to_le_bytes(), &bytes) & 0x3fff;
                    let threshold = Threshold::of_percentage(percentage).expect("keeps something");
                    let kept = threshold.keeps(Randomness::of_hash(trace_id, seed));
                    assert_eq!(kept, bucket < buckets, "{percentage} % of {trace_id}");
                }
            }
        }
        assert_eq!(Threshold::of_percentage(0.001), None, "less than a bucket");
        assert_eq!(Threshold::of_percentage(500.0), Some(Threshold::ALWAYS));
    }
}
