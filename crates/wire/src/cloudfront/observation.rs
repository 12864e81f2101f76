//! What is counted of every record before any sampling, span or not: the numbers behind edge coverage.
//!
//! An [`Observation`] is one record; [`Observations`] are those of a delivery as bytes, which is how the store keeps them
//! until they are summed up. Constraints: making one costs next to nothing beside the record itself (no allocation, no
//! look-up but in short lists), and reading them back never fails on what this file wrote, nor panics on anything else.
//!
//! | part | what |
//! |---|---|
//! | 1 byte | [`VERSION`] |
//! | one after the other | fate (low 4 bits) and flags (high 4 bits: has an end, a duration, a request, a span); class of the status; then numbers as LEB128 and ids: distribution, behaviour, result type (each the number of a text, which follows where it is a new one), end, duration, bytes, hash of the request id (8 bytes), trace and span id (24 bytes) |

use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::time::UnixNanos;

use super::record::{Field, Record};
use super::span::{Origin, Outcome, Placed};

/// Of the bytes.
const VERSION: u8 = 1;
/// Longest text that is kept of a log: the longest path pattern of CloudFront's has 255 characters.
const MAX_TEXT_BYTES: usize = 255;
/// Most different texts in one list. A delivery has a handful; whoever sends more gets [`OTHER`].
const MAX_TEXTS: usize = 4096;
/// Stands for texts that are too many or too long.
pub const OTHER: &str = "(other)";

/// What became of a record: exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A span, with the ids that the function or the viewer gave it.
    Sampled = 0,
    /// A span, with ids that follow from the request id.
    Derived = 1,
    /// Nothing: the edge did not sample it.
    SampledOut = 2,
    /// A span, although its trace is not sampled.
    Kept = 3,
    /// Nothing: thinned by the rate of its result type.
    Thinned = 4,
    /// Nothing: nobody knows where a span would belong, or when it was.
    Unplaced = 5,
    /// Nothing: another log is authoritative.
    Secondary = 6,
    /// No record: the function's data of one that was counted as [`Fate::Derived`] before.
    Joined = 7,
}

impl Fate {
    const ALL: [Self; 8] = [
        Self::Sampled,
        Self::Derived,
        Self::SampledOut,
        Self::Kept,
        Self::Thinned,
        Self::Unplaced,
        Self::Secondary,
        Self::Joined,
    ];

    pub(super) const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Span(Origin::Derived) => Self::Derived,
            Outcome::Span(Origin::Function | Origin::Headers) => Self::Sampled,
            Outcome::Kept => Self::Kept,
            Outcome::SampledOut => Self::SampledOut,
            Outcome::Thinned => Self::Thinned,
            Outcome::Unplaced(_) => Self::Unplaced,
        }
    }
}

/// The first digit of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusClass {
    /// `000`, or none at all: the viewer went away before there was a status.
    None = 0,
    /// 1xx
    Informational = 1,
    /// 2xx
    Success = 2,
    /// 3xx
    Redirection = 3,
    /// 4xx
    ClientError = 4,
    /// 5xx
    ServerError = 5,
}

impl StatusClass {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Informational, Self::Success, Self::Redirection, Self::ClientError, Self::ServerError];

    /// As people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "000",
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
        }
    }

    fn of(record: &Record<'_>) -> Self {
        let first = record.get(Field::Status).and_then(|status| status.bytes().next());
        let digit = first.map_or(0, |byte| usize::from(byte.wrapping_sub(b'0')));
        Self::ALL.get(digit).copied().unwrap_or(Self::None)
    }
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation<'a> {
    /// What became of it.
    pub fate: Fate,
    /// The class of its status.
    pub status: StatusClass,
    /// The distribution's domain, else its id; empty if the log has neither.
    pub distribution: &'a str,
    /// The cache behaviour's path pattern; empty if the log has none.
    pub behaviour: &'a str,
    /// `x-edge-response-result-type`, else `x-edge-result-type`; empty if the log has neither.
    pub result_type: &'a str,
    /// When the request ended.
    pub end: Option<UnixNanos>,
    /// How long it took.
    pub taken_nanos: Option<u64>,
    /// Bytes that the viewer was sent.
    pub bytes: u64,
    /// The same for every delivery of this record, and for no other: a hash of the request id.
    pub request: Option<u64>,
    /// The viewer's span, if a back end must have seen this request, too: sampled, and for certain sent to the origin.
    pub sent_to_origin: Option<(TraceId, SpanId)>,
}

impl<'a> Observation<'a> {
    /// What is to be counted of a record.
    pub(super) fn new(record: &'a Record<'_>, fate: Fate, placed: Option<&Placed>) -> Self {
        let text = |fields: [Field; 2]| fields.into_iter().find_map(|field| record.get(field)).unwrap_or_default();
        let ids = placed.and_then(|placed| placed.ids).filter(|_| matches!(fate, Fate::Sampled | Fate::Joined));
        let end = match placed {
            Some(Placed { end: Some(end), .. }) => Some(*end),
            Some(_) | None => super::span::end(record),
        };
        Self {
            fate,
            status: StatusClass::of(record),
            distribution: text([Field::DistributionDomain, Field::DistributionId]),
            behaviour: record.get(Field::CacheBehavior).unwrap_or_default(),
            result_type: text([Field::ResponseResultType, Field::ResultType]),
            end,
            taken_nanos: super::span::taken_nanos(record),
            bytes: record.number(Field::ResponseBytes).unwrap_or(0),
            request: record.get(Field::RequestId).map(|id| request_hash(id, fate)),
            sent_to_origin: ids.filter(|_| is_sent_to_origin(record)),
        }
    }
}

