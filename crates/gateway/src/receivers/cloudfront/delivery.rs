//! What is in one delivery, whatever its form: batches of spans, paid for as they are made, and what became of records.

use rootspan_model::conventions::cloudfront;
use rootspan_wire::cloudfront::span::{Encoder, Outcome, Settings, Unplaced};
use rootspan_wire::cloudfront::{Found, Reader};
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::json;
use rootspan_wire::otlp::validate::Limits;
use rootspan_wire::otlp::view::AnyValue;

use crate::ack::Refusal;
use crate::batch::Batch;
use crate::net::decompress::{Compression, DecompressError, decompress};
use crate::runtime::ingress::Ingress;

/// Spans of one delivery are sent in batches of about this length; a short record makes a longer span.
const BATCH_BYTES: usize = 4 << 20;

/// What a delivery is read with.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) reader: &'a Reader,
    pub(super) settings: &'a Settings,
    pub(super) ingress: &'a Ingress,
    /// Longest a packed record may become.
    pub(super) max_bytes: usize,
}

/// What became of the records of one delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) spans: u64,
    pub(super) derived: u64,
    pub(super) sampled_out: u64,
    pub(super) bad: u64,
    pub(super) no_request_id: u64,
    pub(super) unknown_trace: u64,
    pub(super) no_time: u64,
    /// Trace context that a function logged by itself. Nothing joins it with its record yet.
    pub(super) function_log: u64,
}

/// What was read of one delivery.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) batches: Vec<Batch>,
    pub(super) tally: Tally,
}

impl Delivery {
    /// Reads all records. A bad one is counted and skipped.
    pub(super) fn read<E>(
        records: impl IntoIterator<Item = Result<impl AsRef<[u8]>, E>>,
        source: &Source<'_>,
    ) -> Result<Self, Refusal> {
        let mut work = Work { delivery: Self::default(), encoder: Encoder::new(source.settings), source: *source };
        for data in records {
            match data {
                Ok(data) => work.read(data.as_ref(), true)?,
                Err(_) => work.delivery.tally.bad += 1,
            }
        }
        work.flush()?;
        Ok(work.delivery)
    }
}

/// A delivery that is being read.
struct Work<'a> {
    delivery: Delivery,
    encoder: Encoder<'a>,
    source: Source<'a>,
}

impl Work<'_> {
    /// Reads one record of the delivery, or what was packed in it.
    fn read(&mut self, data: &[u8], may_be_packed: bool) -> Result<(), Refusal> {
        let reader = self.source.reader;
        let mut outcome = Ok(());
        reader.read(data, &mut |found| {
            if outcome.is_ok() {
                outcome = self.take(found, may_be_packed);
            }
        });
        outcome
    }

    fn take(&mut self, found: Found<'_>, may_be_packed: bool) -> Result<(), Refusal> {
        let tally = &mut self.delivery.tally;
        match found {
            Found::Record(record) => {
                match self.encoder.push(&record, None) {
                    Outcome::Span(_) | Outcome::Kept => {}
                    Outcome::SampledOut => tally.sampled_out += 1,
                    Outcome::Unplaced(Unplaced::NoRequestId) => tally.no_request_id += 1,
                    Outcome::Unplaced(Unplaced::UnknownTrace) => tally.unknown_trace += 1,
                    Outcome::Unplaced(Unplaced::NoTime) => tally.no_time += 1,
                }
                if self.encoder.byte_count() >= BATCH_BYTES { self.flush() } else { Ok(()) }
            }
            Found::Payload { .. } => {
                tally.function_log += 1;
                Ok(())
            }
            Found::Otlp(text) => match json::read_request(text.as_bytes(), &Limits::default()) {
                Ok(validated) => {
                    tally.bad += validated.rejected.items;
                    self.add(validated.batch)
                }
                Err(_) => {
                    tally.bad += 1;
                    Ok(())
                }
            },
            Found::Gzip(packed) if may_be_packed => self.unpack(packed),
            // A bomb within a bomb is nobody's record.
            Found::Gzip(_) | Found::Invalid(_) => {
                tally.bad += 1;
                Ok(())
            }
            Found::Nothing => Ok(()),
        }
    }

    fn unpack(&mut self, packed: &[u8]) -> Result<(), Refusal> {
        match decompress(Compression::Gzip, packed, self.source.max_bytes, self.source.ingress.budget()) {
            Ok(data) => self.read(data.as_ref(), false),
            Err(DecompressError::Exhausted) => Err(Refusal::memory_limit()),
            Err(DecompressError::Corrupt(_) | DecompressError::TooLarge) => {
                self.delivery.tally.bad += 1;
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<(), Refusal> {
        let full = std::mem::replace(&mut self.encoder, Encoder::new(self.source.settings));
        self.add(full.finish())
    }

    fn add(&mut self, batch: TraceBatch) -> Result<(), Refusal> {
        if batch.is_empty() {
            return Ok(());
        }
        let tally = &mut self.delivery.tally;
        tally.spans += batch.span_count() as u64;
        let derived = |context| matches!(context, Some(AnyValue::String(cloudfront::context::DERIVED)));
        tally.derived += batch.spans().filter(|item| derived(item.span.attribute(cloudfront::CONTEXT))).count() as u64;
        self.delivery.batches.push(self.source.ingress.pay(batch)?);
        Ok(())
    }
}
