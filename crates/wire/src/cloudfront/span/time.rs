//! When the viewer's request began and ended.

use rootspan_model::time::UnixNanos;

use crate::cloudfront::{Field, Record};

const NANOS: u64 = 1_000_000_000;

/// Start and end of the span.
///
/// Logs tell when the response was finished and how long the request took. Where that is to the millisecond it gives
/// both ends; `date` and `time` have whole seconds only, so the function's own start is better than they are.
pub(super) fn times(record: &Record<'_>, function_start_millis: Option<u64>) -> Option<(UnixNanos, UnixNanos)> {
    let taken = taken_nanos(record);
    let function_start = function_start_millis.and_then(|millis| millis.checked_mul(1_000_000));
    let exact = millis(record).or_else(|| record.get(Field::Timestamp).and_then(decimal_seconds));
    let (start, end) = match (exact, function_start) {
        (Some(finished), function_start) => match taken {
            Some(taken) => (finished.saturating_sub(taken), finished),
            None => (function_start.unwrap_or(finished).min(finished), finished),
        },
        (None, Some(start)) => (start, start.saturating_add(taken.unwrap_or(0))),
        (None, None) => {
            let finished = date_and_time(record.get(Field::Date)?, record.get(Field::Time)?)?;
            (finished.saturating_sub(taken.unwrap_or(0)), finished)
        }
    };
    Some((UnixNanos(start), UnixNanos(end)))
}

/// When the response was finished, as the log alone tells.
pub(in crate::cloudfront) fn end(record: &Record<'_>) -> Option<UnixNanos> {
    times(record, None).map(|(_, end)| end)
}

/// How long the request took.
pub(in crate::cloudfront) fn taken_nanos(record: &Record<'_>) -> Option<u64> {
    record.get(Field::TimeTaken).and_then(decimal_seconds)
}

fn millis(record: &Record<'_>) -> Option<u64> {
    record.number::<u64>(Field::TimestampMillis)?.checked_mul(1_000_000)
}

/// Nanoseconds of a decimal number of seconds, exactly: the same text must always give the same span.
pub(super) fn decimal_seconds(text: &str) -> Option<u64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let bytes = text.as_bytes();
    let dot = bytes.iter().position(|byte| *byte == b'.').unwrap_or(bytes.len());
    let (whole, fraction) = (&bytes[..dot], bytes.get(dot + 1..).unwrap_or_default());
    if whole.is_empty() {
        return None;
    }
    let mut seconds = 0_u64;
    for byte in whole {
        seconds = seconds.checked_mul(10)?.checked_add(digit(*byte)?)?;
    }
    let (mut nanos, mut worth) = (0, NANOS / 10);
    for byte in fraction {
        // Below a nanosecond a digit is worth nothing, but still has to be one.
        nanos += digit(*byte)? * worth;
        worth /= 10;
    }
    seconds.checked_mul(NANOS)?.checked_add(nanos)
}

/// `2026-09-14` and `10:15:30`, UTC.
fn date_and_time(date: &str, time: &str) -> Option<u64> {
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let is_calendar = (1970..2500).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_calendar || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 0000-03-01, in years that begin in March so that the leap day is the last; that day is 719,468 days
    // before 1970.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    (((days * 24 + hour) * 60 + minute) * 60 + second).checked_mul(NANOS)
}
