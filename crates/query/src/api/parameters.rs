//! From the text of a request to values. Parameters that an endpoint does not know are refused: a misspelt `start`
//! would otherwise answer a different question.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query};
use http::Uri;
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::time::UnixNanos;

use crate::error::ApiError;

/// Integers below are seconds: the year 2540, shortly before nanoseconds end to fit into 64 bits.
const SECONDS_BELOW: u64 = 18_000_000_000;

/// Integers from here are nanoseconds: the year 1973. What lies between is milliseconds or microseconds by mistake.
const NANOS_FROM: u64 = 100_000_000_000_000_000;

/// The decoded query part of an address.
#[derive(Debug)]
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// The parameters of `uri`, each of `known` at most once and no other.
    pub(super) fn of(uri: &Uri, known: &[&str]) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| ApiError::bad_request("the query part of the address is not well formed"))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let hint = match known {
                    [] => "this address takes no parameters".to_owned(),
                    _ => format!("known are {}", known.join(", ")),
                };
                return Err(ApiError::bad_request(format!("there is no parameter {name:?}")).hint(hint));
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(ApiError::bad_request(format!("the parameter {name:?} is given twice")));
            }
        }
        Ok(Self { pairs })
    }

    /// The value of `name`; an empty one counts as not given, as forms send it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }

    /// A point in time.
    pub(super) fn time(&self, name: &str) -> Result<Option<UnixNanos>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let time = time(text).ok_or_else(|| {
            ApiError::bad_request(format!("{name}={text:?} is not a point in time"))
                .hint("give Unix seconds (1764061200 or 1764061200.5) or Unix nanoseconds (1764061200500000000)")
        })?;
        Ok(Some(time))
    }
}

/// What the address has in the place of parameters; text that is not UTF-8 is refused in our own words.
pub(super) fn in_path<T>(path: Result<Path<T>, PathRejection>) -> Result<T, ApiError> {
    path.map(|Path(value)| value).map_err(|error| ApiError::bad_request(error.body_text()))
}

/// Unix seconds, perhaps with a fraction, or nanoseconds.
fn time(text: &str) -> Option<UnixNanos> {
    let Some((seconds, fraction)) = text.split_once('.') else {
        let number = digits(text)?;
        return match number {
            0..SECONDS_BELOW => Some(UnixNanos(number * 1_000_000_000)),
            SECONDS_BELOW..NANOS_FROM => None,
            NANOS_FROM.. => Some(UnixNanos(number)),
        };
    };
    // Exactly, not through f64: 0.1 s is 100,000,000 ns. Digits beyond nanoseconds are cut.
    let nanos = fraction.bytes().take(9).map(char::from).collect::<String>();
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || fraction.is_empty() {
        return None;
    }
    let seconds = digits(seconds).filter(|seconds| *seconds < SECONDS_BELOW)?;
    Some(UnixNanos(seconds * 1_000_000_000 + digits(&format!("{nanos:0<9}"))?))
}

/// Only digits: `parse` alone would take a sign as well.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A trace id of up to 32 digits, shorter ones padded on the left: 64-bit ids are shown so by older systems.
pub(super) fn trace_id(text: &str) -> Result<TraceId, ApiError> {
    TraceId::from_hex(&format!("{text:0>32}")).filter(|id| !text.is_empty() && id.is_valid()).ok_or_else(|| {
        ApiError::bad_request(format!("{:?} is not a trace id", shortened(text)))
            .hint("a trace id has 32 hexadecimal digits, not all zero")
    })
}

/// A span id of up to 16 digits.
pub(super) fn span_id(text: &str) -> Result<SpanId, ApiError> {
    SpanId::from_hex(&format!("{text:0>16}")).filter(|id| !text.is_empty() && id.is_valid()).ok_or_else(|| {
        ApiError::bad_request(format!("{:?} is not a span id", shortened(text)))
            .hint("a span id has 16 hexadecimal digits, not all zero")
    })
}

/// Enough of a wrong value to recognise it.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::{Parameters, span_id, time, trace_id};

    #[test]
    fn times_are_seconds_or_nanoseconds() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("1764061200", Some(1_764_061_200_000_000_000)),
            ("1764061200.5", Some(1_764_061_200_500_000_000)),
            ("1764061200.123456789", Some(1_764_061_200_123_456_789)),
            ("1764061200.1234567899", Some(1_764_061_200_123_456_789)),
            ("1764061200500000000", Some(1_764_061_200_500_000_000)),
            ("18446744073709551615", Some(u64::MAX)),
            ("1764061200000", None),
            ("1764061200000000", None),
            ("18446744073709551616", None),
            ("99999999999.5", None),
            ("-1", None),
            ("+1", None),
            ("1.", None),
            (".5", None),
            ("1.-5", None),
            ("1e9", None),
            ("now", None),
            ("1.ü", None),
        ] {
            assert_eq!(time(text).map(|time| time.0), nanos, "{text}");
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        let uri = |text: &'static str| Uri::from_static(text);
        let parameters = Parameters::of(&uri("/x?q=%7B%7D&start="), &["q", "start"]).expect("both known");
        assert_eq!(parameters.get("q"), Some("{}"));
        assert_eq!(parameters.get("start"), None);
        assert!(Parameters::of(&uri("/x?from=1"), &["start"]).is_err());
        assert!(Parameters::of(&uri("/x?q=1&q=2"), &["q"]).is_err());
        assert!(Parameters::of(&uri("/x"), &[]).is_ok());
    }

    #[test]
    fn ids_are_padded_on_the_left() {
        let padded = trace_id("ABCDEF0123456789").expect("a 64-bit id").to_string();
        assert_eq!(padded, "0000000000000000abcdef0123456789");
        assert!(trace_id("4bf92f3577b34da6a3ce929d0e0e4736").is_ok());
        assert_eq!(span_id("7").expect("short").to_string(), "0000000000000007");
        for bad in ["", "0", "00000000000000000000000000000000", "xyz", "ü", "4bf92f3577b34da6a3ce929d0e0e47360", "-1"]
        {
            assert!(trace_id(bad).is_err(), "{bad}");
        }
        assert!(span_id("00f067aa0ba902b70").is_err());
    }
}
