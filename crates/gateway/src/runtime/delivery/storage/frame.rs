//! What is in the frames of a queue's journal.
//!
//! # Constraints
//!
//! - A start must know how many spans wait without reading what waits: the first frame of every segment tells the state
//!   of all segments before it, so that only the newest one is read.
//! - What was delivered must be told from what was not after a kill, but not after every single batch by a sync: that
//!   would cost more than sending it twice.
//! - A damaged frame must not vanish without being counted: each request tells how many items came before it, so that the
//!   next sound one shows the gap.
//!
//! # Format
//!
//! The payload of a frame (`rootspan_journal`) begins with its kind. Numbers are little-endian.
//!
//! | bytes | request |
//! |---|---|
//! | 1 | kind 1 |
//! | 1 | signal: 0 traces, 1 metrics, 2 logs |
//! | 2 | zeros |
//! | 4 | items: spans, data points or records |
//! | 8 | items of all requests that were ever appended before it |
//! | 8 | when it was taken, nanoseconds since 1970 |
//! | n | the OTLP request |
//!
//! | bytes | record of what was settled since the record before (kind 2), or state of the whole queue (kind 3) |
//! |---|---|
//! | 1 | kind |
//! | 3 | zeros |
//! | 4 | number of segments that follow |
//! | 8 | items of all requests that were ever appended before it |
//! | 32 × | a segment: its first sequence; requests, items and bytes that were settled in it (2), that are left in it (3) |
//! | 16 × | first and last sequence of a range of frames that are settled or are no requests; to the end of the frame |
//!
//! | bytes | dead letter, in the journal beside it |
//! |---|---|
//! | 1 | kind 4 |
//! | 1 | signal |
//! | 2 | length of the reason |
//! | 4 | items |
//! | 8 | when the back end refused it |
//! | 8 | when it was taken |
//! | n | the reason, one sentence of text |
//! | n | the OTLP request |

use bytes::Bytes;
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::payload::Signal;

use super::book::{Ranges, Size};

const REQUEST: u8 = 1;
const RECORD: u8 = 2;
const STATE: u8 = 3;
const DEAD_LETTER: u8 = 4;

/// Length of what stands before a request, and before a dead letter's reason.
pub(in crate::runtime::delivery) const HEAD_BYTES: usize = 24;
/// Longest reason that is kept.
const MAX_REASON_BYTES: usize = 4096;

/// What stands before a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestHead {
    pub(super) signal: Signal,
    pub(super) items: u32,
    pub(super) items_before: u64,
    pub(super) taken: UnixNanos,
}

/// A record or a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) items_before: u64,
    pub(super) segments: Vec<(u64, Size)>,
    pub(super) ranges: Ranges,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Request(RequestHead, Bytes),
    Record(Account),
    State(Account),
}

/// A request that the back end refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeadLetter {
    pub(super) signal: Signal,
    pub(super) items: u32,
    pub(super) refused: UnixNanos,
    pub(super) taken: UnixNanos,
    pub(super) reason: String,
    pub(super) request: Bytes,
}

impl RequestHead {
    pub(super) fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        (head[0], head[1]) = (REQUEST, signal_code(self.signal));
        head[4..8].copy_from_slice(&self.items.to_le_bytes());
        head[8..16].copy_from_slice(&self.items_before.to_le_bytes());
        head[16..24].copy_from_slice(&self.taken.0.to_le_bytes());
        head
    }
}

impl Account {
    /// As a record of what was settled.
    pub(super) fn encode_record(&self) -> Vec<u8> {
        self.encode(RECORD)
    }

    /// As the state of the whole queue.
    pub(super) fn encode_state(&self) -> Vec<u8> {
        self.encode(STATE)
    }

    fn encode(&self, kind: u8) -> Vec<u8> {
        let mut out = vec![kind, 0, 0, 0];
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.items_before.to_le_bytes());
        for (first, size) in &self.segments {
            for number in [*first, size.requests, size.items, size.bytes] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        for (first, last) in self.ranges.iter() {
            out.extend_from_slice(&first.to_le_bytes());
            out.extend_from_slice(&last.to_le_bytes());
        }
        out
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let segments = u32::from_le_bytes(*payload.get(4..8)?.first_chunk()?) as usize;
        let items_before = number(payload.get(8..)?)?;
        let (segments, ranges) = payload.get(16..)?.split_at_checked(segments.checked_mul(32)?)?;
        let mut account = Self { items_before, ..Self::default() };
        for segment in segments.chunks_exact(32) {
            let size = Size {
                requests: number(&segment[8..])?,
                items: number(&segment[16..])?,
                bytes: number(&segment[24..])?,
            };
            account.segments.push((number(segment)?, size));
        }
        for range in ranges.chunks(16) {
            account.ranges.insert(number(range)?, number(range.get(8..)?)?);
        }
        Some(account)
    }
}

