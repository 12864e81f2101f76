use super::*;
use crate::emulator::delivery::{LogLine, envelope};

fn post(records: &[Vec<u8>]) -> Result<Post, String> {
    Post::new(&Random::new(0, 0), records, false)
}

#[test]
fn a_request_has_firehoses_limits() {
    assert!(post(&[vec![b'x'; RECORD_MAX_BYTES]]).is_ok());
    let problem = post(&[vec![b'x'; RECORD_MAX_BYTES + 1]]).err().expect("too long");
    assert_eq!(problem, "a record has 1024001 bytes: Firehose takes 1024000");
    assert!(post(&vec![Vec::new(); BATCH_MAX_RECORDS]).is_ok());
    assert!(post(&vec![Vec::new(); BATCH_MAX_RECORDS + 1]).is_err());
    // 49 of them are just below 64 MiB with base64 and all around it.
    let longest = vec![vec![b'x'; RECORD_MAX_BYTES]; 49];
    assert!(post(&longest).is_ok_and(|post| post.body.len() <= BODY_MAX_BYTES));
    assert!(post(&[longest, vec![vec![b'x'; RECORD_MAX_BYTES]]].concat()).is_err());
}

/// What a batch collects at most always makes a request.
#[test]
fn a_full_batch_is_within_the_limits() {
    let length = BATCH_MAX_BYTES / (BATCH_MAX_RECORDS - 1);
    let mut records = vec![vec![b'x'; length]; BATCH_MAX_RECORDS - 1];
    records.push(vec![b'x'; RECORD_MAX_BYTES]);
    assert!(post(&records).is_ok());
}

/// Envelopes that are joined, and lines in one, are divided before a record is too long.
#[test]
fn long_logs_are_several_envelopes_in_several_records() {
    let random = Random::new(0, 0);
    // What does not pack.
    let line = |number: u32| LogLine {
        unix_millis: 1,
        text: (0..500).map(|_| random.uuid()).collect::<String>() + &number.to_string(),
        group: "group".to_owned(),
        stream: "stream".to_owned(),
    };
    let lines: Vec<_> = (0..200).map(line).collect();
    for joined in [false, true] {
        let records = envelope::records(&lines, joined, &random).expect("it packs");
        assert!(records.len() > 1, "{}", records.len());
        assert!(post(&records).is_ok());
        let one = envelope::records(&lines[..2], joined, &random).expect("it packs");
        assert_eq!(one.len(), 1, "of one stream");
    }
}
