//! From delivered bytes to requests of spans, by the code that the receiver runs: what it costs, in CPU time of this thread.

use std::fs::File;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rootspan_wire::cloudfront::Reader;
use rootspan_wire::cloudfront::conversion::{AuthoritativeSource, Conversion, Converter, What};
use rootspan_wire::cloudfront::span::Settings;
use rootspan_wire::firehose;
use rootspan_wire::otlp::batch::TraceBatch;
use rustix::time::{ClockId, clock_gettime};

use super::forms::{Form, columns};

/// CPU time of one measurement at least, so that the clock's own cost and one interruption do not matter.
const MEASURED: Duration = Duration::from_millis(150);

/// A file is read in pieces of this length.
const PIECE_BYTES: usize = 1 << 20;

/// A form with its deliveries.
pub(super) struct Subject {
    pub(super) form: Form,
    deliveries: Vec<Vec<u8>>,
    records: u64,
    converter: Converter,
}

impl Subject {
    /// So many records of a form.
    pub(super) fn new(form: Form, records: u64) -> Self {
        let reader = Reader { line_fields: Some(columns()), ..Reader::default() };
        let converter = Converter::new(reader, Settings::default(), AuthoritativeSource::AccessLog, false);
        Self { form, deliveries: form.deliveries(records), records, converter }
    }

    /// Bytes of a record, with its part of what is around it.
    pub(super) fn bytes_per_record(&self) -> f64 {
        self.deliveries.iter().map(Vec::len).sum::<usize>() as f64 / self.records as f64
    }

    /// Converts everything once; every record must become a span. Gives the bytes of OTLP for each.
    pub(super) fn check(&self) -> anyhow::Result<f64> {
        let mut bytes = 0;
        let mut spans = 0;
        let tally = self.convert(&mut |batch: TraceBatch| {
            bytes += batch.bytes().len();
            spans += batch.span_count() as u64;
            ControlFlow::Continue(())
        })?;
        ensure!(tally == self.records && spans == tally, "{} records became {spans} spans", self.records);
        Ok(bytes as f64 / spans as f64)
    }

    /// Converts everything so many times.
    pub(super) fn convert_times(&self, times: u32) -> anyhow::Result<()> {
        for _ in 0..times {
            self.convert(&mut |batch| {
                std::hint::black_box(batch);
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }

    /// CPU time for a record, in microseconds.
    pub(super) fn measure(&self) -> anyhow::Result<f64> {
        let start = thread_cpu();
        let mut passes = 0_u32;
        loop {
            self.convert_times(1)?;
            passes += 1;
            let taken = thread_cpu().saturating_sub(start);
            if taken >= MEASURED {
                return Ok(taken.as_secs_f64() * 1e6 / (f64::from(passes) * self.records as f64));
            }
        }
    }

    /// Gives the number of spans.
    fn convert(&self, sink: &mut dyn FnMut(TraceBatch) -> ControlFlow<()>) -> anyhow::Result<u64> {
        let mut conversion = self.converter.begin();
        for delivery in &self.deliveries {
            match self.form.firehose() {
                None => read(&mut conversion, delivery, sink)?,
                Some(false) => read_firehose(&mut conversion, delivery, sink)?,
                Some(true) => read_firehose(&mut conversion, &gunzip(delivery)?, sink)?,
            }
        }
        // What a sink refuses is not measured: these take everything.
        let _continued = conversion.flush(sink);
        Ok(spans(&conversion))
    }
}

/// Converts a log of lines with a header, piece by piece as a file is read.
pub(super) fn file(path: &Path) -> anyhow::Result<()> {
    let reader = Reader { line_fields: Some(columns()), ..Reader::default() };
    let converter = Converter::new(reader, Settings::default(), AuthoritativeSource::AccessLog, false);
    let mut conversion = converter.begin();
    let mut sink = |batch: TraceBatch| {
        std::hint::black_box(batch);
        ControlFlow::Continue(())
    };
    let mut file = File::open(path)?;
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    while file.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)? > 0 {
        // What is behind the last line's end waits until its line is whole.
        let whole = piece.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let _continued = conversion.read_next(&piece[..whole], &mut sink);
        piece.drain(..whole);
    }
    let _continued = conversion.read_next(&piece, &mut sink);
    let _continued = conversion.flush(&mut sink);
    println!("{} spans", spans(&conversion));
    Ok(())
}

fn spans(conversion: &Conversion<'_>) -> u64 {
    conversion.tally().of(What::Span) + conversion.tally().of(What::DerivedIds)
}

fn read_firehose(
    conversion: &mut Conversion<'_>,
    body: &[u8],
    sink: &mut dyn FnMut(TraceBatch) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    for data in firehose::Request::parse(body)?.records() {
        read(conversion, &data?, sink)?;
    }
    Ok(())
}

/// As the gateway does: what is packed is unpacked and read again.
fn read(
    conversion: &mut Conversion<'_>,
    data: &[u8],
    sink: &mut dyn FnMut(TraceBatch) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    if let ControlFlow::Continue(Some(packed)) = conversion.read(data, sink) {
        let _continued = conversion.read(&gunzip(packed)?, sink);
    }
    Ok(())
}

/// One member, as the gateway unpacks it: by libdeflate, into a buffer as long as the trailer says.
fn gunzip(packed: &[u8]) -> anyhow::Result<Vec<u8>> {
    let length = packed.last_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)).context("no gzip")?;
    let mut data = vec![0; length as usize];
    let mut decompressor = libdeflater::Decompressor::new();
    decompressor.gzip_decompress(packed, &mut data).map_err(|error| anyhow::anyhow!("gzip: {error}"))?;
    Ok(data)
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
