//! Trace context as it travels between services: W3C Trace Context level 2.
//!
//! [`TraceParent`] is the `traceparent` header (section 3.2), [`trace_state::TraceState`] the `tracestate` header
//! (section 3.3). The sampling members of `tracestate` (`ot=th:…;rv:…`) get their meaning from [`crate::sampling`].
//!
//! ## Other propagators
//!
//! [`crate::b3`] and [`crate::xray`] read their headers into ids and a sampling decision, and print a [`TraceParent`] in
//! their form; nothing else of the product needs to know them.
//!
//! The same rules are implemented once more in JavaScript by the edge function. `testdata/propagation/` holds the
//! vectors that both run.

use std::fmt;

use crate::ids::{SpanId, TraceId, decode_hex_by, hex_values};

pub mod trace_state;

/// Length of a version 00 `traceparent`: `00-` + 32 + `-` + 16 + `-` + 2.
pub(crate) const TRACEPARENT_LENGTH: usize = 55;

/// The `traceparent` header: which trace, which span is the parent, and the trace flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace; never all zeroes in a parsed header.
    pub trace_id: TraceId,
    /// The sender's span; the header's name for it is parent-id. Never all zeroes in a parsed header.
    pub span_id: SpanId,
    /// Sampled, random, and bits that later levels may define.
    pub flags: TraceFlags,
}

impl TraceParent {
    /// Parses a header value strictly (section 3.2.2 and, for versions that are not known yet, 4.3).
    ///
    /// # Errors
    ///
    /// Says which rule is broken. A receiver treats every error as if no header had been there.
    pub fn parse(header: &str) -> Result<Self, TraceParentError> {
        let bytes = header.as_bytes();
        let Some(known) = bytes.get(..TRACEPARENT_LENGTH) else { return Err(TraceParentError::Length) };
        if known[2] != b'-' || known[35] != b'-' || known[52] != b'-' {
            return Err(TraceParentError::Delimiter);
        }
        let [version] = lower_hex(&known[..2])?;
        match (version, bytes.get(TRACEPARENT_LENGTH)) {
            // Version ff is forbidden by section 3.2.2.1.
            (0xff, _) => return Err(TraceParentError::Version),
            (0, Some(_)) => return Err(TraceParentError::Length),
            // A later version may append fields, and only after a delimiter.
            (_, Some(next)) if *next != b'-' => return Err(TraceParentError::Delimiter),
            _ => {}
        }
        let [flags] = lower_hex(&known[53..55])?;
        let parsed = Self {
            trace_id: TraceId::new(lower_hex(&known[3..35])?),
            span_id: SpanId::new(lower_hex(&known[36..52])?),
            flags: TraceFlags(flags),
        };
        if !parsed.trace_id.is_valid() || !parsed.span_id.is_valid() {
            return Err(TraceParentError::ZeroId);
        }
        Ok(parsed)
    }
}

/// The header value, as version 00. Flags that this level does not define are sent as zero (section 3.2.2.5).
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.flags.0 & (TraceFlags::SAMPLED.0 | TraceFlags::RANDOM.0);
        write!(f, "00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// Why a `traceparent` is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceParentError {
    /// Shorter than version 00, or version 00 and longer.
    #[error("traceparent must have 55 characters")]
    Length,
    /// A `-` is missing.
    #[error("traceparent fields must be separated by -")]
    Delimiter,
    /// Something other than lower-case hexadecimal digits.
    #[error("traceparent fields must be lower-case hexadecimal digits")]
    Digit,
    /// Version ff.
    #[error("traceparent version ff is not allowed")]
    Version,
    /// An id of all zeroes.
    #[error("traceparent ids must not be all zeroes")]
    ZeroId,
}

/// The eight trace flags (section 3.2.2.5; OTLP `Span.flags`, bits 0 to 7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TraceFlags(pub u8);

impl TraceFlags {
    /// The sender may have recorded the trace.
    pub const SAMPLED: Self = Self(0x01);
    /// The right-most seven bytes of the trace id are random (level 2).
    pub const RANDOM: Self = Self(0x02);

    /// Whether the sampled flag is set.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }

    /// Whether the random flag is set.
    #[must_use]
    pub const fn is_random(self) -> bool {
        self.0 & Self::RANDOM.0 != 0
    }

    /// The flags with the sampled flag set or cleared.
    #[must_use]
    pub const fn with_sampled(self, sampled: bool) -> Self {
        if sampled { Self(self.0 | Self::SAMPLED.0) } else { Self(self.0 & !Self::SAMPLED.0) }
    }
}

impl fmt::Debug for TraceFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceFlags({:02x})", self.0)
    }
}

/// Bytes from pairs of lower-case digits: the specification excludes upper case, unlike most id parsers.
fn lower_hex<const N: usize>(digits: &[u8]) -> Result<[u8; N], TraceParentError> {
    static VALUES: [u8; 256] = hex_values(false);
    let mut bytes = [0; N];
    if decode_hex_by(&VALUES, digits, &mut bytes) { Ok(bytes) } else { Err(TraceParentError::Digit) }
}

#[cfg(test)]
mod tests;
