//! New ids: fast, different in every worker, and with the randomness that sampling needs.

use std::sync::atomic::{AtomicU64, Ordering};

use rootspan_model::ids::{SpanId, TraceId};

/// A counter that is turned into random-looking numbers by splitmix64's finaliser under a secret key.
///
/// Ids need not be unpredictable, but must not collide between workers: the key and the first count are 128 bits from the
/// operating system, drawn after the fork.
#[derive(Debug)]
pub(crate) struct IdSource {
    count: AtomicU64,
    key: u64,
}

impl IdSource {
    /// A source whose ids differ from every other source's.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { count: AtomicU64::new(getrandom::u64()?), key: getrandom::u64()? })
    }

    /// A new trace id; its last seven bytes are random as W3C level 2 means it.
    pub(crate) fn trace_id(&self) -> TraceId {
        let mut bytes = [0; TraceId::LENGTH];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next().to_be_bytes());
        TraceId::new(bytes)
    }

    /// A new span id.
    pub(crate) fn span_id(&self) -> SpanId {
        SpanId::new(self.next().to_be_bytes())
    }

    fn next(&self) -> u64 {
        loop {
            // The odd step visits all 2^64 states.
            let count = self.count.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let number = mix(mix(count) ^ self.key);
            // Zero is no id.
            if number != 0 {
                return number;
            }
        }
    }
}

/// The finaliser of splitmix64, a bijection.
const fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
