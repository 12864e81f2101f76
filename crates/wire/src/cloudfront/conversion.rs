//! From logs to requests of spans, whatever the logs' form and whoever reads them: what becomes of each record, and the tally
//! of it.

use std::ops::ControlFlow;

use super::join::Joiner;
use super::observation::{Fate, Observation, Observations};
use super::span::{Encoder, Origin, Outcome, Settings, Unplaced};
use super::{Found, InvalidRecord, Log, Reader, Session};
use crate::otlp::batch::TraceBatch;
use crate::otlp::json;
use crate::otlp::validate::Limits;

/// Requests have about this length; a short record makes a longer span.
const REQUEST_BYTES: usize = 4 << 20;

/// A request ends with the span that makes it too long.
const LONGEST_USUAL_SPAN: usize = 4 << 10;

/// Which logs make the viewer's span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AuthoritativeSource {
    /// CloudFront's own: standard or real-time.
    #[default]
    AccessLog,
    /// What a function logs of each request: AWS's sample.
    FunctionLog,
}

impl AuthoritativeSource {
    /// Whether records of a log make spans.
    fn is(self, log: Log) -> bool {
        match self {
            Self::AccessLog => log != Log::Function,
            Self::FunctionLog => log == Log::Function,
        }
    }
}

/// What can become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A span with the ids that the edge function logged, or that the viewer's headers have.
    Span,
    /// A span with ids that follow from the request id.
    DerivedIds,
    /// A span although its trace is not sampled.
    Kept,
    /// Nothing: not sampled.
    SampledOut,
    /// Nothing: left out by the rate of its result type.
    Thinned,
    /// Nothing: another log is authoritative.
    Secondary,
    /// Data of the edge function, for a record.
    FunctionLog,
    /// Nothing: it is no record.
    Bad,
    /// Nothing: no request id.
    NoRequestId,
    /// Nothing: it does not tell which trace was continued.
    UnknownTrace,
    /// Nothing: no time.
    NoTime,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Span,
        Self::DerivedIds,
        Self::Kept,
        Self::SampledOut,
        Self::Thinned,
        Self::Secondary,
        Self::FunctionLog,
        Self::Bad,
        Self::NoRequestId,
        Self::UnknownTrace,
        Self::NoTime,
    ];

    /// As in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::DerivedIds => "span_derived_ids",
            Self::Kept => "kept",
            Self::SampledOut => "sampled_out",
            Self::Thinned => "thinned",
            Self::Secondary => "secondary",
            Self::FunctionLog => "function_log",
            Self::Bad => "bad",
            Self::NoRequestId => "no_request_id",
            Self::UnknownTrace => "unknown_trace",
            Self::NoTime => "no_time",
        }
    }

    const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Span(Origin::Derived) => Self::DerivedIds,
            Outcome::Span(Origin::Function | Origin::Headers) => Self::Span,
            Outcome::Kept => Self::Kept,
            Outcome::SampledOut => Self::SampledOut,
            Outcome::Thinned => Self::Thinned,
            Outcome::Unplaced(Unplaced::NoRequestId) => Self::NoRequestId,
            Outcome::Unplaced(Unplaced::UnknownTrace) => Self::UnknownTrace,
            Outcome::Unplaced(Unplaced::NoTime) => Self::NoTime,
        }
    }
}

/// How many records became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([u64; What::ALL.len()]);

impl Tally {
    /// So many more.
    pub const fn add(&mut self, what: What, records: u64) {
        self.0[what as usize] += records;
    }

    /// How many became this.
    #[must_use]
    pub const fn of(&self, what: What) -> u64 {
        self.0[what as usize]
    }
}

/// What all logs of one source are converted with.
#[derive(Debug)]
pub struct Converter {
    reader: Reader,
    settings: Settings,
    authoritative: AuthoritativeSource,
    joiner: Joiner,
}

impl Converter {
    /// Records wait for the function's data from the beginning if it is known to log that by itself.
    #[must_use]
    pub fn new(reader: Reader, settings: Settings, authoritative: AuthoritativeSource, ids_via_console: bool) -> Self {
        Self { reader, settings, authoritative, joiner: Joiner::new(ids_via_console) }
    }

    /// Which log is authoritative.
    #[must_use]
    pub const fn authoritative(&self) -> AuthoritativeSource {
        self.authoritative
    }

    /// Begins to convert deliveries that belong together, or one log piece by piece.
    #[must_use]
    pub fn begin(&self) -> Conversion<'_> {
        Conversion {
            converter: self,
            session: self.reader.session(),
            encoder: Encoder::new(&self.settings),
            tally: Tally::default(),
            observations: Observations::default(),
            first_problem: None,
            resource: Vec::new(),
        }
    }
}

/// Takes finished requests; `Break` ends the conversion.
pub type Sink<'s> = dyn FnMut(TraceBatch) -> ControlFlow<()> + 's;

/// Logs on their way to spans.
#[derive(Debug)]
pub struct Conversion<'c> {
    converter: &'c Converter,
    session: Session<'c>,
    encoder: Encoder<'c>,
    tally: Tally,
    observations: Observations,
    first_problem: Option<InvalidRecord>,
    /// What the delivery says of its source.
    resource: Vec<(String, String)>,
}

