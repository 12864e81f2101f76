//! Amazon Data Firehose with an HTTP endpoint ("HTTP endpoint delivery specifications"). A batch keeps its request id over
//! all tries. Only a 200 whose body names that id is success; 413 is final; everything else is tried again, 1 s doubling
//! with ±15 %, at most two minutes apart, until the stream's retry duration is over.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;

use super::{Refusal, gzip};
use crate::emulator::clock::unix_millis;
use crate::emulator::random::Random;

/// The largest answer that Firehose reads.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

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
        for (index, record) in records.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(body, r#"{separator}{{"data":"{}"}}"#, STANDARD.encode(record))
                .expect("writing to memory does not fail");
        }
        body.extend_from_slice(b"]}");
        let body = if is_gzip { gzip(&body)? } else { body.into() };
        Ok(Self { request_id, body, is_gzip })
    }

    pub(crate) async fn send(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        endpoint: &str,
        access_key: &str,
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
        let request = request.body(Full::new(self.body.clone())).map_err(|error| Refusal::Final(error.to_string()))?;
        let response = client.request(request).await.map_err(|error| Refusal::Retryable(error.to_string()))?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
        let answer = answer.map_err(|error| Refusal::Retryable(error.to_string()))?.to_bytes();
        let names_the_batch = serde_json::from_slice::<serde_json::Value>(&answer)
            .is_ok_and(|answer| answer["requestId"] == self.request_id && answer["timestamp"].is_u64());
        match status {
            StatusCode::OK if names_the_batch => Ok(()),
            StatusCode::OK => Err(Refusal::Retryable("the answer does not name the batch".to_owned())),
            StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal::Final("the endpoint answered 413".to_owned())),
            status => Err(Refusal::Retryable(format!("the endpoint answered {status}"))),
        }
    }
}
