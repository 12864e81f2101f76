//! What all ways into one receiver share: deliveries become batches of spans, paid for as they are made, and records are
//! counted.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rootspan_wire::cloudfront::conversion::{AuthoritativeSource, Conversion, Converter, Tally, What};
use rootspan_wire::cloudfront::observation::Observations;
use rootspan_wire::otlp::batch::TraceBatch;

use super::counting::Counting;
use super::settings::CloudFrontConfig;
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::net::decompress::{Compression, DecompressError, decompress};
use crate::runtime::ingress::Ingress;

/// The inside of a receiver.
#[derive(Debug)]
pub(super) struct Intake {
    ingress: Ingress,
    counting: Counting,
    converter: Converter,
    /// Longest a packed record may become.
    max_bytes: usize,
    counters: Arc<Counters>,
    /// Somebody was told that all records are secondary.
    has_warned: AtomicBool,
}

/// What became of records, over all deliveries that were accepted.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; What::ALL.len()]);

/// What was read of one delivery.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    batches: Vec<Batch>,
    tally: Tally,
    observations: Observations,
}

impl Counters {
    fn of(&self, what: What) -> u64 {
        self.0[what as usize].load(Ordering::Relaxed)
    }

    /// What became of records, by outcome.
    pub(super) fn by_outcome(&self) -> Vec<(&'static str, u64)> {
        What::ALL.iter().map(|what| (what.name(), self.of(*what))).collect()
    }
}

impl Intake {
    pub(super) fn new(ingress: Ingress, counting: Counting, config: &CloudFrontConfig) -> Self {
        Self {
            ingress,
            counting,
            converter: config.converter(),
            max_bytes: config.max_bytes(),
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

    /// Reads all records of a delivery, from a source with these attributes. A bad one is counted and skipped.
    pub(super) fn read<E>(
        &self,
        source: Vec<(String, String)>,
        records: impl IntoIterator<Item = Result<impl AsRef<[u8]>, E>>,
    ) -> Result<Delivery, Refusal> {
        let conversion = self.converter.begin().of_resource(source);
        let mut work = Work { conversion, purse: Purse { intake: self, batches: Vec::new() } };
        for data in records {
            match data {
                Ok(data) => work.read(data.as_ref())?,
                Err(_) => work.conversion.bad(),
            }
        }
        let Work { mut conversion, mut purse } = work;
        purse.with(|sink| conversion.flush(sink))?;
        let observations = conversion.take_observations();
        Ok(Delivery { tally: *conversion.tally(), observations, batches: purse.batches })
    }

    /// Reads a piece of a log in which `header` was the last line with the names of fields. Gives also what is wrong with the first bad
    /// record.
    pub(super) fn read_piece(&self, header: Option<&str>, piece: &[u8]) -> Result<(Delivery, Option<String>), Refusal> {
        let mut work = Work { conversion: self.converter.begin(), purse: Purse { intake: self, batches: Vec::new() } };
        for data in header.map(str::as_bytes).into_iter().chain([piece]) {
            let is_packed = work.purse.with(|sink| work.conversion.read_next(data, sink))?.is_some();
            // What is packed within a log is nobody's record.
            if is_packed {
                work.conversion.bad();
            }
        }
        let Work { mut conversion, mut purse } = work;
        purse.with(|sink| conversion.flush(sink))?;
        let problem = conversion.first_problem().map(ToString::to_string);
        let observations = conversion.take_observations();
        Ok((Delivery { tally: *conversion.tally(), observations, batches: purse.batches }, problem))
    }

    /// Sends the spans of a delivery on and waits until they are settled, then counts its records. A delivery that is
    /// refused comes again, and with it spans that are known and records that are recognised.
    pub(super) async fn send(&self, delivery: Delivery) -> Result<(), Refusal> {
        for batch in delivery.batches {
            self.ingress.send(batch).await?;
        }
        self.counting.count(delivery.observations).await?;
        self.count(&delivery.tally);
        Ok(())
    }

    /// Begins to convert a log that is read as a stream. Whoever reads it sends the spans and says when they are settled.
    #[cfg(feature = "aws")]
    pub(super) fn begin(&self) -> Conversion<'_> {
        self.converter.begin()
    }

    /// Counts records of such a log for edge coverage, and waits until that is on disk.
    #[cfg(feature = "aws")]
    pub(super) async fn observe(&self, observations: Observations) -> Result<(), Refusal> {
        self.counting.count(observations).await
    }

    /// Counts what became of records whose spans are settled.
    pub(super) fn count(&self, tally: &Tally) {
        for what in What::ALL {
            self.counters.0[what as usize].fetch_add(tally.of(what), Ordering::Relaxed);
        }
        self.warn_of_secondary();
    }

    /// Says once if nothing becomes a span because all records are of the other log.
    fn warn_of_secondary(&self) {
        let made = [What::Span, What::DerivedIds, What::Kept, What::SampledOut, What::Thinned];
        let has_spans = made.into_iter().any(|what| self.counters.of(what) > 0);
        if self.counters.of(What::Secondary) == 0 || has_spans || self.has_warned.swap(true, Ordering::Relaxed) {
            return;
        }
        match self.converter.authoritative() {
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
    conversion: Conversion<'a>,
    purse: Purse<'a>,
}

impl Work<'_> {
    /// Reads one record of the delivery, or what was packed in it.
    fn read(&mut self, data: &[u8]) -> Result<(), Refusal> {
        let Some(packed) = self.purse.with(|sink| self.conversion.read(data, sink))? else { return Ok(()) };
        let intake = self.purse.intake;
        match decompress(Compression::Gzip, packed, intake.max_bytes, intake.ingress.budget()) {
            Ok(data) => {
                let packed_again = self.purse.with(|sink| self.conversion.read(data.as_ref(), sink))?.is_some();
                // A bomb within a bomb is nobody's record.
                if packed_again {
                    self.conversion.bad();
                }
            }
            Err(DecompressError::Exhausted) => return Err(Refusal::memory_limit()),
            Err(DecompressError::Corrupt(_) | DecompressError::TooLarge) => self.conversion.bad(),
        }
        Ok(())
    }
}

/// Pays for batches as they are made.
struct Purse<'a> {
    intake: &'a Intake,
    batches: Vec<Batch>,
}

impl Purse<'_> {
    /// Runs a conversion; a batch that cannot be paid for ends it.
    fn with<T>(
        &mut self,
        convert: impl FnOnce(&mut dyn FnMut(TraceBatch) -> ControlFlow<()>) -> ControlFlow<(), T>,
    ) -> Result<T, Refusal> {
        let mut refusal = None;
        let converted = convert(&mut |traces| match self.intake.ingress.pay(traces) {
            Ok(batch) => {
                self.batches.push(batch);
                ControlFlow::Continue(())
            }
            Err(refused) => {
                refusal = Some(refused);
                ControlFlow::Break(())
            }
        });
        match converted {
            ControlFlow::Continue(value) => Ok(value),
            ControlFlow::Break(()) => Err(refusal.unwrap_or_else(Refusal::memory_limit)),
        }
    }
}