impl Frame {
    /// The frame in a payload; `None` if it is none that this version knows.
    pub(super) fn decode(payload: &Bytes) -> Option<Self> {
        match *payload.first()? {
            REQUEST => {
                let head = payload.get(..HEAD_BYTES)?;
                let head = RequestHead {
                    signal: signal_of(head[1])?,
                    items: u32::from_le_bytes(*head[4..].first_chunk()?),
                    items_before: number(&head[8..])?,
                    taken: UnixNanos(number(&head[16..])?),
                };
                Some(Self::Request(head, payload.slice(HEAD_BYTES..)))
            }
            RECORD => Account::decode(payload).map(Self::Record),
            STATE => Account::decode(payload).map(Self::State),
            _ => None,
        }
    }
}

impl DeadLetter {
    /// What stands before the request.
    pub(super) fn encode_head(&self) -> Vec<u8> {
        let mut end = self.reason.len().min(MAX_REASON_BYTES);
        while !self.reason.is_char_boundary(end) {
            end -= 1;
        }
        let reason = &self.reason.as_bytes()[..end];
        let mut head = vec![DEAD_LETTER, signal_code(self.signal)];
        head.extend_from_slice(&(reason.len() as u16).to_le_bytes());
        head.extend_from_slice(&self.items.to_le_bytes());
        head.extend_from_slice(&self.refused.0.to_le_bytes());
        head.extend_from_slice(&self.taken.0.to_le_bytes());
        head.extend_from_slice(reason);
        head
    }

    /// The dead letter in a payload; `None` if it is none that this version knows.
    pub(super) fn decode(payload: &Bytes) -> Option<Self> {
        let head = payload.get(..HEAD_BYTES)?;
        let request = HEAD_BYTES + usize::from(u16::from_le_bytes(*head[2..].first_chunk()?));
        if head[0] != DEAD_LETTER {
            return None;
        }
        Some(Self {
            signal: signal_of(head[1])?,
            items: u32::from_le_bytes(*head[4..].first_chunk()?),
            refused: UnixNanos(number(&head[8..])?),
            taken: UnixNanos(number(&head[16..])?),
            reason: String::from_utf8_lossy(payload.get(HEAD_BYTES..request)?).into_owned(),
            request: payload.slice(request..),
        })
    }
}

const fn signal_code(signal: Signal) -> u8 {
    match signal {
        Signal::Traces => 0,
        Signal::Metrics => 1,
        Signal::Logs => 2,
    }
}

fn signal_of(code: u8) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| signal_code(*signal) == code)
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().copied().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were() {
        for signal in Signal::ALL {
            let head = RequestHead { signal, items: 7, items_before: 1 << 40, taken: UnixNanos(3) };
            let payload = Bytes::from([head.encode().as_slice(), b"spans"].concat());
            assert_eq!(Frame::decode(&payload), Some(Frame::Request(head, Bytes::from_static(b"spans"))));
            let letter = DeadLetter {
                signal,
                items: 9,
                refused: UnixNanos(4),
                taken: UnixNanos(3),
                reason: "no ä".to_owned(),
                request: Bytes::from_static(b"spans"),
            };
            let payload = Bytes::from([letter.encode_head().as_slice(), b"spans"].concat());
            assert_eq!(DeadLetter::decode(&payload), Some(letter));
        }
        let mut ranges = Ranges::default();
        ranges.insert(0, 7);
        ranges.insert(9, 9);
        let segments = vec![(1, Size { requests: 1, items: 2, bytes: 3 }), (9, Size::default())];
        let account = Account { items_before: 11, segments, ranges };
        assert_eq!(Frame::decode(&account.encode_record().into()), Some(Frame::Record(account.clone())));
        assert_eq!(Frame::decode(&account.encode_state().into()), Some(Frame::State(account)));
    }

    #[test]
    fn what_is_cut_off_is_no_frame() {
        let mut ranges = Ranges::default();
        ranges.insert(1, 2);
        let account = Account { items_before: 0, segments: vec![(1, Size::default())], ranges };
        let whole = account.encode_state();
        for length in 0..whole.len() {
            // At the end of the segments and of each range a shorter account is an account too.
            let is_boundary = length >= 48 && (length - 48) % 16 == 0;
            assert_eq!(Frame::decode(&whole[..length].to_vec().into()).is_some(), is_boundary, "{length} bytes");
        }
        assert_eq!(Frame::decode(&Bytes::from_static(&[9; 64])), None);
        assert_eq!(DeadLetter::decode(&Bytes::from_static(&[4, 0, 255, 255, 0, 0])), None);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let reason = format!("{}ä", "x".repeat(MAX_REASON_BYTES - 1));
        let letter = DeadLetter {
            signal: Signal::Logs,
            items: 1,
            refused: UnixNanos(0),
            taken: UnixNanos(0),
            reason,
            request: Bytes::new(),
        };
        let found = DeadLetter::decode(&letter.encode_head().into()).expect("it is one");
        assert_eq!(found.reason.len(), MAX_REASON_BYTES - 1);
    }
}
