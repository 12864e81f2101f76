//! The forms of CloudFront's logs: which fields a line has, in which order, and how it is written.

use std::str::FromStr;

use serde_json::{Map, Value};

use super::record::Record;

/// Which log is delivered, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// Real-time logs: values between tabs, without names. The order is CloudFront's whatever is chosen.
    RealTime {
        /// The chosen fields.
        fields: Vec<String>,
    },
    /// Standard logs of the first version: W3C extended, 33 fields.
    StandardV1,
    /// Standard logs of the second version.
    StandardV2 {
        /// How a record is written.
        format: V2Format,
        /// The chosen fields, in the order of the line.
        fields: Vec<String>,
    },
    /// What functions write to `console.log`, as CloudWatch Logs keeps it.
    Functions,
}

/// Formats of standard logging v2. Raw and Parquet are not imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V2Format {
    /// An object, every value a string.
    Json,
    /// Tabs, with `#Version` and `#Fields` lines.
    W3c,
    /// Tabs, without names.
    Plain,
}

/// Real-time fields in the order of delivery.
pub const REAL_TIME_FIELDS: [&str; 71] = [
    "timestamp",
    "c-ip",
    "s-ip",
    "time-to-first-byte",
    "sc-status",
    "sc-bytes",
    "cs-method",
    "cs-protocol",
    "cs-host",
    "cs-uri-stem",
    "cs-bytes",
    "x-edge-location",
    "x-edge-request-id",
    "x-host-header",
    "time-taken",
    "cs-protocol-version",
    "c-ip-version",
    "cs-user-agent",
    "cs-referer",
    "cs-cookie",
    "cs-uri-query",
    "x-edge-response-result-type",
    "x-forwarded-for",
    "ssl-protocol",
    "ssl-cipher",
    "x-edge-result-type",
    "fle-encrypted-fields",
    "fle-status",
    "sc-content-type",
    "sc-content-len",
    "sc-range-start",
    "sc-range-end",
    "c-port",
    "x-edge-detailed-result-type",
    "c-country",
    "cs-accept-encoding",
    "cs-accept",
    "cache-behavior-path-pattern",
    "cs-headers",
    "cs-header-names",
    "cs-headers-count",
    "primary-distribution-id",
    "primary-distribution-dns-name",
    "origin-fbl",
    "origin-lbl",
    "asn",
    "cmcd-encoded-bitrate",
    "cmcd-buffer-length",
    "cmcd-buffer-starvation",
    "cmcd-content-id",
    "cmcd-object-duration",
    "cmcd-deadline",
    "cmcd-measured-throughput",
    "cmcd-next-object-request",
    "cmcd-next-range-request",
    "cmcd-object-type",
    "cmcd-playback-rate",
    "cmcd-requested-maximum-throughput",
    "cmcd-streaming-format",
    "cmcd-session-id",
    "cmcd-stream-type",
    "cmcd-startup",
    "cmcd-top-bitrate",
    "cmcd-version",
    "r-host",
    "sr-reason",
    "x-edge-mqcs",
    "distribution-tenant-id",
    "connection-id",
    // Their place is not documented; examples list them last.
    "viewer-request-log-data",
    "viewer-response-log-data",
];

/// The fields of standard logs of the first version, in their order.
pub const STANDARD_V1_FIELDS: [&str; 33] = [
    "date",
    "time",
    "x-edge-location",
    "sc-bytes",
    "c-ip",
    "cs-method",
    "cs(Host)",
    "cs-uri-stem",
    "sc-status",
    "cs(Referer)",
    "cs(User-Agent)",
    "cs-uri-query",
    "cs(Cookie)",
    "x-edge-result-type",
    "x-edge-request-id",
    "x-host-header",
    "cs-protocol",
    "cs-bytes",
    "time-taken",
    "x-forwarded-for",
    "ssl-protocol",
    "ssl-cipher",
    "x-edge-response-result-type",
    "cs-protocol-version",
    "fle-status",
    "fle-encrypted-fields",
    "c-port",
    "time-to-first-byte",
    "x-edge-detailed-result-type",
    "sc-content-type",
    "sc-content-len",
    "sc-range-start",
    "sc-range-end",
];

/// What standard logging v2 has beyond the first version.
const STANDARD_V2_MORE: [&str; 10] = [
    "timestamp(ms)",
    "c-country",
    "cache-behavior-path-pattern",
    "origin-fbl",
    "origin-lbl",
    "asn",
    "viewer-request-log-data",
    "viewer-response-log-data",
    "DistributionId",
    "connection-id",
];

