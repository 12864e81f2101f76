//! One validated request of any of the three signals: what the gateway carries.

use bytes::Bytes;

use super::batch::{TraceBatch, check_length};
use super::protobuf::{FieldValue, Reader, WireError};
use super::validate::InvalidRequest;

/// What a request tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// OpenTelemetry's word for it, as pipelines are called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// What partial success calls the number of items that were left out, in JSON.
    #[must_use]
    pub const fn rejected_key(self) -> &'static str {
        match self {
            Self::Traces => "rejectedSpans",
            Self::Metrics => "rejectedDataPoints",
            Self::Logs => "rejectedLogRecords",
        }
    }

    /// The signal called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.name() == name)
    }
}

/// One validated, uncompressed export request. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub enum Payload {
    /// `ExportTraceServiceRequest`, with an index of its spans.
    Traces(TraceBatch),
    /// `ExportMetricsServiceRequest`.
    Metrics(Counted),
    /// `ExportLogsServiceRequest`.
    Logs(Counted),
}

/// A request of which nothing is known but how many items it has: metrics and logs are passed on, and looked into by
/// whoever needs to.
#[derive(Clone, Debug)]
pub struct Counted {
    bytes: Bytes,
    items: usize,
}

impl Counted {
    /// `bytes` hold so many items.
    pub(super) const fn new(bytes: Bytes, items: usize) -> Self {
        Self { bytes, items }
    }

    /// The request's protobuf bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Payload {
    /// A request that this program wrote or validated before (read back from a journal).
    ///
    /// # Errors
    /// [`InvalidRequest`] if the bytes cannot be split into items.
    pub fn from_trusted(signal: Signal, bytes: Bytes) -> Result<Self, InvalidRequest> {
        if signal == Signal::Traces {
            return TraceBatch::from_trusted(bytes).map(Self::Traces);
        }
        check_length(bytes.len())?;
        let items = count(signal, &bytes)?;
        Ok(Self::counted(signal, Counted { bytes, items }))
    }

    /// The payload of a signal other than traces.
    fn counted(signal: Signal, counted: Counted) -> Self {
        match signal {
            Signal::Traces => unreachable!("traces have an index"),
            Signal::Metrics => Self::Metrics(counted),
            Signal::Logs => Self::Logs(counted),
        }
    }

    /// All of `payloads`, which are of one signal, as one, in order. Concatenated requests are one request, so nothing
    /// is decoded.
    ///
    /// # Errors
    /// [`InvalidRequest`] if the whole is longer than protobuf's 2 GiB.
    ///
    /// # Panics
    /// If they are of several signals.
    pub fn concatenate(payloads: &[&Self]) -> Result<Self, InvalidRequest> {
        let Some(first) = payloads.first() else { return Ok(Self::Traces(TraceBatch::default())) };
        let signal = first.signal();
        assert!(payloads.iter().all(|payload| payload.signal() == signal), "a request is of one signal");
        if signal == Signal::Traces {
            let traces: Vec<TraceBatch> = payloads.iter().filter_map(|payload| payload.traces().cloned()).collect();
            return TraceBatch::concatenate(&traces).map(Self::Traces);
        }
        let length = payloads.iter().map(|payload| payload.bytes().len()).sum();
        check_length(length)?;
        let mut bytes = Vec::with_capacity(length);
        payloads.iter().for_each(|payload| bytes.extend_from_slice(payload.bytes()));
        let items = payloads.iter().map(|payload| payload.items()).sum();
        Ok(Self::counted(signal, Counted { bytes: bytes.into(), items }))
    }

    /// What it tells of.
    #[must_use]
    pub const fn signal(&self) -> Signal {
        match self {
            Self::Traces(_) => Signal::Traces,
            Self::Metrics(_) => Signal::Metrics,
            Self::Logs(_) => Signal::Logs,
        }
    }

    /// The request's protobuf bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Traces(traces) => traces.bytes(),
            Self::Metrics(counted) | Self::Logs(counted) => &counted.bytes,
        }
    }

    /// Its spans, data points or log records.
    #[must_use]
    pub fn items(&self) -> usize {
        match self {
            Self::Traces(traces) => traces.span_count(),
            Self::Metrics(counted) | Self::Logs(counted) => counted.items,
        }
    }

    /// The traces, if it is of them.
    #[must_use]
    pub const fn traces(&self) -> Option<&TraceBatch> {
        match self {
            Self::Traces(traces) => Some(traces),
            Self::Metrics(_) | Self::Logs(_) => None,
        }
    }
}

impl From<TraceBatch> for Payload {
    fn from(traces: TraceBatch) -> Self {
        Self::Traces(traces)
    }
}

/// The field numbers under which items lie, from the request on: `resource_…`, `scope_…`, then log records, or metrics
/// and in them one of the kinds of data with its data points.
const LOG_RECORDS: &[&[u32]] = &[&[1], &[2], &[2]];
/// `gauge`, `sum`, `histogram`, `exponential_histogram`, `summary`.
const DATA_POINTS: &[&[u32]] = &[&[1], &[2], &[2], &[5, 7, 9, 10, 11], &[1]];

/// The number of items.
fn count(signal: Signal, bytes: &[u8]) -> Result<usize, WireError> {
    match signal {
        Signal::Traces => Ok(0),
        Signal::Metrics => count_at(Reader::new(bytes), DATA_POINTS),
        Signal::Logs => count_at(Reader::new(bytes), LOG_RECORDS),
    }
}

fn count_at(mut reader: Reader<'_>, path: &[&[u32]]) -> Result<usize, WireError> {
    let [numbers, deeper @ ..] = path else { return Ok(1) };
    let mut items = 0;
    while let Some(found) = reader.field()? {
        if let FieldValue::Bytes(message) = found.value
            && numbers.contains(&found.number)
        {
            items += count_at(reader.nested(message.len()), deeper)?;
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests;
