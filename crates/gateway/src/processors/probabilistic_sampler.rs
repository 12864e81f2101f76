//! `probabilistic_sampler`: keeps a share of all traces, decided by the trace's own randomness, so that everybody who
//! samples keeps the same ones.
//!
//! ```yaml
//! processors:
//!   probabilistic_sampler: {sampling_percentage: 10, mode: proportional}
//! ```
//!
//! `hash_seed` keeps the very traces that the OpenTelemetry Collector keeps with the same seed. The threshold goes into
//! `tracestate` (`ot=th:…`), so that statistics can be weighted.

use rootspan_model::sampling::{Randomness, Threshold};
use rootspan_model::trace_context::trace_state::TraceState;
use rootspan_wire::otlp::edit::{Fate, SpanEdits};
use rootspan_wire::otlp::view::AnyValue;

use crate::config;
use crate::config::decode::Decode;
use crate::config::node::{Entry, Node};
use crate::config::problems::Problems;
use crate::config::values::choice;

/// The least probability that a threshold can express, 2⁻⁵⁶: smaller ones are rounded up to it.
const MIN_PROBABILITY: f64 = 1.0 / (1_u64 << 56) as f64;
/// The attribute by which an application decides for a span itself (OpenTracing).
const PRIORITY: &str = "sampling.priority";

config! {
    /// Keeps a share of all traces.
    pub struct SamplerConfig {
        /// The share; 100 and more keeps everything.
        sampling_percentage: f64 = "0" [percent],
        /// The seed of the mode `hash_seed`.
        hash_seed: u32 = "0",
        /// `proportional`: the share of what comes; `equalizing`: the share of what there was; `hash_seed`: the
        /// collector's own way, and its default.
        mode: SamplerMode = "hash_seed",
        /// Hexadecimal digits of the threshold, 1 to 14.
        sampling_precision: u32 = "4",
        /// Whether spans with contradictory sampling information are left out.
        fail_closed: bool = "true",
        /// `traceID`; the other one is for logs.
        attribute_source: AttributeSource = "traceID",
    }
    known { "from_attribute", "sampling_priority" }
}

/// How the decision is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplerMode {
    /// By a hash of the trace id.
    HashSeed,
    /// The share of what comes.
    Proportional,
    /// The share of what there was before anybody sampled.
    Equalizing,
}

impl Decode for SamplerMode {
    const KIND: &'static str = "proportional, equalizing or hash_seed";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let choices =
            [("proportional", Self::Proportional), ("equalizing", Self::Equalizing), ("hash_seed", Self::HashSeed)];
        choice(node, problems, &choices)
    }
}

/// Where the randomness comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeSource;

impl Decode for AttributeSource {
    const KIND: &'static str = "traceID";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("traceid", Self)])
    }
}

impl SamplerConfig {
    /// Decodes and checks the ranges.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if !config.sampling_percentage.is_finite() || config.sampling_percentage < 0.0 {
            problems.error(&entry.position, "`sampling_percentage` must not be negative");
        }
        if !(1..=14).contains(&config.sampling_precision) {
            problems.error(&entry.position, "`sampling_precision` is between 1 and 14");
        }
        Some(config)
    }
}

/// The processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler {
    mode: Mode,
    fail_closed: bool,
}

/// What decides; a threshold of `None` keeps nothing.
#[derive(Clone, Copy, Debug)]
enum Mode {
    HashSeed { seed: u32, threshold: Option<Threshold> },
    Equalizing { threshold: Option<Threshold> },
    Proportional { ratio: f64, digits: u32 },
}