impl<'c> Conversion<'c> {
    /// With attributes of the resource that hold for all that is converted.
    #[must_use]
    pub fn of_resource(mut self, attributes: Vec<(String, String)>) -> Self {
        self.resource = attributes;
        self
    }

    /// Converts one delivery, which says itself what it is. If it is packed it is given back, to be unpacked and converted.
    pub fn read<'d>(&mut self, data: &'d [u8], sink: &mut Sink<'_>) -> ControlFlow<(), Option<&'d [u8]>> {
        self.session.restart();
        self.read_next(data, sink)
    }

    /// Converts the next piece of a log, which ends with a line's end, or with the log's.
    pub fn read_next<'d>(&mut self, data: &'d [u8], sink: &mut Sink<'_>) -> ControlFlow<(), Option<&'d [u8]>> {
        // Spans are about as long as their records.
        self.encoder.reserve(data.len().min(REQUEST_BYTES));
        let mut session = std::mem::replace(&mut self.session, self.converter.reader.session());
        let mut flow = ControlFlow::Continue(());
        let mut is_packed = false;
        session.read(data, &mut |found| {
            if let Found::Gzip(_) = found {
                is_packed = true;
            } else if flow.is_continue() {
                flow = self.take(found, sink);
            }
        });
        self.session = session;
        flow?;
        ControlFlow::Continue(is_packed.then_some(data))
    }

    /// Something that cannot be read, for a reason outside of it.
    pub const fn bad(&mut self) {
        self.tally.add(What::Bad, 1);
    }

    /// What is wrong with the first bad record.
    #[must_use]
    pub const fn first_problem(&self) -> Option<&InvalidRecord> {
        self.first_problem.as_ref()
    }

    /// What has become of records so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Gives away what is to be counted of the records so far.
    #[must_use]
    pub fn take_observations(&mut self) -> Observations {
        std::mem::take(&mut self.observations)
    }

    /// Gives away the spans that are not in a request yet.
    pub fn flush(&mut self, sink: &mut Sink<'_>) -> ControlFlow<()> {
        let full =
            std::mem::replace(&mut self.encoder, Encoder::new(&self.converter.settings)).finish_with(&self.resource);
        if full.is_empty() { ControlFlow::Continue(()) } else { sink(full) }
    }

    fn take(&mut self, found: Found<'_>, sink: &mut Sink<'_>) -> ControlFlow<()> {
        match found {
            Found::Record(record) if !self.converter.authoritative.is(record.log()) => {
                self.tally.add(What::Secondary, 1);
                self.observations.push(&Observation::new(record, Fate::Secondary, None));
                ControlFlow::Continue(())
            }
            Found::Record(record) => {
                let payload = record.payload().or_else(|| self.converter.joiner.payload_of(record));
                let placed = self.encoder.place(record, payload.as_ref());
                self.observations.push(&Observation::new(record, Fate::of(placed.outcome), Some(&placed)));
                self.placed(placed.outcome, sink)
            }
            Found::Payload { request_id, payload } => {
                self.tally.add(What::FunctionLog, 1);
                match self.converter.joiner.record_for(request_id, &payload) {
                    Some(record) => {
                        let placed = self.encoder.place(&record, Some(&payload));
                        // The record itself was counted when it came.
                        if let Outcome::Span(_) = placed.outcome {
                            self.observations.push(&Observation::new(&record, Fate::Joined, Some(&placed)));
                        }
                        self.placed(placed.outcome, sink)
                    }
                    None => ControlFlow::Continue(()),
                }
            }
            Found::Otlp(text) => self.take_otlp(text, sink),
            Found::Invalid(problem) => {
                self.first_problem.get_or_insert(problem);
                self.bad();
                ControlFlow::Continue(())
            }
            Found::Gzip(_) | Found::Nothing => ControlFlow::Continue(()),
        }
    }

    fn take_otlp(&mut self, text: &str, sink: &mut Sink<'_>) -> ControlFlow<()> {
        match json::read_request(text.as_bytes(), &Limits::default()) {
            Ok(validated) => {
                self.tally.add(What::Bad, validated.rejected.items);
                self.tally.add(What::Span, validated.batch.span_count() as u64);
                if validated.batch.is_empty() { ControlFlow::Continue(()) } else { sink(validated.batch) }
            }
            Err(problem) => {
                self.first_problem.get_or_insert_with(|| InvalidRecord(problem.to_string()));
                self.bad();
                ControlFlow::Continue(())
            }
        }
    }

    fn placed(&mut self, outcome: Outcome, sink: &mut Sink<'_>) -> ControlFlow<()> {
        self.tally.add(What::of(outcome), 1);
        if self.encoder.byte_count() < REQUEST_BYTES {
            return ControlFlow::Continue(());
        }
        self.flush(sink)?;
        // The next one will be as long: not to be moved while it grows.
        self.encoder.reserve(REQUEST_BYTES + LONGEST_USUAL_SPAN);
        ControlFlow::Continue(())
    }
}
