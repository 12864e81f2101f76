//! One access-log record by field.

use std::borrow::Cow;

use rootspan_model::conventions::cloudfront;
use rootspan_model::log_payload::LogPayload;

use super::ReadOptions;
use super::scan::for_each_below;

/// Which of CloudFront's logs a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Source {
    /// Standard logging, both versions: `cs(Host)` is the distribution's domain, `x-host-header` the viewer's `Host`.
    #[default]
    Standard,
    /// Real-time logs: `cs-host` is the viewer's `Host`, `x-host-header` the distribution's domain.
    RealTime,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident = $($name:literal)|+,)*) => {
        /// The fields that something is made of; others are not kept.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field {
            $($(#[$doc])* $field,)*
        }

        impl Field {
            const COUNT: usize = [$(Self::$field),*].len();

            /// By its name in the form of [`plain_name`].
            fn from_plain_name(name: &str) -> Option<Self> {
                match name {
                    $($($name)|+ => Some(Self::$field),)*
                    _ => None,
                }
            }
        }
    };
}

fields! {
    /// The id of the request; the viewer sees it as `X-Amz-Cf-Id`.
    RequestId = "x-edge-request-id",
    /// Day on which the response was finished, `2026-09-14`.
    Date = "date",
    /// Time of that day in UTC, `10:15:30`.
    Time = "time",
    /// When the response was finished, in milliseconds since 1970.
    TimestampMillis = "timestamp-ms",
    /// When the response was finished, in seconds since 1970 with decimals.
    Timestamp = "timestamp",
    /// Seconds from the request to the last byte.
    TimeTaken = "time-taken",
    /// Seconds from the request to the first byte.
    TimeToFirstByte = "time-to-first-byte",
    /// Seconds from asking the origin to its first byte.
    OriginFirstByteLatency = "origin-fbl",
    /// Seconds from asking the origin to its last byte.
    OriginLastByteLatency = "origin-lbl",
    /// `FRA60-P4`
    EdgeLocation = "x-edge-location",
    /// `Hit`, `Miss`, `Error`, … after the last byte.
    ResultType = "x-edge-result-type",
    /// The same before the response was sent.
    ResponseResultType = "x-edge-response-result-type",
    /// The class of an error.
    DetailedResultType = "x-edge-detailed-result-type",
    /// The pattern of the matching cache behaviour.
    CacheBehavior = "cache-behavior-path-pattern",
    /// The distribution.
    DistributionId = "distributionid" | "primary-distribution-id",
    /// The distribution's domain.
    DistributionDomain = "primary-distribution-dns-name",
    /// The viewer's `Host` header.
    ViewerHost = "viewer-host",
    /// Method.
    Method = "cs-method",
    /// `http`, `https`, `ws`, `wss`
    Protocol = "cs-protocol",
    /// `HTTP/2.0`
    ProtocolVersion = "cs-protocol-version",
    /// Path; real-time logs add the query.
    UriStem = "cs-uri-stem",
    /// Query.
    UriQuery = "cs-uri-query",
    /// Status; `000` if the viewer went away before there was one.
    Status = "sc-status",
    /// Bytes of the request.
    RequestBytes = "cs-bytes",
    /// Bytes of the response.
    ResponseBytes = "sc-bytes",
    /// `Content-Type` of the response.
    ContentType = "sc-content-type",
    /// `Referer`
    Referrer = "cs-referer",
    /// `User-Agent`
    UserAgent = "cs-user-agent",
    /// Headers of the request, cut at 800 bytes.
    Headers = "cs-headers",
    /// The viewer's address.
    ClientAddress = "c-ip",
    /// The viewer's port.
    ClientPort = "c-port",
    /// Addresses before the viewer's.
    ForwardedFor = "x-forwarded-for",
    /// Country of the viewer.
    Country = "c-country",
    /// Autonomous system of the viewer.
    Asn = "asn",
    /// `TLSv1.3`
    TlsProtocol = "ssl-protocol",
    /// Cipher suite.
    TlsCipher = "ssl-cipher",
    /// What the viewer-request function logged.
    RequestLogData = "viewer-request-log-data",
    /// What the viewer-response function logged.
    ResponseLogData = "viewer-response-log-data",
}

impl Field {
    /// The field that a log of this source calls `name`; `None` if nothing is made of it.
    pub(super) fn of(name: &str, source: Source) -> Option<Self> {
        let plain = plain_name(name);
        match (plain.as_str(), source) {
            ("x-host-header", Source::Standard) | ("cs-host", Source::RealTime) => Some(Self::ViewerHost),
            ("cs-host", Source::Standard) | ("x-host-header", Source::RealTime) => Some(Self::DistributionDomain),
            (plain, _) => Self::from_plain_name(plain),
        }
    }
}

