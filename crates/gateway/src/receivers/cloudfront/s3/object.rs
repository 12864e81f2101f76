//! One object, from the bucket to the pipelines: unpacked and converted piece by piece on a thread of its own, each batch
//! of spans sent and acknowledged before the next is made. What it takes of the memory does not depend on its length.

use std::io::{self, BufRead as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rootspan_wire::cloudfront::conversion::{Conversion, Sink};
use rootspan_wire::otlp::batch::TraceBatch;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::super::intake::Intake;
use super::super::pieces::{PieceLimits, Pieces, unpack};
use super::counts::ObjectOutcome;
use super::reading::Shared;
use super::trouble::pause;
use crate::ack::Refusal;
use crate::aws::bucket::Bucket;
use crate::aws::object::{ObjectReader, Stopped};
use crate::aws::problem::{Fault, Problem};
use crate::batch::Batch;
use crate::budget::{Exhausted, Reservation};
use crate::clock::Clock;
use crate::net::stop::Stop;
use crate::tasks;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// A record has a few kilobytes; what Firehose packs into one has a megabyte at most. Longer lines are passed over.
const LIMITS: PieceLimits = PieceLimits { piece_bytes: 256 << 10, max_value_bytes: 1 << 20 };
/// What reading takes beside the spans: a piece with room to grow, a chunk from the network, the decoder.
const WORK_BYTES: u64 = 2 << 20;
/// So many pieces are counted at once: a count is synced to the disk, and takes memory until then.
const OBSERVED_PIECES: u64 = 32;
/// How long spans that are refused for now are offered again before the object is put back.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two offers.
const MIN_RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(10);

/// What became of an object.
#[derive(Debug)]
pub(super) enum Ended {
    /// All of its spans are acknowledged.
    Read,
    /// All that could be read are; the rest never can be, for this reason.
    Damaged(String),
    /// It could not be fetched.
    Failed(Problem),
    /// Its spans were not taken.
    Refused(Refusal),
    /// Nobody wants more.
    Stopped,
}

/// Reads an object, counts it, and says what nobody else says.
pub(super) async fn read(shared: &Shared, bucket: &Bucket, key: &str, clock: &Clock) -> Ended {
    let url = bucket.url(key);
    let mut reader = ObjectReader::new(bucket, key, Handle::current()).until(shared.stop.clone());
    let (intake, stop) = (Arc::clone(&shared.intake), shared.stop.clone());
    let work = move || {
        let converted = Reading { intake: &intake, stop }.read(&mut reader, &Handle::current());
        (converted, reader.bytes_read(), reader.modified())
    };
    let Some((converted, bytes, modified)) = tasks::blocking("read object", work).await else {
        // A bug of ours, which the log has. The object must not come again for ever.
        shared.counts.object(ObjectOutcome::Damaged);
        return Ended::Damaged("reading it failed".to_owned());
    };
    let counts = &shared.counts;
    counts.bytes(bytes);
    counts.object(outcome(&converted.ended));
    if let Some(reason) = converted.first_problem.filter(|_| counts.is_first_bad()) {
        tracing::warn!(
            receiver = shared.id,
            object = url,
            reason,
            "records in an object cannot be read and are left out; further ones are only counted"
        );
    }
    match &converted.ended {
        Ended::Read => {
            let age = modified.map(|modified| clock().0.saturating_sub(modified.0) / NANOS_PER_SECOND);
            age.into_iter().for_each(|age| counts.lag(age));
            tracing::debug!(receiver = shared.id, object = url, bytes, "object read");
        }
        Ended::Damaged(reason) => tracing::warn!(
            receiver = shared.id,
            object = url,
            reason,
            "an object cannot be read to its end and is not read again; what came before is stored"
        ),
        Ended::Failed(_) | Ended::Refused(_) | Ended::Stopped => {}
    }
    converted.ended
}

fn outcome(ended: &Ended) -> ObjectOutcome {
    match ended {
        Ended::Read => ObjectOutcome::Read,
        Ended::Damaged(_) => ObjectOutcome::Damaged,
        Ended::Failed(problem) if problem.fault == Fault::NoObject => ObjectOutcome::Gone,
        Ended::Failed(_) => ObjectOutcome::Failed,
        Ended::Refused(_) | Ended::Stopped => ObjectOutcome::Refused,
    }
}

/// An object that is being read.
struct Reading<'i> {
    intake: &'i Intake,
    stop: Stop,
}

/// What ended the way from a piece to the pipelines.
enum Broken {
    Refused(Refusal),
    Stopped,
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Refused(refusal) => Self::Refused(refusal),
            Broken::Stopped => Self::Stopped,
        }
    }
}

/// What was read, and what could not be.
struct Converted {
    ended: Ended,
    /// What is wrong with the first bad record.
    first_problem: Option<String>,
}

