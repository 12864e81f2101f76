//! Consistent probability sampling (OpenTelemetry, "TraceState: Probability Sampling").
//!
//! Every participant compares the same 56 random bits `R` of a trace with its own rejection threshold `T` and keeps the
//! trace if `R >= T`. Whoever samples with a lower probability therefore keeps a subset of what others keep.

mod hash_seed;

use std::fmt;

use crate::ids::TraceId;

/// One more than the largest randomness and threshold: both have 56 bits.
const RANGE: u64 = 1 << 56;

/// Digits of a threshold or a randomness.
const DIGITS: usize = 14;

/// Significant digits of a threshold made from a probability, beyond the leading `f` or `0` of probabilities close to
/// 0 or 1: an error below 1 in a million, and `th:fd70a4` rather than fourteen digits for 1 %.
const PROBABILITY_DIGITS: u32 = 5;

/// A rejection threshold `T`, below 2⁵⁶: the share `T / 2⁵⁶` of all traces is rejected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

impl Threshold {
    /// Keeps every trace.
    pub const ALWAYS: Self = Self(0);

    /// Parses `th`: 1 to 14 lower-case hexadecimal digits; missing ones on the right are zeroes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !(1..=DIGITS).contains(&text.len()) {
            return None;
        }
        let missing = 4 * (DIGITS - text.len());
        lower_hex(text).map(|digits| Self(digits << missing))
    }

    /// The threshold that keeps this share of all traces, or `None` (keep nothing) if the share is less than 2⁻⁵⁶, is
    /// not a number, or is negative. More than 1 is 1.
    #[must_use]
    pub fn from_probability(probability: f64) -> Option<Self> {
        Self::with_digits(probability, PROBABILITY_DIGITS)
    }

    /// [`Self::from_probability`], rounded to so many hexadecimal digits (0: all) beyond the leading `f`s or `0`s.
    #[must_use]
    pub fn with_digits(probability: f64, digits: u32) -> Option<Self> {
        if probability.is_nan() || probability < 1.0 / RANGE as f64 {
            return None;
        }
        if probability >= 1.0 {
            return Some(Self::ALWAYS);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the product is between 1 and RANGE"
        )]
        let kept = (probability * RANGE as f64).round() as u64;
        let threshold = RANGE - kept.min(RANGE);
        // Each leading f (rare traces) or 0 (nearly all) carries no precision: give it back.
        let leading = threshold.min(kept).leading_zeros() - RANGE.leading_zeros() - 1;
        let digits = if digits == 0 { DIGITS as u32 } else { (digits + leading / 4).min(DIGITS as u32) };
        let unit = 1_u64 << (4 * (DIGITS as u32 - digits));
        let rounded = (threshold + unit / 2) / unit * unit;
        // Rounding up to "keep nothing" would turn a small probability into none.
        Some(if rounded < RANGE { Self(rounded) } else { Self(threshold) })
    }

    /// The share of traces that it keeps.
    #[must_use]
    pub fn probability(self) -> f64 {
        (RANGE - self.0) as f64 / RANGE as f64
    }

    /// The decision: whether a trace with this randomness is kept.
    #[must_use]
    pub const fn keeps(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }
}

/// `th` as it is written in `tracestate`: trailing zeroes dropped, `0` for [`Threshold::ALWAYS`].
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:014x}", self.0);
        let trimmed = digits.trim_end_matches('0');
        f.write_str(if trimmed.is_empty() { "0" } else { trimmed })
    }
}

impl fmt::Debug for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Threshold({self})")
    }
}

/// The 56 random bits `R` of a trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Randomness(u64);

impl Randomness {
    /// Parses `rv`: exactly 14 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != DIGITS {
            return None;
        }
        lower_hex(text).map(Self)
    }

    /// The right-most seven bytes of the trace id: the randomness of a trace that has no `rv`.
    #[must_use]
    pub const fn of_trace(trace_id: TraceId) -> Self {
        let bytes = trace_id.as_bytes();
        Self(u64::from_be_bytes([0, bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]]))
    }
}

/// All fourteen digits.
impl fmt::Display for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014x}", self.0)
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Randomness({self})")
    }
}

fn lower_hex(text: &str) -> Option<u64> {
    let is_valid = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_valid { u64::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests;
