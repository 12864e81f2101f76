//! Amazon Data Firehose with an HTTP endpoint ("HTTP endpoint delivery specifications"). A batch keeps its request id over
//! all tries. Only a 200 with an answer as the specification wants it is success; 413 is final; everything else,
//! redirects too, is tried again, 1 s doubling with ±15 %, at most two minutes apart, until the stream's retry duration is
//! over.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;

use super::{InvalidDelivery, Refusal, gzip};
use crate::emulator::clock::unix_millis;
use crate::emulator::random::Random;

/// The largest answer that Firehose reads.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// The most records in one request.
pub(crate) const BATCH_MAX_RECORDS: usize = 10_000;

/// The longest record, before it is encoded.
pub(crate) const RECORD_MAX_BYTES: usize = 1_024_000;

/// The longest body, before it is compressed.
const BODY_MAX_BYTES: usize = 64 * 1024 * 1024;

/// The most that a batch collects: encoded by base64, with ten thousand frames around it and a last record that went
/// beyond, it is below [`BODY_MAX_BYTES`].
pub(crate) const BATCH_MAX_BYTES: usize = 46 * 1024 * 1024;

/// The longest access key.
const ACCESS_KEY_MAX_BYTES: usize = 4096;

/// The most attributes that a stream gives to all its records, and the longest value of one.
const COMMON_ATTRIBUTES_MAX: usize = 50;
const COMMON_ATTRIBUTE_MAX_BYTES: usize = 1024;

/// The source ARN of every batch; made of documentation values.
const SOURCE_ARN: &str = "arn:aws:firehose:us-east-1:111122223333:deliverystream/rootspan-emulator";

/// One request.
pub(crate) struct Post {
    request_id: String,
    body: Bytes,
    is_gzip: bool,
}

impl Post {
    pub(crate) fn new(random: &Random, records: &[Vec<u8>], is_gzip: bool) -> Result<Self, String> {
        let request_id = random.uuid();
        let mut body = Vec::new();
        write!(body, r#"{{"requestId":"{request_id}","timestamp":{},"records":["#, unix_millis())
            .expect("writing to memory does not fail");
        if let Some(record) = records.iter().find(|record| record.len() > RECORD_MAX_BYTES) {
            return Err(format!("a record has {} bytes: Firehose takes {RECORD_MAX_BYTES}", record.len()));
        }
        for (index, record) in records.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(body, r#"{separator}{{"data":"{}"}}"#, STANDARD.encode(record))
                .expect("writing to memory does not fail");
        }
        body.extend_from_slice(b"]}");
        if body.len() > BODY_MAX_BYTES || records.len() > BATCH_MAX_RECORDS {
            return Err(format!("{} records are {} bytes: over Firehose's limits", records.len(), body.len()));
        }
        let body = if is_gzip { gzip(&body)? } else { body.into() };
        Ok(Self { request_id, body, is_gzip })
    }

    pub(crate) async fn send(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        endpoint: &str,
        access_key: &str,
        common_attributes: &[(String, String)],
    ) -> Result<(), Refusal> {
        let mut request = Request::post(endpoint)
            .header("X-Amz-Firehose-Protocol-Version", "1.0")
            .header("X-Amz-Firehose-Request-Id", &self.request_id)
            .header("X-Amz-Firehose-Source-Arn", SOURCE_ARN)
            .header("X-Amz-Firehose-Access-Key", access_key)
            .header(CONTENT_TYPE, "application/json");
        if self.is_gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        if !common_attributes.is_empty() {
            request = request.header("X-Amz-Firehose-Common-Attributes", common_header(common_attributes));
        }
        let request = request.body(Full::new(self.body.clone())).map_err(|error| Refusal::Final(error.to_string()))?;
        let response = client.request(request).await.map_err(|error| Refusal::Retryable(error.to_string()))?;
        let (head, body) = response.into_parts();
        let answer = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
        let answer =
            answer.map_err(|error| Refusal::Retryable(format!("the answer cannot be read: {error}")))?.to_bytes();
        match head.status {
            StatusCode::OK => match self.broken_rule(&head.headers, &answer) {
                None => Ok(()),
                Some(rule) => Err(Refusal::Retryable(format!("200, but {rule}: Firehose takes it for a 500"))),
            },
            StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal::Final("the endpoint answered 413".to_owned())),
            status => Err(Refusal::Retryable(format!("the endpoint answered {status}"))),
        }
    }

    /// What Firehose wants of an answer and does not find.
    fn broken_rule(&self, headers: &HeaderMap, answer: &[u8]) -> Option<&'static str> {
        let value = |name| headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        let media_type = value(CONTENT_TYPE).split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if !media_type.eq_ignore_ascii_case(b"application/json") {
            return Some("the content type is not application/json");
        }
        if !value(CONTENT_ENCODING).is_empty() {
            return Some("the answer has a content encoding");
        }
        if value(CONTENT_LENGTH).is_empty() {
            return Some("the answer has no content length");
        }
        let Ok(answer) = serde_json::from_slice::<serde_json::Value>(answer) else {
            return Some("the answer is not JSON");
        };
        if answer["requestId"] != self.request_id {
            return Some("the answer does not name the request");
        }
        (!answer["timestamp"].is_u64()).then_some("the answer has no integer timestamp")
    }
}

/// `{"commonAttributes":{"deployment":"prod"}}`
fn common_header(attributes: &[(String, String)]) -> String {
    let attributes: serde_json::Map<_, _> =
        attributes.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    // Headers are ASCII: what is not is escaped, as JSON allows.
    let mut header = String::new();
    for character in serde_json::json!({"commonAttributes": attributes}).to_string().chars() {
        if character.is_ascii() {
            header.push(character);
        } else {
            let mut units = [0; 2];
            header.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    header
}

/// Whether Firehose lets a stream be configured so.
pub(crate) fn check(access_key: &str, attributes: &[(String, String)]) -> Result<(), InvalidDelivery> {
    if access_key.len() > ACCESS_KEY_MAX_BYTES {
        return Err(InvalidDelivery::AccessKey);
    }
    let is_too_long = |(_, value): &(String, String)| value.len() > COMMON_ATTRIBUTE_MAX_BYTES;
    if attributes.len() > COMMON_ATTRIBUTES_MAX || attributes.iter().any(is_too_long) {
        return Err(InvalidDelivery::CommonAttributes);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
