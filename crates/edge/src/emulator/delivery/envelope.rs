//! What a subscription of CloudWatch Logs makes of log lines: an envelope for each stream, packed with gzip.

use serde_json::{Value, json};

use super::{LogLine, gzip};
use crate::emulator::random::Random;

/// The account that owns the logs; a documentation value.
const OWNER: &str = "111122223333";

/// The envelopes of a batch as the data of records: one for each, or all joined in one.
pub(crate) fn records(batch: &[LogLine], joined: bool, random: &Random) -> Result<Vec<Vec<u8>>, String> {
    let mut streams: Vec<(&LogLine, Vec<&LogLine>)> = Vec::new();
    for line in batch {
        match streams.iter_mut().find(|(first, _)| first.group == line.group && first.stream == line.stream) {
            Some((_, lines)) => lines.push(line),
            None => streams.push((line, vec![line])),
        }
    }
    let mut members = Vec::with_capacity(streams.len());
    for (first, lines) in streams {
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
    Ok(if joined { vec![members.concat()] } else { members })
}