impl From<Ended> for Converted {
    fn from(ended: Ended) -> Self {
        Self { ended, first_problem: None }
    }
}

impl Reading<'_> {
    fn read(&self, reader: &mut ObjectReader, runtime: &Handle) -> Converted {
        match runtime.block_on(self.reserve()) {
            // Held until the end.
            Ok(_reservation) => self.convert(reader, runtime),
            Err(broken) => Ended::from(broken).into(),
        }
    }

    /// Pays for what reading takes, when there is room.
    async fn reserve(&self) -> Result<Reservation, Broken> {
        let budget = self.intake.ingress().budget();
        self.patiently(async || budget.try_reserve(WORK_BYTES).map_err(|Exhausted| Refusal::memory_limit())).await
    }

    fn convert(&self, reader: &mut ObjectReader, runtime: &Handle) -> Converted {
        let mut broken = None;
        let mut sink = |traces: TraceBatch| match runtime.block_on(self.send(&traces)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(reason) => {
                broken = Some(reason);
                ControlFlow::Break(())
            }
        };
        let mut conversion = self.intake.begin();
        let read = self.pieces(reader, &mut conversion, &mut sink, runtime);
        let ended = match read {
            Err(damaged @ Ended::Damaged(_)) => damaged,
            Err(ended) => return ended.into(),
            Ok(()) => Ended::Read,
        };
        // What came before a damaged place is good. If the sink broke off, `broken` has the reason.
        let _flow = conversion.flush(&mut sink);
        let counted = broken.map_or_else(|| runtime.block_on(self.observe(&mut conversion)), Err);
        if let Err(broken) = counted {
            return Ended::from(broken).into();
        }
        self.intake.count(conversion.tally());
        Converted { ended, first_problem: conversion.first_problem().map(ToString::to_string) }
    }

    /// Converts all of an object, or until the sink breaks off.
    fn pieces(
        &self,
        reader: &mut ObjectReader,
        conversion: &mut Conversion<'_>,
        sink: &mut Sink<'_>,
        runtime: &Handle,
    ) -> Result<(), Ended> {
        let mut input = unpack(reader).map_err(|error| of_error(&error))?;
        if input.fill_buf().map_err(|error| of_error(&error))?.starts_with(b"PAR1") {
            return Err(Ended::Damaged("it is Parquet; have standard logging deliver JSON, W3C or plain".to_owned()));
        }
        let mut pieces = Pieces::new(input, LIMITS);
        let mut number = 0;
        while let Some(goes_on) =
            pieces.next(|piece| conversion.read_next(piece, sink).is_continue()).map_err(|error| of_error(&error))?
        {
            if !goes_on {
                break;
            }
            number += 1;
            if number % OBSERVED_PIECES == 0 {
                runtime.block_on(self.observe(conversion)).map_err(Ended::from)?;
            }
        }
        Ok(())
    }

    /// Counts for edge coverage what was not yet. What comes again after that is recognised.
    async fn observe(&self, conversion: &mut Conversion<'_>) -> Result<(), Broken> {
        let observations = conversion.take_observations();
        self.patiently(async || self.intake.observe(observations.clone()).await).await
    }

    /// Sends spans and waits until they are settled.
    async fn send(&self, traces: &TraceBatch) -> Result<(), Broken> {
        let ingress = self.intake.ingress();
        let offer = async || {
            let paid = ingress.budget().try_reserve(traces.bytes().len() as u64);
            let paid = paid.map_err(|Exhausted| Refusal::memory_limit())?;
            ingress.send(Batch::new(traces.clone(), paid)).await
        };
        self.patiently(offer).await
    }

    /// Offers again what is refused for now.
    async fn patiently<T>(&self, mut offer: impl AsyncFnMut() -> Result<T, Refusal>) -> Result<T, Broken> {
        let (give_up, mut wait) = (Instant::now() + PATIENCE, MIN_RETRY);
        let mut stop = self.stop.clone();
        loop {
            let refusal = match offer().await {
                Ok(value) => return Ok(value),
                Err(refusal) => refusal,
            };
            if stop.is_stopped() {
                return Err(Broken::Stopped);
            }
            let Some(hint) = refusal.retry_after.filter(|_| Instant::now() < give_up) else {
                return Err(Broken::Refused(refusal));
            };
            wait = (wait * 2).max(hint).min(MAX_RETRY);
            pause(wait, &mut stop).await;
        }
    }
}

/// Whether it is the bucket that failed, or what is in the object.
fn of_error(error: &io::Error) -> Ended {
    let inner = error.get_ref();
    if let Some(problem) = inner.and_then(|inner| inner.downcast_ref::<Problem>()) {
        return Ended::Failed(problem.clone());
    }
    if inner.is_some_and(|inner| inner.is::<Stopped>()) {
        return Ended::Stopped;
    }
    Ended::Damaged(error.to_string())
}