/// Whether CloudFront says that this request, and not one like it, was answered by the origin.
///
/// A miss and a revalidation were; a request that waited for another one's answer is logged as a hit. Redirects, refusals
/// by a limit or a firewall, and what a function answered never get there. An error may come from anywhere: from the
/// firewall, from the cache, from a connection that failed. The origin answered it only if the log has the origin's
/// latency.
fn is_sent_to_origin(record: &Record<'_>) -> bool {
    let result = record.get(Field::ResultType).or_else(|| record.get(Field::ResponseResultType));
    match result {
        Some("Miss" | "RefreshHit") => record.get(Field::DetailedResultType) != Some("OriginShieldHit"),
        Some("Error") => record.get(Field::OriginFirstByteLatency).is_some(),
        Some(_) | None => false,
    }
}

/// Tells requests apart. The same in every version, for it is kept on disk.
///
/// A function's line and the access log's record of a request are two records, of which one is secondary.
fn request_hash(id: &str, fate: Fate) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let seed = if fate == Fate::Secondary { 0x51_7c_c1_b7 } else { 0x2545_f491 };
    let fold = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(MULTIPLIER);
        (product as u64) ^ ((product >> 64) as u64)
    };
    let (words, rest) = id.as_bytes().as_chunks::<8>();
    let hash = words.iter().fold(seed ^ id.len() as u64, |hash, word| fold(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    fold(fold(hash, u64::from_le_bytes(last)), seed)
}

/// The observations of some records, as bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Observations {
    bytes: Vec<u8>,
    texts: Vec<Box<str>>,
    count: u64,
}

impl Observations {
    /// One more.
    pub fn push(&mut self, observation: &Observation<'_>) {
        if self.bytes.is_empty() {
            self.bytes.push(VERSION);
        }
        let has = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        let flags = has(observation.end.is_some(), 0x10)
            | has(observation.taken_nanos.is_some(), 0x20)
            | has(observation.request.is_some(), 0x40)
            | has(observation.sent_to_origin.is_some(), 0x80);
        self.bytes.push(observation.fate as u8 | flags);
        self.bytes.push(observation.status as u8);
        self.put_text(observation.distribution);
        self.put_text(observation.behaviour);
        self.put_text(observation.result_type);
        let numbers = [observation.end.map(|end| end.0), observation.taken_nanos, Some(observation.bytes)];
        numbers.into_iter().flatten().for_each(|number| put_number(&mut self.bytes, number));
        if let Some(hash) = observation.request {
            self.bytes.extend_from_slice(&hash.to_le_bytes());
        }
        if let Some((trace_id, span_id)) = observation.sent_to_origin {
            self.bytes.extend_from_slice(trace_id.as_bytes());
            self.bytes.extend_from_slice(span_id.as_bytes());
        }
        self.count += 1;
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// For [`read`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of a text. A list is short and its texts come again and again, so looking through it is fast.
    fn put_text(&mut self, text: &str) {
        let text = if text.len() > MAX_TEXT_BYTES { OTHER } else { text };
        if let Some(number) = self.texts.iter().position(|known| **known == *text) {
            return put_number(&mut self.bytes, number as u64);
        }
        if self.texts.len() >= MAX_TEXTS - 1 && text != OTHER {
            return self.put_text(OTHER);
        }
        put_number(&mut self.bytes, self.texts.len() as u64);
        put_number(&mut self.bytes, text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
        self.texts.push(text.into());
    }
}

/// Bytes that are no observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("observations are cut short or malformed")]
pub struct InvalidObservations;

/// Gives each observation in what [`Observations::bytes`] gave.
///
/// # Errors
/// If they are something else.
pub fn read<'a>(bytes: &'a [u8], each: &mut dyn FnMut(&Observation<'a>)) -> Result<(), InvalidObservations> {
    let Some((version, rest)) = bytes.split_first() else { return Ok(()) };
    if *version != VERSION {
        return Err(InvalidObservations);
    }
    let mut reading = Reading { rest, texts: Vec::new() };
    while !reading.rest.is_empty() {
        each(&reading.observation().ok_or(InvalidObservations)?);
    }
    Ok(())
}

struct Reading<'a> {
    rest: &'a [u8],
    texts: Vec<&'a str>,
}

impl<'a> Reading<'a> {
    fn observation(&mut self) -> Option<Observation<'a>> {
        let [first, status] = self.array::<2>()?;
        let has = |flag: u8| first & flag != 0;
        let fate = *Fate::ALL.get(usize::from(first & 0x0f))?;
        let status = *StatusClass::ALL.get(usize::from(status))?;
        let (distribution, behaviour, result_type) = (self.text()?, self.text()?, self.text()?);
        let end = if has(0x10) { Some(UnixNanos(self.number()?)) } else { None };
        let taken_nanos = if has(0x20) { Some(self.number()?) } else { None };
        let bytes = self.number()?;
        let request = if has(0x40) { Some(u64::from_le_bytes(self.array()?)) } else { None };
        let sent_to_origin =
            if has(0x80) { Some((TraceId::new(self.array()?), SpanId::new(self.array()?))) } else { None };
        Some(Observation {
            fate,
            status,
            distribution,
            behaviour,
            result_type,
            end,
            taken_nanos,
            bytes,
            request,
            sent_to_origin,
        })
    }

    fn text(&mut self) -> Option<&'a str> {
        let number = usize::try_from(self.number()?).ok()?;
        if number < self.texts.len() {
            return self.texts.get(number).copied();
        }
        if number != self.texts.len() || number >= MAX_TEXTS {
            return None;
        }
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let text = std::str::from_utf8(text).ok()?;
        self.texts.push(text);
        Some(text)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests;
