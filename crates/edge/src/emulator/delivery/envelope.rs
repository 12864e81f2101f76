//! What a subscription of CloudWatch Logs makes of log lines: an envelope for each stream, packed with gzip.

use serde_json::{Value, json};

use super::firehose::RECORD_MAX_BYTES;
use super::{LogLine, gzip};
use crate::emulator::random::Random;

/// The account that owns the logs; a documentation value.
const OWNER: &str = "111122223333";

/// Text in one envelope: what is longer is divided among several, so that none is too long for a record.
const ENVELOPE_MAX_TEXT_BYTES: usize = 512 * 1024;

/// The envelopes of a batch as the data of records: one for each, or as many joined in one as a record may hold.
pub(crate) fn records(batch: &[LogLine], joined: bool, random: &Random) -> Result<Vec<Vec<u8>>, String> {
    let mut streams: Vec<(&LogLine, Vec<&LogLine>, usize)> = Vec::new();
    for line in batch {
        let is_of = |(first, _, bytes): &&mut (&LogLine, Vec<&LogLine>, usize)| {
            first.group == line.group
                && first.stream == line.stream
                && *bytes + line.text.len() <= ENVELOPE_MAX_TEXT_BYTES
        };
        match streams.iter_mut().find(is_of) {
            Some((_, lines, bytes)) => {
                lines.push(line);
                *bytes += line.text.len();
            }
            None => streams.push((line, vec![line], line.text.len())),
        }
    }
    let mut members = Vec::with_capacity(streams.len());
    for (first, lines, _) in streams {
        let events: Vec<Value> = lines
            .iter()
            .map(|line| {
                let id = format!("{:0>56}", random.file_id());
                json!({"id": id, "timestamp": line.unix_millis, "message": line.text})
            })
            .collect();
        let envelope = json!({
            "messageType": "DATA_MESSAGE",
            "owner": OWNER,
            "logGroup": first.group,
            "logStream": first.stream,
            "subscriptionFilters": ["rootspan-emulator"],
            "logEvents": events,
        });
        members.push(gzip(envelope.to_string().as_bytes())?.to_vec());
    }
    if !joined {
        return Ok(members);
    }
    let mut records: Vec<Vec<u8>> = Vec::new();
    for member in members {
        match records.last_mut().filter(|record| record.len() + member.len() <= RECORD_MAX_BYTES) {
            Some(record) => record.extend_from_slice(&member),
            None => records.push(member),
        }
    }
    Ok(records)
}
