//! What is in one delivery, whatever its form and its way: batches of spans, paid for as they are made, and what became of
//! records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rootspan_model::log_payload::LogPayload;
use rootspan_wire::cloudfront::span::{Encoder, Origin, Outcome, Settings, Unplaced};
use rootspan_wire::cloudfront::{Found, Reader, Record};
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::json;
use rootspan_wire::otlp::validate::Limits;

use super::join::Joiner;
use super::settings::{AuthoritativeSource, CloudFrontConfig};
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::net::decompress::{Compression, DecompressError, decompress};
use crate::runtime::ingress::Ingress;

/// Spans of one delivery are sent in batches of about this length; a short record makes a longer span.
const BATCH_BYTES: usize = 4 << 20;

/// What all ways into one receiver share.
#[derive(Debug)]
pub(super) struct Intake {
    ingress: Ingress,
    reader: Reader,
    settings: Settings,
    authoritative: AuthoritativeSource,
    joiner: Joiner,
    /// Longest a packed record may become.
    max_bytes: usize,
    counters: Arc<Counters>,
    /// Somebody was told that all records are secondary.
    has_warned: AtomicBool,
}

/// What became of the records of one delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally([u64; What::ALL.len()]);

/// What became of records, over all deliveries that were accepted.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; What::ALL.len()]);

/// What can become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Span,
    DerivedIds,
    Kept,
    SampledOut,
    Secondary,
    FunctionLog,
    Bad,
    NoRequestId,
    UnknownTrace,
    NoTime,
}

impl What {
    const ALL: [Self; 10] = [
        Self::Span,
        Self::DerivedIds,
        Self::Kept,
        Self::SampledOut,
        Self::Secondary,
        Self::FunctionLog,
        Self::Bad,
        Self::NoRequestId,
        Self::UnknownTrace,
        Self::NoTime,
    ];

    /// As in the metric's label.
    const fn name(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::DerivedIds => "span_derived_ids",
            Self::Kept => "kept",
            Self::SampledOut => "sampled_out",
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
            Outcome::Unplaced(Unplaced::NoRequestId) => Self::NoRequestId,
            Outcome::Unplaced(Unplaced::UnknownTrace) => Self::UnknownTrace,
            Outcome::Unplaced(Unplaced::NoTime) => Self::NoTime,
        }
    }
}

impl Tally {
    const fn add(&mut self, what: What, records: u64) {
        self.0[what as usize] += records;
    }
}

impl Counters {
    /// What became of records, by outcome.
    pub(super) fn by_outcome(&self) -> Vec<(&'static str, u64)> {
        What::ALL.iter().map(|what| (what.name(), self.0[*what as usize].load(Ordering::Relaxed))).collect()
    }
}

/// What was read of one delivery.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) batches: Vec<Batch>,
    tally: Tally,
}

impl Intake {
    pub(super) fn new(ingress: Ingress, config: &CloudFrontConfig) -> Self {
        Self {
            ingress,
            reader: config.reader(),
            settings: config.span_settings(),
            authoritative: config.authoritative_source.0,
            joiner: Joiner::new(config.edge.ids_via.console),
            max_bytes: usize::try_from(config.max_request_body_size.0).unwrap_or(usize::MAX),
            counters: Arc::default(),
            has_warned: AtomicBool::new(false),
        }
    }

    pub(super) const fn ingress(&self) -> &Ingress {
        &self.ingress
    }

    pub(super) const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The counters; they outlive the receiver and do not hold it.
    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Reads all records of a delivery. A bad one is counted and skipped.
    pub(super) fn read<E>(
        &self,
        records: impl IntoIterator<Item = Result<impl AsRef<[u8]>, E>>,
    ) -> Result<Delivery, Refusal> {
        let mut work = Work { delivery: Delivery::default(), encoder: Encoder::new(&self.settings), intake: self };
        for data in records {
            match data {
                Ok(data) => work.read(data.as_ref(), true)?,
                Err(_) => work.delivery.tally.add(What::Bad, 1),
            }
        }
        work.flush()?;
        Ok(work.delivery)
    }