impl Sampler {
    pub(crate) fn new(config: &SamplerConfig) -> Self {
        let digits = config.sampling_precision;
        // The collector holds percentages in single precision; its hash decision depends on it.
        #[expect(clippy::cast_possible_truncation, reason = "single precision is the collector's")]
        let percentage = config.sampling_percentage.min(100.0) as f32;
        let is_nothing = percentage == 0.0;
        let ratio = (f64::from(percentage) / 100.0).max(MIN_PROBABILITY);
        let mode = match config.mode {
            SamplerMode::HashSeed => {
                Mode::HashSeed { seed: config.hash_seed, threshold: Threshold::of_percentage(percentage) }
            }
            _ if is_nothing => Mode::Equalizing { threshold: None },
            SamplerMode::Equalizing => Mode::Equalizing { threshold: Threshold::with_digits(ratio, digits) },
            SamplerMode::Proportional => Mode::Proportional { ratio, digits },
        };
        Self { mode, fail_closed: config.fail_closed }
    }

    /// Decides for a span, and notes the threshold in its `tracestate`.
    pub(crate) fn decide(&self, span: &mut SpanEdits<'_>) -> Fate {
        let trace_id = span.span.trace_id;
        let parsed = TraceState::parse([span.trace_state()]).ok();
        let arriving = parsed.as_ref().map(TraceState::ot).unwrap_or_default();
        let (randomness, is_sound) = match self.mode {
            // This mode has a randomness of its own, and must not be mixed with the specified one.
            Mode::HashSeed { seed, .. } => {
                let in_use = arriving.random_value.is_some() || arriving.threshold.is_some();
                (Randomness::of_hash(trace_id, seed), parsed.is_some() && !in_use)
            }
            Mode::Equalizing { .. } | Mode::Proportional { .. } => {
                let randomness = arriving.random_value.unwrap_or_else(|| Randomness::of_trace(trace_id));
                let is_consistent = arriving.threshold.is_none_or(|threshold| threshold.keeps(randomness));
                (randomness, parsed.is_some() && is_consistent)
            }
        };
        let threshold = match priority(span) {
            Some(true) => Some(Threshold::ALWAYS),
            Some(false) => None,
            None if is_sound => self.threshold(arriving.threshold),
            None if self.fail_closed => None,
            None => Some(Threshold::ALWAYS),
        };
        let Some(threshold) = threshold.filter(|threshold| threshold.keeps(randomness)) else {
            return Fate::SampledOut;
        };
        if let Some(mut state) = parsed {
            self.note(&mut state, threshold, randomness, is_sound);
            span.set_trace_state(state.to_header());
        }
        Fate::Keep
    }

    fn threshold(&self, arriving: Option<Threshold>) -> Option<Threshold> {
        match self.mode {
            Mode::HashSeed { threshold, .. } => threshold,
            // A probability never rises again.
            Mode::Equalizing { threshold } => threshold.map(|own| arriving.map_or(own, |arriving| own.max(arriving))),
            Mode::Proportional { ratio, digits } => {
                let arriving = arriving.map_or(1.0, Threshold::probability);
                Threshold::with_digits(arriving * ratio, digits)
            }
        }
    }

    /// Writes what was decided, unless a stricter threshold stands there.
    fn note(&self, state: &mut TraceState, threshold: Threshold, randomness: Randomness, is_sound: bool) {
        let mut ot = state.ot();
        match self.mode {
            Mode::HashSeed { .. } if is_sound => ot.random_value = Some(randomness),
            // Kept by its priority: what another way of sampling wrote stays as it is.
            Mode::HashSeed { .. } => return,
            // Contradictory: as the specification says, a threshold that is not true goes.
            Mode::Equalizing { .. } | Mode::Proportional { .. } if !is_sound => ot.threshold = None,
            Mode::Equalizing { .. } | Mode::Proportional { .. } => {}
        }
        ot.threshold = Some(ot.threshold.map_or(threshold, |arriving| arriving.max(threshold)));
        state.set_ot(&ot);
    }
}

/// What the application decided; a priority that is not a number decides nothing.
fn priority(span: &SpanEdits<'_>) -> Option<bool> {
    let number = match span.attributes.get(PRIORITY)? {
        AnyValue::String(text) => text.parse().ok()?,
        value => value.as_double()?,
    };
    if number == 0.0 {
        return Some(false);
    }
    (number > 0.0).then_some(true)
}
