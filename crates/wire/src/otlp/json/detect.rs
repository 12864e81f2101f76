//! What a text of OTLP JSON tells of, where nothing around it says.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::otlp::payload::Signal;

/// Whether a text is one whole JSON value.
#[must_use]
pub fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// The signal of a request: by the first of its keys that names one.
#[must_use]
pub fn signal_of(text: &[u8]) -> Option<Signal> {
    // It is nearly always the first key, and then nothing behind it needs a look.
    let first = text.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start)?.strip_prefix(b"\"")?;
    let key = memchr::memchr(b'"', first).and_then(|end| first.get(..end));
    let named = key.and_then(|key| std::str::from_utf8(key).ok()).and_then(named);
    named.or_else(|| serde_json::Deserializer::from_slice(text).deserialize_map(Search).ok().flatten())
}

fn named(key: &str) -> Option<Signal> {
    match key {
        "resourceSpans" | "resource_spans" => Some(Signal::Traces),
        "resourceMetrics" | "resource_metrics" => Some(Signal::Metrics),
        "resourceLogs" | "resource_logs" => Some(Signal::Logs),
        _ => None,
    }
}

/// Looks at the keys of an object.
struct Search;

impl<'de> Visitor<'de> for Search {
    type Value = Option<Signal>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Signal>, A::Error> {
        let mut found = None;
        while let Some((key, IgnoredAny)) = map.next_entry::<Cow<'de, str>, IgnoredAny>()? {
            found = found.or_else(|| named(&key));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_its_signal() {
        for (text, expected) in [
            (r#"{"resourceSpans":[]}"#, Some(Signal::Traces)),
            (" {\n \"resource_logs\" : 7", Some(Signal::Logs)),
            (r#"{"a":{"resourceLogs":[]},"resourceMetrics":[]}"#, Some(Signal::Metrics)),
            (r#"{"a":1}"#, None),
            (r#"{"a":1,"resourceLogs":[}"#, None),
            ("[]", None),
            ("", None),
            ("{}", None),
        ] {
            assert_eq!(signal_of(text.as_bytes()), expected, "{text}");
        }
    }
}
