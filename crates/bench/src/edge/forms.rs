//! The forms in which CloudFront writes a request, as bytes that are delivered.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rootspan_edge::emulator::log_form::{REAL_TIME_FIELDS, STANDARD_V1_FIELDS};
use rootspan_testkit::random::Random;
use rootspan_wire::cloudfront::Columns;

use super::requests::Request;

/// All fields of real-time logs but cookies, which no span has, in the order of delivery.
fn real_time_fields() -> impl Iterator<Item = &'static str> {
    REAL_TIME_FIELDS.into_iter().filter(|name| *name != "cs-cookie")
}

/// What version 2 has beyond version 1 here, of what can be selected.
const STANDARD_V2_MORE: [&str; 9] = [
    "timestamp(ms)",
    "DistributionId",
    "c-country",
    "cache-behavior-path-pattern",
    "origin-fbl",
    "origin-lbl",
    "asn",
    "viewer-request-log-data",
    "viewer-response-log-data",
];

/// How records are written and what is around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Lines with 70 fields.
    RealTime,
    /// The same without the edge function's data.
    RealTimeDerived,
    /// JSON, 42 fields.
    V2Json,
    /// The same without the edge function's data.
    V2JsonDerived,
    /// Lines with a header, 42 fields.
    V2W3c,
    /// Lines with a header, 33 fields.
    V1,
    /// gzip of a subscription's envelope with 100 records of version 2 in JSON.
    CloudWatch,
    /// Firehose's request with 500 real-time lines, each a record of its own.
    FirehoseRealTime,
    /// Firehose's request, compressed, with 500 records of version 2 in JSON.
    FirehoseV2Json,
    /// Firehose's request with ten of the envelopes.
    FirehoseCloudWatch,
}

impl Form {
    pub(super) const ALL: [Self; 10] = [
        Self::RealTime,
        Self::RealTimeDerived,
        Self::V2Json,
        Self::V2JsonDerived,
        Self::V2W3c,
        Self::V1,
        Self::CloudWatch,
        Self::FirehoseRealTime,
        Self::FirehoseV2Json,
        Self::FirehoseCloudWatch,
    ];

    /// As in the table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::RealTime => "real-time line, 70 fields",
            Self::RealTimeDerived => "real-time line, 70 fields, ids derived",
            Self::V2Json => "v2 JSON, 42 fields",
            Self::V2JsonDerived => "v2 JSON, 42 fields, ids derived",
            Self::V2W3c => "v2 W3C line, 42 fields",
            Self::V1 => "v1 line, 33 fields, ids derived",
            Self::CloudWatch => "CloudWatch envelope, gzip, of v2 JSON",
            Self::FirehoseRealTime => "Firehose request of real-time lines",
            Self::FirehoseV2Json => "Firehose request, gzip, of v2 JSON",
            Self::FirehoseCloudWatch => "Firehose request of CloudWatch envelopes",
        }
    }

    /// What is to be reached, in microseconds of CPU for each record.
    pub(super) const fn aim_micros(self) -> Option<f64> {
        match self {
            Self::RealTime | Self::RealTimeDerived => Some(1.5),
            Self::V2Json | Self::V2JsonDerived => Some(3.0),
            Self::V2W3c | Self::V1 | Self::CloudWatch => None,
            Self::FirehoseRealTime | Self::FirehoseV2Json | Self::FirehoseCloudWatch => None,
        }
    }

    /// Whether deliveries are bodies of Firehose's requests; if so, whether they are compressed.
    pub(super) const fn firehose(self) -> Option<bool> {
        match self {
            Self::FirehoseRealTime | Self::FirehoseCloudWatch => Some(false),
            Self::FirehoseV2Json => Some(true),
            Self::RealTime | Self::RealTimeDerived | Self::V2Json | Self::V2JsonDerived => None,
            Self::V2W3c | Self::V1 | Self::CloudWatch => None,
        }
    }

    /// So many requests as deliveries of this form.
    pub(super) fn deliveries(self, count: u64) -> Vec<Vec<u8>> {
        let mut random = Random::new(5);
        let is_derived = matches!(self, Self::RealTimeDerived | Self::V2JsonDerived | Self::V1);
        let requests = (0..count).map(|number| {
            let request = Request::new(&mut random, number);
            if is_derived { request } else { request.with_payload(&mut random) }
        });
        let records: Vec<String> = requests.map(|request| self.record(&request)).collect();
        match self {
            Self::RealTime | Self::RealTimeDerived | Self::V2Json | Self::V2JsonDerived => joined(&records, ""),
            Self::V2W3c => joined(&records, &header(&v2_fields())),
            Self::V1 => joined(&records, &header(&STANDARD_V1_FIELDS)),
            Self::CloudWatch => envelopes(&records),
            Self::FirehoseRealTime => firehose(records.iter().map(String::as_bytes), 500),
            Self::FirehoseV2Json => {
                firehose(records.iter().map(String::as_bytes), 500).iter().map(|body| gzip(body)).collect()
            }
            Self::FirehoseCloudWatch => firehose(envelopes(&records).iter().map(Vec::as_slice), 10),
        }
    }

    fn record(self, request: &Request) -> String {
        match self {
            Self::RealTime | Self::RealTimeDerived | Self::FirehoseRealTime => {
                let values: Vec<String> = real_time_fields().map(|name| encoded(request.get(name))).collect();
                values.join("\t") + "\n"
            }
            Self::V2W3c => line(request, &v2_fields()),
            Self::V1 => line(request, &STANDARD_V1_FIELDS),
            Self::V2Json | Self::V2JsonDerived | Self::CloudWatch | Self::FirehoseV2Json | Self::FirehoseCloudWatch => {
                json(request)
            }
        }
    }
}

