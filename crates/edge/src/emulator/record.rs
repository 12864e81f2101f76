//! What is logged of a request, and each field's value by the name that CloudFront gives it.

use std::time::Duration;

use rootspan_model::limits::LOG_CUSTOM_DATA_MAX_BYTES;
use rootspan_model::time::{UnixNanos, Utc};

/// Fields that are cut at this length: headers and cookies of the viewer.
const HEADER_FIELD_MAX_BYTES: usize = 800;

/// A country and an autonomous system for documentation: the viewer is on this machine.
const COUNTRY: &str = "ZZ";
const ASN: &str = "64496";

/// The address of the edge server, for documentation, too.
pub(crate) const SERVER_IP: &str = "192.0.2.1";

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
    pub(crate) cookie: String,
    pub(crate) accept: String,
    pub(crate) accept_encoding: String,
    /// `name:value` of every header of the viewer, in their order.
    pub(crate) headers: Vec<(String, String)>,
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
    /// The origin that answered, and why it was chosen if it was not the first.
    pub(crate) origin_host: String,
    pub(crate) origin_reason: String,
    pub(crate) forwarded_for: String,
    pub(crate) content_type: String,
    pub(crate) content_length: Option<u64>,
    /// Of `Content-Range`.
    pub(crate) range: Option<(u64, u64)>,
    pub(crate) behavior: String,
    pub(crate) request_log_data: String,
    pub(crate) response_log_data: String,
}

impl Record {
    /// The value of a field in standard logs, both versions; empty if there is none. `None` if no such field exists.
    pub(crate) fn standard(&self, name: &str) -> Option<String> {
        let (date, time) = (|| date_and_time(self.end_unix_millis).0, || date_and_time(self.end_unix_millis).1);
        let value = match name {
            "date" => date(),
            "time" => time(),
            "timestamp(ms)" => self.end_unix_millis.to_string(),
            "cs(Host)" => self.distribution_domain.clone(),
            "x-host-header" => encode(&self.host),
            "cs-uri-stem" => encode(&self.path),
            "cs(Referer)" => encode(&self.referer),
            "cs(User-Agent)" => encode(&self.user_agent),
            "cs(Cookie)" => encode(&self.cookie),
            "DistributionId" | "distributionid" => self.distribution_id.clone(),
            _ => return self.common(name),
        };
        Some(value)
    }

    /// The value of a field in real-time logs, where some names mean something else.
    pub(crate) fn real_time(&self, name: &str) -> Option<String> {
        let value = match name {
            "timestamp" => format!("{}.{:03}", self.end_unix_millis / 1000, self.end_unix_millis % 1000),
            "s-ip" => SERVER_IP.to_owned(),
            "cs-host" => encode(&self.host),
            "x-host-header" | "primary-distribution-dns-name" => self.distribution_domain.clone(),
            "primary-distribution-id" => self.distribution_id.clone(),
            "cs-uri-stem" if self.query.is_empty() => encode(&self.path),
            "cs-uri-stem" => format!("{}?{}", encode(&self.path), encode(&self.query)),
            "c-ip-version" => if self.client_ip.contains(':') { "IPv6" } else { "IPv4" }.to_owned(),
            "cs-user-agent" => encode(&self.user_agent),
            "cs-referer" => encode(&self.referer),
            "cs-cookie" => cut(encode(&self.cookie), HEADER_FIELD_MAX_BYTES),
            "cs-accept" => encode(&self.accept),
            "cs-accept-encoding" => encode(&self.accept_encoding),
            "cs-headers" => self.header_list(|name, value| format!("{name}:{value}\n")),
            "cs-header-names" => self.header_list(|name, _| format!("{name}\n")),
            "cs-headers-count" => self.headers.len().to_string(),
            "r-host" => self.origin_host.clone(),
            "sr-reason" => encode(&self.origin_reason),
            "x-edge-mqcs" | "distribution-tenant-id" => String::new(),
            // Common media client data: nothing here plays films.
            _ if name.starts_with("cmcd-") => String::new(),
            _ => return self.common(name),
        };
        Some(value)
    }

    /// The fields that have the same name and meaning everywhere.
    fn common(&self, name: &str) -> Option<String> {
        let is_tls = self.protocol == "https";
        let value = match name {
            "x-edge-location" => self.edge_location.clone(),
            "sc-bytes" => self.response_bytes.to_string(),
            "c-ip" => self.client_ip.clone(),
            "c-port" => self.client_port.to_string(),
            "cs-method" => self.method.clone(),
            "sc-status" => format!("{:03}", self.status),
            "cs-uri-query" => encode(&self.query),
            "x-edge-result-type" => self.result_type.to_owned(),
            "x-edge-response-result-type" => self.response_result_type.to_owned(),
            "x-edge-detailed-result-type" => self.detailed_result_type.to_owned(),
            "x-edge-request-id" => self.request_id.clone(),
            "cs-protocol" => self.protocol.to_owned(),
            "cs-protocol-version" => self.protocol_version.to_owned(),
            "cs-bytes" => self.request_bytes.to_string(),
            "time-taken" => seconds(Some(self.time_taken)),
            "time-to-first-byte" => seconds(self.time_to_first_byte),
            "origin-fbl" => seconds(self.origin_first_byte),
            "origin-lbl" => seconds(self.origin_last_byte),
            "x-forwarded-for" => encode(&self.forwarded_for),
            "ssl-protocol" => if is_tls { "TLSv1.3" } else { "" }.to_owned(),
            "ssl-cipher" => if is_tls { "TLS_AES_128_GCM_SHA256" } else { "" }.to_owned(),
            // Nothing is encrypted field by field.
            "fle-status" | "fle-encrypted-fields" => String::new(),
            "sc-content-type" => encode(&self.content_type),
            "sc-content-len" => self.content_length.map(|length| length.to_string()).unwrap_or_default(),
            "sc-range-start" => self.range.map(|(start, _)| start.to_string()).unwrap_or_default(),
            "sc-range-end" => self.range.map(|(_, end)| end.to_string()).unwrap_or_default(),
            "c-country" => COUNTRY.to_owned(),
            "asn" => ASN.to_owned(),
            "cache-behavior-path-pattern" => self.behavior.clone(),
            "viewer-request-log-data" => cut(encode(&self.request_log_data), LOG_CUSTOM_DATA_MAX_BYTES),
            "viewer-response-log-data" => cut(encode(&self.response_log_data), LOG_CUSTOM_DATA_MAX_BYTES),
            // One connection for each viewer's port: the id is made of what tells connections apart.
            "connection-id" => format!("{}-{}", self.edge_location, self.client_port),
            _ => return None,
        };
        Some(value)
    }

    fn header_list(&self, line: impl Fn(&str, &str) -> String) -> String {
        let list: String = self.headers.iter().map(|(name, value)| line(name, value)).collect();
        cut(encode(&list), HEADER_FIELD_MAX_BYTES)
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

/// Cuts what is encoded, but not within an escape.
fn cut(mut encoded: String, max_bytes: usize) -> String {
    if encoded.len() > max_bytes {
        let escape = (max_bytes - 2..=max_bytes).find(|at| encoded.as_bytes()[*at] == b'%');
        encoded.truncate(escape.filter(|at| *at < max_bytes).unwrap_or(max_bytes));
    }
    encoded
}

/// `2026-09-14` and `10:15:30` in UTC.
pub(crate) fn date_and_time(unix_millis: u64) -> (String, String) {
    let Utc { year, month, day, hour, minute, second, .. } = UnixNanos(unix_millis.saturating_mul(1_000_000)).utc();
    (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{second:02}"))
}

#[cfg(test)]
mod tests;
