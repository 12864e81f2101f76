//! What a queue says of a bucket: S3's event notifications, the same within SNS's envelope, EventBridge's events, and the
//! test message that S3 sends when notifications are set up.

use serde_json::Value;

use crate::aws::bucket::percent_decode;

/// Envelopes within envelopes; SNS makes one.
const MAX_ENVELOPES: usize = 3;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notification {
    /// Objects were written; none if the message is of something else, such as deletions.
    Written(Vec<Written>),
    /// Notifications were set up.
    Test,
}

/// An object that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) bucket: String,
    pub(super) key: String,
    /// `None` if it is not said.
    pub(super) bytes: Option<u64>,
}

impl Notification {
    /// Reads a message's body. An error is the rest of a sentence about it.
    pub(super) fn parse(body: &str) -> Result<Self, String> {
        let mut text = body.to_owned();
        for _ in 0..MAX_ENVELOPES {
            let value: Value = serde_json::from_str(&text).map_err(|error| format!("it is not JSON: {error}"))?;
            if value["Event"] == "s3:TestEvent" {
                return Ok(Self::Test);
            }
            if let Some(records) = value["Records"].as_array() {
                return of_s3(records).map(Self::Written);
            }
            if value["source"] == "aws.s3" {
                return of_event_bridge(&value).map(Self::Written);
            }
            match value["Message"].as_str() {
                Some(inner) => text = inner.to_owned(),
                None => break,
            }
        }
        Err("it is neither a notification of S3 nor one within an envelope of SNS or EventBridge".to_owned())
    }
}

/// S3's own form: keys are escaped as in HTML forms.
fn of_s3(records: &[Value]) -> Result<Vec<Written>, String> {
    let mut written = Vec::new();
    for record in records {
        // `ObjectCreated:Put`, with `s3:` before it in some servers' notifications.
        let event = record["eventName"].as_str().unwrap_or_default();
        if !event.trim_start_matches("s3:").starts_with("ObjectCreated") {
            continue;
        }
        let s3 = &record["s3"];
        let (bucket, object) = (s3["bucket"]["name"].as_str(), &s3["object"]);
        let (Some(bucket), Some(key)) = (bucket, object["key"].as_str()) else {
            return Err("a record in it names no bucket or no key".to_owned());
        };
        let key = percent_decode(&key.replace('+', " "));
        written.push(Written { bucket: bucket.to_owned(), key, bytes: object["size"].as_u64() });
    }
    Ok(written)
}

/// EventBridge's form: keys are as they are.
fn of_event_bridge(event: &Value) -> Result<Vec<Written>, String> {
    if event["detail-type"] != "Object Created" {
        return Ok(Vec::new());
    }
    let (bucket, object) = (event["detail"]["bucket"]["name"].as_str(), &event["detail"]["object"]);
    let (Some(bucket), Some(key)) = (bucket, object["key"].as_str()) else {
        return Err("the event names no bucket or no key".to_owned());
    };
    Ok(vec![Written { bucket: bucket.to_owned(), key: key.to_owned(), bytes: object["size"].as_u64() }])
}

#[cfg(test)]
mod tests;
