//! The body of Amazon Data Firehose's HTTP endpoint delivery, and its answer (version 1.0 of that protocol).
//!
//! Request `{"requestId":"…","timestamp":…,"records":[{"data":"<base64>"}]}`, answer `{"requestId":"…","timestamp":…}` or
//! with `"errorMessage"`. Only status 200 is success; everything else but 413 (which loses the batch for good) is
//! delivered again, the whole of it. So one bad record must not fail the others: it is an error of its own here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::otlp::json::put_json_string;

/// Most records of one request: the protocol's own limit.
pub const MAX_RECORDS: usize = 10_000;

/// Most bytes of one record, decoded: the protocol's own limit.
pub const MAX_RECORD_BYTES: usize = 1_024_000;

/// Most attributes in the header of common attributes: the protocol's own limit.
pub const MAX_COMMON_ATTRIBUTES: usize = 50;

/// Longest value of a common attribute: the protocol's own limit.
pub const MAX_COMMON_ATTRIBUTE_BYTES: usize = 1024;

/// A delivery. Records are decoded one by one, so that memory holds one at a time.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// To be repeated in the answer; the same when the delivery is repeated.
    pub request_id: Cow<'a, str>,
    records: Vec<&'a RawValue>,
}

/// The body is no delivery (answered with 400, which Firehose retries and then writes to its error bucket).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Firehose delivery: {0}")]
pub struct InvalidDelivery(pub String);

/// Why a record is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// Not an object with a string `data`.
    #[error("the record has no data")]
    NoData,
    /// `data` is not base64.
    #[error("the record's data is not base64")]
    NotBase64,
    /// More than [`MAX_RECORD_BYTES`].
    #[error("the record has more than {MAX_RECORD_BYTES} bytes")]
    TooLong,
}

impl<'a> Request<'a> {
    /// Parses the uncompressed body.
    ///
    /// # Errors
    /// [`InvalidDelivery`] if it is not JSON of this shape or has more than [`MAX_RECORDS`] records.
    pub fn parse(body: &'a [u8]) -> Result<Self, InvalidDelivery> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(rename = "requestId", borrow)]
            request_id: Cow<'a, str>,
            #[serde(borrow)]
            records: RawRecords<'a>,
        }
        let text = simdutf8::basic::from_utf8(body).map_err(|_| InvalidDelivery("the body is not UTF-8".into()))?;
        let Body { request_id, records } =
            serde_json::from_str(text).map_err(|error| InvalidDelivery(error.to_string()))?;
        Ok(Self { request_id, records: records.0 })
    }

    /// Number of records, good and bad.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// The records' decoded data, in order; it may be empty.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Result<Vec<u8>, RecordProblem>> {
        self.records.iter().map(|record| decode(record))
    }
}

fn decode(record: &RawValue) -> Result<Vec<u8>, RecordProblem> {
    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(borrow)]
        data: Cow<'a, str>,
    }
    let record: Record<'_> = serde_json::from_str(record.get()).map_err(|_| RecordProblem::NoData)?;
    // Four characters are three bytes, of which padding takes two at most: much too long is known without decoding.
    if record.data.len() / 4 * 3 > MAX_RECORD_BYTES + 2 {
        return Err(RecordProblem::TooLong);
    }
    let data = STANDARD.decode(record.data.as_bytes()).map_err(|_| RecordProblem::NotBase64)?;
    if data.len() > MAX_RECORD_BYTES { Err(RecordProblem::TooLong) } else { Ok(data) }
}

/// What the stream is configured to say of all its records, `X-Amz-Firehose-Common-Attributes`:
/// `{"commonAttributes":{"deployment":"prod"}}`.
///
/// What is over the protocol's limits is left out; what is no such header gives none: attributes are no reason to lose
/// records.
#[must_use]
pub fn common_attributes(header: &[u8]) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct Header<'a> {
        #[serde(rename = "commonAttributes", borrow)]
        common_attributes: HashMap<Cow<'a, str>, Cow<'a, str>>,
    }
    let Ok(Header { common_attributes }) = serde_json::from_slice(header) else { return Vec::new() };
    let mut attributes: Vec<_> = common_attributes
        .into_iter()
        .filter(|(name, value)| !name.is_empty() && value.len() <= MAX_COMMON_ATTRIBUTE_BYTES)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    // The same delivery gives the same bytes.
    attributes.sort_unstable();
    attributes.truncate(MAX_COMMON_ATTRIBUTES);
    attributes
}

/// The account in an ARN, `arn:aws:firehose:us-east-1:111122223333:deliverystream/cf-edge`: Firehose names its own in
/// `X-Amz-Firehose-Source-Arn`.
#[must_use]
pub fn account_of(arn: &str) -> Option<&str> {
    let account = arn.strip_prefix("arn:")?.split(':').nth(3)?;
    (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())).then_some(account)
}

/// The array of records, bounded while it is read.
struct RawRecords<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for RawRecords<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RecordsVisitor;
        impl<'de> Visitor<'de> for RecordsVisitor {
            type Value = RawRecords<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawRecords<'de>, A::Error> {
                let mut records = Vec::new();
                while let Some(record) = seq.next_element()? {
                    if records.len() == MAX_RECORDS {
                        return Err(A::Error::custom(format_args!("more than {MAX_RECORDS} records")));
                    }
                    records.push(record);
                }
                Ok(RawRecords(records))
            }
        }
        deserializer.deserialize_seq(RecordsVisitor)
    }
}

/// The answer's body. `request_id` may come from the header if the body was not read.
#[must_use]
pub fn answer(request_id: &str, timestamp_unix_millis: u64, error: Option<&str>) -> Vec<u8> {
    let mut out = b"{\"requestId\":".to_vec();
    put_json_string(&mut out, request_id);
    out.extend_from_slice(format!(",\"timestamp\":{timestamp_unix_millis}").as_bytes());
    if let Some(error) = error {
        out.extend_from_slice(b",\"errorMessage\":");
        put_json_string(&mut out, error);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests;