    /// Sends the spans of a delivery on and waits until they are settled, then counts its records: one that is refused
    /// comes again.
    pub(super) async fn send(&self, delivery: Delivery) -> Result<(), Refusal> {
        for batch in delivery.batches {
            self.ingress.send(batch).await?;
        }
        for (counter, records) in self.counters.0.iter().zip(delivery.tally.0) {
            counter.fetch_add(records, Ordering::Relaxed);
        }
        self.warn_of_secondary();
        Ok(())
    }

    /// Says once if nothing becomes a span because all records are of the other log.
    fn warn_of_secondary(&self) {
        let read = |what: What| self.counters.0[what as usize].load(Ordering::Relaxed);
        let has_spans = read(What::Span) + read(What::DerivedIds) + read(What::Kept) + read(What::SampledOut) > 0;
        if read(What::Secondary) == 0 || has_spans || self.has_warned.swap(true, Ordering::Relaxed) {
            return;
        }
        match self.authoritative {
            AuthoritativeSource::AccessLog => tracing::warn!(
                "only lines of a function's log have arrived, and access logs make the spans; if there are no access logs, set \
                 `authoritative_source: function_log` in receivers.cloudfront"
            ),
            AuthoritativeSource::FunctionLog => tracing::warn!(
                "only access logs have arrived, and a function's log makes the spans; remove `authoritative_source` from \
                 receivers.cloudfront to make them of access logs"
            ),
        }
    }
}

/// A delivery that is being read.
struct Work<'a> {
    delivery: Delivery,
    encoder: Encoder<'a>,
    intake: &'a Intake,
}

impl Work<'_> {
    /// Reads one record of the delivery, or what was packed in it.
    fn read(&mut self, data: &[u8], may_be_packed: bool) -> Result<(), Refusal> {
        let mut outcome = Ok(());
        self.intake.reader.read(data, &mut |found| {
            if outcome.is_ok() {
                outcome = self.take(found, may_be_packed);
            }
        });
        outcome
    }

    fn take(&mut self, found: Found<'_>, may_be_packed: bool) -> Result<(), Refusal> {
        match found {
            Found::Record(record) => {
                if !self.intake.authoritative.is(record.log()) {
                    self.tally(What::Secondary);
                    return Ok(());
                }
                let logged = if record.has_payload() { None } else { self.intake.joiner.payload_of(&record) };
                self.push(&record, logged.as_ref())
            }
            Found::Payload { request_id, payload } => {
                self.tally(What::FunctionLog);
                match self.intake.joiner.record_for(request_id, &payload) {
                    Some(record) => self.push(&record, Some(&payload)),
                    None => Ok(()),
                }
            }
            Found::Otlp(text) => match json::read_request(text.as_bytes(), &Limits::default()) {
                Ok(validated) => {
                    self.delivery.tally.add(What::Bad, validated.rejected.items);
                    self.delivery.tally.add(What::Span, validated.batch.span_count() as u64);
                    self.add(validated.batch)
                }
                Err(_) => {
                    self.tally(What::Bad);
                    Ok(())
                }
            },
            Found::Gzip(packed) if may_be_packed => self.unpack(packed),
            // A bomb within a bomb is nobody's record.
            Found::Gzip(_) | Found::Invalid(_) => {
                self.tally(What::Bad);
                Ok(())
            }
            Found::Nothing => Ok(()),
        }
    }

    fn tally(&mut self, what: What) {
        self.delivery.tally.add(what, 1);
    }

    fn push(&mut self, record: &Record<'_>, logged: Option<&LogPayload>) -> Result<(), Refusal> {
        let outcome = self.encoder.push(record, logged);
        self.tally(What::of(outcome));
        if self.encoder.byte_count() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn unpack(&mut self, packed: &[u8]) -> Result<(), Refusal> {
        match decompress(Compression::Gzip, packed, self.intake.max_bytes, self.intake.ingress.budget()) {
            Ok(data) => self.read(data.as_ref(), false),
            Err(DecompressError::Exhausted) => Err(Refusal::memory_limit()),
            Err(DecompressError::Corrupt(_) | DecompressError::TooLarge) => {
                self.tally(What::Bad);
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<(), Refusal> {
        let full = std::mem::replace(&mut self.encoder, Encoder::new(&self.intake.settings));
        self.add(full.finish())
    }

    fn add(&mut self, batch: TraceBatch) -> Result<(), Refusal> {
        if !batch.is_empty() {
            self.delivery.batches.push(self.intake.ingress.pay(batch)?);
        }
        Ok(())
    }
}