/// A field that no such log has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field:?} is no field of {log}")]
pub struct UnknownField {
    field: String,
    log: &'static str,
}

impl LogForm {
    /// Real-time logs with every field: more than the 40 that CloudFront allows at once, but all have a place.
    #[must_use]
    pub fn real_time() -> Self {
        Self::RealTime { fields: REAL_TIME_FIELDS.map(str::to_owned).to_vec() }
    }

    /// Standard logging v2 with every field.
    #[must_use]
    pub fn standard_v2(format: V2Format) -> Self {
        let fields = STANDARD_V1_FIELDS.into_iter().chain(STANDARD_V2_MORE).map(str::to_owned).collect();
        Self::StandardV2 { format, fields }
    }

    /// Puts real-time fields in their order and refuses what does not exist.
    pub(crate) fn checked(self) -> Result<Self, UnknownField> {
        let unknown = |field: &str, log| UnknownField { field: field.to_owned(), log };
        match self {
            Self::RealTime { fields } => {
                if let Some(field) = fields.iter().find(|field| !REAL_TIME_FIELDS.contains(&field.as_str())) {
                    return Err(unknown(field, "real-time logs"));
                }
                let is_chosen = |name: &&str| fields.iter().any(|field| field == name);
                let fields = REAL_TIME_FIELDS.into_iter().filter(is_chosen).map(str::to_owned).collect();
                Ok(Self::RealTime { fields })
            }
            Self::StandardV2 { format, fields } => {
                let record = Record::default();
                match fields.iter().find(|field| record.standard(field).is_none()) {
                    Some(field) => Err(unknown(field, "standard logs")),
                    None => Ok(Self::StandardV2 { format, fields }),
                }
            }
            Self::StandardV1 | Self::Functions => Ok(self),
        }
    }

    /// The record as a line without its end; `None` if this is not a log of requests.
    pub(crate) fn line(&self, record: &Record) -> Option<String> {
        let or_dash = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
        let line = match self {
            Self::RealTime { fields } => joined(fields.iter().map(|name| or_dash(record.real_time(name)))),
            Self::StandardV1 => joined(STANDARD_V1_FIELDS.iter().map(|name| or_dash(record.standard(name)))),
            Self::StandardV2 { format: V2Format::W3c | V2Format::Plain, fields } => {
                joined(fields.iter().map(|name| or_dash(record.standard(name))))
            }
            Self::StandardV2 { format: V2Format::Json, fields } => {
                let value = |name: &String| (name.clone(), Value::String(or_dash(record.standard(name))));
                Value::Object(fields.iter().map(value).collect::<Map<_, _>>()).to_string()
            }
            Self::Functions => return None,
        };
        Some(line)
    }

    /// The lines before the first record of a file.
    pub(crate) fn header(&self) -> Option<String> {
        let fields = match self {
            Self::StandardV1 => STANDARD_V1_FIELDS.join(" "),
            Self::StandardV2 { format: V2Format::W3c, fields } => fields.join(" "),
            Self::StandardV2 { format: V2Format::Json | V2Format::Plain, .. }
            | Self::RealTime { .. }
            | Self::Functions => {
                return None;
            }
        };
        Some(format!("#Version: 1.0\n#Fields: {fields}\n"))
    }

    /// The names of a line's values, for a receiver that must be told them.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        match self {
            Self::RealTime { fields } | Self::StandardV2 { fields, .. } => fields.clone(),
            Self::StandardV1 => STANDARD_V1_FIELDS.map(str::to_owned).to_vec(),
            Self::Functions => Vec::new(),
        }
    }
}

impl FromStr for LogForm {
    type Err = String;

    /// By its name on the command line.
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "v2-json" => Ok(Self::standard_v2(V2Format::Json)),
            "v2-w3c" => Ok(Self::standard_v2(V2Format::W3c)),
            "v2-plain" => Ok(Self::standard_v2(V2Format::Plain)),
            "v1" => Ok(Self::StandardV1),
            "real-time" => Ok(Self::real_time()),
            "functions" => Ok(Self::Functions),
            _ => Err(format!(
                "no log is called {name:?}; there are v2-json, v2-w3c, v2-plain, v1, real-time and functions"
            )),
        }
    }
}

fn joined(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests;