/// Which log a record was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Log {
    /// Standard logging, both versions.
    #[default]
    Standard,
    /// Real-time logs.
    RealTime,
    /// What a function logged by itself: a line of AWS's sample.
    Function,
}

impl Log {
    /// As in the attribute `aws.cloudfront.log`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => cloudfront::log::STANDARD,
            Self::RealTime => cloudfront::log::REAL_TIME,
            Self::Function => cloudfront::log::FUNCTION,
        }
    }
}

impl From<Source> for Log {
    fn from(source: Source) -> Self {
        match source {
            Source::Standard => Self::Standard,
            Source::RealTime => Self::RealTime,
        }
    }
}

/// One record. Absent, `-` and empty are the same.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    log: Log,
    values: [Option<Cow<'a, str>>; Field::COUNT],
}

impl Default for Record<'_> {
    fn default() -> Self {
        Self::new(Log::default())
    }
}

impl<'a> Record<'a> {
    /// Without values yet.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { log, values: std::array::from_fn(|_| None) }
    }

    /// Becomes a record of this log, without values yet.
    pub(super) fn restart(&mut self, log: Log) {
        self.log = log;
        self.values.fill_with(|| None);
    }

    /// The log that it was in.
    #[must_use]
    pub const fn log(&self) -> Log {
        self.log
    }

    /// The same with values of its own.
    #[must_use]
    pub fn into_owned(self) -> Record<'static> {
        Record { log: self.log, values: self.values.map(|value| value.map(|text| Cow::Owned(text.into_owned()))) }
    }

    /// Bytes of the values, about what an owned one takes.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        size_of::<Self>() + self.values.iter().flatten().map(|text| text.len()).sum::<usize>()
    }

    /// Sets the field that the log calls `name`; a name that is not known is left out.
    pub fn set(&mut self, name: &str, value: Cow<'a, str>, options: ReadOptions) {
        if let Some(field) = Field::of(name, options.source) {
            self.put(field, value, options.percent_decode);
        }
    }

    /// Sets a field. Those that every log encodes stay as they are: whoever uses them undoes it, and twice were once too
    /// often; the list of headers is cut at a length of encoded bytes.
    pub(super) fn put(&mut self, field: Field, value: Cow<'a, str>, percent_decode: bool) {
        let is_for_use = matches!(field, Field::Headers | Field::UserAgent | Field::Referrer | Field::ContentType);
        let value = if percent_decode && !is_for_use { percent_decoded(value) } else { value };
        let is_absent = value.is_empty() || value == "-";
        self.values[field as usize] = (!is_absent).then_some(value);
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&str> {
        self.values[field as usize].as_deref()
    }

    /// What our edge function says of the request. Other functions may log there, too.
    #[must_use]
    pub fn payload(&self) -> Option<LogPayload> {
        let fields = [Field::RequestLogData, Field::ResponseLogData];
        fields.into_iter().find_map(|field| LogPayload::find(self.get(field)?))
    }

    /// The number in a field, or `None` if there is none.
    pub(super) fn number<T: std::str::FromStr>(&self, field: Field) -> Option<T> {
        self.get(field)?.parse().ok()
    }
}

/// `cs(User-Agent)`, Parquet's `cs_User_Agent` and real-time logs' `cs-user-agent` are one name.
fn plain_name(name: &str) -> String {
    let plain = |character: char| match character {
        '(' | '_' => '-',
        other => other.to_ascii_lowercase(),
    };
    name.chars().filter(|&character| character != ')').map(plain).collect()
}

/// Undoes percent-encoding unless that gives no text.
pub(super) fn percent_decoded(text: Cow<'_, str>) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if memchr::memchr(b'%', bytes).is_none() {
        return text;
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for_each_below(bytes, b'%' + 1, |at, byte| {
        // A percent sign may be one of the two characters behind another.
        if byte != b'%' || at < done {
            return;
        }
        let digit = |at: usize| hex_value(*bytes.get(at)?);
        if let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) {
            decoded.extend_from_slice(&bytes[done..at]);
            decoded.push(high << 4 | low);
            done = at + 3;
        }
    });
    decoded.extend_from_slice(&bytes[done..]);
    String::from_utf8(decoded).map_or(text, Cow::Owned)
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
