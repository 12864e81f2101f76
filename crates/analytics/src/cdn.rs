//! The parts of a viewer's span, from the durations that the CDN measured itself. Nothing here compares two clocks.
//!
//! CloudFront logs, all in seconds: the time to the first byte sent to the viewer (`ttfb`), the origin's first-byte and
//! last-byte latency (`fbl`, `lbl`) and the time taken in all. So:
//!
//! ```text
//! |── edge ──|───── origin wait ─────|── origin transfer ──|── viewer transfer ──|
//! 0       ttfb − fbl               ttfb            ttfb − fbl + lbl             end
//! ```
//!
//! The origin wait is where the services' spans lie. What they do not cover is the way from edge to origin and back.

use rootspan_model::conventions::cloudfront;
use rootspan_wire::otlp::view::Span;

/// What the CDN measured, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// `aws.cloudfront.time_to_first_byte`
    pub first_byte: Option<u64>,
    /// `aws.cloudfront.origin_first_byte_latency`
    pub origin_first_byte: Option<u64>,
    /// `aws.cloudfront.origin_last_byte_latency`
    pub origin_last_byte: Option<u64>,
}

/// Where the parts of a viewer's span meet, as times on the span's own clock, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// The edge asked the origin; the span's start if that is not known.
    pub origin_start: i128,
    /// The first byte went to the viewer; the span's end if that is not known.
    pub first_byte: i128,
    /// The last byte came from the origin; equals [`Self::first_byte`] if that is not known.
    pub origin_last_byte: i128,
    /// Whether [`Self::origin_start`] was measured.
    pub origin_known: bool,
}

impl Timings {
    /// Reads the attributes of a span; what is no sensible number counts as absent.
    #[must_use]
    pub fn read(span: &Span<'_>) -> Self {
        let mut timings = Self::default();
        for attribute in span.attributes() {
            let field = match attribute.key {
                cloudfront::TIME_TO_FIRST_BYTE => &mut timings.first_byte,
                cloudfront::ORIGIN_FIRST_BYTE_LATENCY => &mut timings.origin_first_byte,
                cloudfront::ORIGIN_LAST_BYTE_LATENCY => &mut timings.origin_last_byte,
                _ => continue,
            };
            *field = attribute.value.as_double().and_then(nanos);
        }
        timings
    }

    /// The phases of a span from `start` to `end`. Timings that contradict each other or the span are cut to fit.
    #[must_use]
    pub fn phases(&self, start: i128, end: i128) -> Phases {
        let Some(first_byte) = self.first_byte else {
            return Phases { origin_start: start, first_byte: end, origin_last_byte: end, origin_known: false };
        };
        let first_byte = (start + i128::from(first_byte)).min(end);
        let origin_start = self.origin_first_byte.map(|latency| (first_byte - i128::from(latency)).max(start));
        let origin_last_byte = origin_start.zip(self.origin_last_byte);
        Phases {
            origin_start: origin_start.unwrap_or(start),
            first_byte,
            origin_last_byte: origin_last_byte
                .map_or(first_byte, |(asked, latency)| (asked + i128::from(latency)).clamp(first_byte, end)),
            origin_known: origin_start.is_some(),
        }
    }

    /// When work of this length can have been done at the origin: where its span is drawn if its clock disagrees. What
    /// is not longer than the origin wait lies within it; what is longer was streaming its answer.
    #[must_use]
    pub fn origin_window(&self, start: i128, end: i128, length: i128) -> (i128, i128) {
        let phases = self.phases(start, end);
        if length <= phases.first_byte - phases.origin_start {
            return (phases.origin_start, phases.first_byte);
        }
        let last_known = phases.origin_known && self.origin_last_byte.is_some();
        (phases.origin_start, if last_known { phases.origin_last_byte } else { end })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked, and the cast saturates")]
fn nanos(seconds: f64) -> Option<u64> {
    (seconds.is_finite() && seconds >= 0.0).then(|| (seconds * 1e9).round() as u64)
}

#[cfg(test)]
mod tests;
