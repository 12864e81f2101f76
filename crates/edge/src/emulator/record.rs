//! Access-log records of standard logging v2 in JSON: CloudFront's own field names, every value a string, `-` for nothing.

use std::time::Duration;

use rootspan_model::limits::LOG_CUSTOM_DATA_MAX_BYTES;
use rootspan_model::time::{UnixNanos, Utc};
use serde_json::{Map, Value};

/// What is logged of a request. Texts are as they were on the wire; they are encoded on printing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) end_unix_millis: u64,
    pub(crate) edge_location: String,
    pub(crate) response_bytes: u64,
    pub(crate) client_ip: String,
    pub(crate) client_port: u16,
    pub(crate) method: String,
    pub(crate) distribution_domain: String,
    pub(crate) distribution_id: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// 0 is logged as `000`.
    pub(crate) status: u16,
    pub(crate) referer: String,
    pub(crate) user_agent: String,
    pub(crate) result_type: &'static str,
    pub(crate) response_result_type: &'static str,
    pub(crate) detailed_result_type: &'static str,
    pub(crate) request_id: String,
    pub(crate) host: String,
    pub(crate) protocol: &'static str,
    pub(crate) protocol_version: &'static str,
    pub(crate) request_bytes: u64,
    pub(crate) time_taken: Duration,
    pub(crate) time_to_first_byte: Option<Duration>,
    pub(crate) origin_first_byte: Option<Duration>,
    pub(crate) origin_last_byte: Option<Duration>,
    pub(crate) forwarded_for: String,
    pub(crate) content_type: String,
    pub(crate) content_length: Option<u64>,
    pub(crate) behavior: String,
    pub(crate) request_log_data: String,
}

impl Record {
    /// The record as one line of JSON, with a line break.
    pub(crate) fn to_line(&self) -> String {
        let (date, time) = date_and_time(self.end_unix_millis);
        let is_tls = self.protocol == "https";
        let fields = [
            ("date", date),
            ("time", time),
            ("x-edge-location", self.edge_location.clone()),
            ("sc-bytes", self.response_bytes.to_string()),
            ("c-ip", self.client_ip.clone()),
            ("cs-method", self.method.clone()),
            ("cs(Host)", self.distribution_domain.clone()),
            ("cs-uri-stem", encode(&self.path)),
            ("sc-status", format!("{:03}", self.status)),
            ("cs(Referer)", encode(&self.referer)),
            ("cs(User-Agent)", encode(&self.user_agent)),
            ("cs-uri-query", encode(&self.query)),
            ("x-edge-result-type", self.result_type.to_owned()),
            ("x-edge-request-id", self.request_id.clone()),
            ("x-host-header", encode(&self.host)),
            ("cs-protocol", self.protocol.to_owned()),
            ("cs-bytes", self.request_bytes.to_string()),
            ("time-taken", seconds(Some(self.time_taken))),
            ("x-forwarded-for", encode(&self.forwarded_for)),
            ("ssl-protocol", if is_tls { "TLSv1.3" } else { "" }.to_owned()),
            ("ssl-cipher", if is_tls { "TLS_AES_128_GCM_SHA256" } else { "" }.to_owned()),
            ("x-edge-response-result-type", self.response_result_type.to_owned()),
            ("cs-protocol-version", self.protocol_version.to_owned()),
            ("c-port", self.client_port.to_string()),
            ("time-to-first-byte", seconds(self.time_to_first_byte)),
            ("x-edge-detailed-result-type", self.detailed_result_type.to_owned()),
            ("sc-content-type", encode(&self.content_type)),
            ("sc-content-len", self.content_length.map(|length| length.to_string()).unwrap_or_default()),
            ("sc-range-start", String::new()),
            ("sc-range-end", String::new()),
            ("timestamp(ms)", self.end_unix_millis.to_string()),
            // A country and an autonomous system for documentation: the viewer is on this machine.
            ("c-country", "ZZ".to_owned()),
            ("cache-behavior-path-pattern", self.behavior.clone()),
            ("origin-fbl", seconds(self.origin_first_byte)),
            ("origin-lbl", seconds(self.origin_last_byte)),
            ("asn", "64496".to_owned()),
            ("viewer-request-log-data", custom_data(&self.request_log_data)),
            ("viewer-response-log-data", String::new()),
            ("DistributionId", self.distribution_id.clone()),
        ];
        let or_dash = |text: String| Value::String(if text.is_empty() { "-".to_owned() } else { text });
        let object: Map<String, Value> =
            fields.into_iter().map(|(name, text)| (name.to_owned(), or_dash(text))).collect();
        let mut line = Value::Object(object).to_string();
        line.push('\n');
        line
    }
}

/// Milliseconds, rounded. Rounding keeps order, so that a part is never longer than the whole.
pub(crate) fn rounded_millis(duration: Duration) -> u64 {
    u64::try_from((duration.as_micros() + 500) / 1000).unwrap_or(u64::MAX)
}

/// Seconds with three decimals.
fn seconds(duration: Option<Duration>) -> String {
    let millis = duration.map(rounded_millis);
    millis.map(|millis| format!("{}.{:03}", millis / 1000, millis % 1000)).unwrap_or_default()
}

/// URL-encodes what CloudFront encodes in its logs.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte <= b' ' || byte >= 127 || b"<>\"#%{}|\\^~[]`'".contains(&byte) {
            encoded.push_str(&format!("%{byte:02X}"));
        } else {
            encoded.push(char::from(byte));
        }
    }
    encoded
}

/// Custom data: encoded, then cut, but not within an escape.
fn custom_data(text: &str) -> String {
    let mut encoded = encode(text);
    if encoded.len() > LOG_CUSTOM_DATA_MAX_BYTES {
        let cut = (LOG_CUSTOM_DATA_MAX_BYTES - 2..=LOG_CUSTOM_DATA_MAX_BYTES)
            .find(|at| encoded.as_bytes()[*at] == b'%')
            .filter(|at| *at < LOG_CUSTOM_DATA_MAX_BYTES);
        encoded.truncate(cut.unwrap_or(LOG_CUSTOM_DATA_MAX_BYTES));
    }
    encoded
}

/// `2026-09-14` and `10:15:30` in UTC.
fn date_and_time(unix_millis: u64) -> (String, String) {
    let Utc { year, month, day, hour, minute, second, .. } = UnixNanos(unix_millis.saturating_mul(1_000_000)).utc();
    (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{second:02}"))
}

#[cfg(test)]
mod tests;