/// The fields of lines that come without a header.
pub(super) fn columns() -> Columns {
    Columns::new(real_time_fields()).expect("these are CloudFront's fields")
}

fn v2_fields() -> Vec<&'static str> {
    [STANDARD_V1_FIELDS.as_slice(), STANDARD_V2_MORE.as_slice()].concat()
}

fn header(fields: &[&str]) -> String {
    format!("#Version: 1.0\n#Fields: {}\n", fields.join(" "))
}

fn line(request: &Request, fields: &[&str]) -> String {
    let values: Vec<String> = fields.iter().map(|name| encoded(&standard(request, name))).collect();
    values.join("\t") + "\n"
}

fn json(request: &Request) -> String {
    let members = v2_fields().into_iter().map(|name| (name.to_owned(), encoded(&standard(request, name)).into()));
    serde_json::Value::Object(members.collect()).to_string() + "\n"
}

/// The value of a field in standard logs, whose names and meanings differ here and there.
fn standard(request: &Request, name: &str) -> String {
    let seconds = request.finished_unix_millis() / 1000;
    let of_day = seconds % 86_400;
    match name {
        // The requests take a few minutes of one day.
        "date" => "2026-09-14".to_owned(),
        "time" => format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60),
        "timestamp(ms)" => request.finished_unix_millis().to_string(),
        "cs(Host)" => request.get("x-host-header").to_owned(),
        "x-host-header" => request.get("cs-host").to_owned(),
        "cs-uri-stem" => request.path().to_owned(),
        "cs(Referer)" => request.get("cs-referer").to_owned(),
        "cs(User-Agent)" => request.get("cs-user-agent").to_owned(),
        "DistributionId" => request.get("primary-distribution-id").to_owned(),
        other => request.get(other).to_owned(),
    }
}

/// As CloudFront encodes values: control characters, spaces, what is not ASCII, and some others.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte <= b' ' || byte >= 127 || b"<>\"#%{}|\\^~[]`'".contains(&byte) {
            let _infallible = write!(text, "%{byte:02X}");
        } else {
            text.push(char::from(byte));
        }
    }
    text
}

/// Pieces of about a megabyte, each with the header.
fn joined(records: &[String], header: &str) -> Vec<Vec<u8>> {
    records.chunks(500).map(|chunk| format!("{header}{}", chunk.concat()).into_bytes()).collect()
}

fn envelopes(records: &[String]) -> Vec<Vec<u8>> {
    let envelope = |chunk: &[String]| {
        let events: Vec<_> = chunk
            .iter()
            .map(|record| {
                serde_json::json!({
                    "id": "38500000000000000000000000000000000000000000000000000004",
                    "timestamp": 1_789_380_930_482_u64,
                    "message": record.trim_end(),
                })
            })
            .collect();
        let envelope = serde_json::json!({
            "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "cloudfront-access",
            "logStream": "CloudFront_EDFDVBD6EXAMPLE", "subscriptionFilters": ["all"], "logEvents": events,
        });
        gzip(envelope.to_string().as_bytes())
    };
    records.chunks(100).map(envelope).collect()
}

fn firehose<'r>(records: impl Iterator<Item = &'r [u8]>, per_request: usize) -> Vec<Vec<u8>> {
    let records: Vec<_> = records.map(|record| serde_json::json!({"data": STANDARD.encode(record)})).collect();
    let body = |chunk: &[serde_json::Value]| {
        serde_json::json!({"requestId": "ed4acda5-034f-9f42-bba1-f29aea6d7d8f", "timestamp": 1_789_380_991_599_u64, "records": chunk})
            .to_string()
            .into_bytes()
    };
    records.chunks(per_request).map(body).collect()
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}
