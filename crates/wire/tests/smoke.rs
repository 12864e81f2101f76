//! Every decoder on bytes that nobody meant: realistic input with a few bytes changed, and noise. Fixed seeds, so that
//! a run finds what the last one found. Nothing may panic, and what is accepted must stay accepted.

use rootspan_model::sampling::Threshold;
use rootspan_testkit::generate::{Options, generate};
use rootspan_wire::cloudfront::rules::{PathPattern, PathRule, Trust};
use rootspan_wire::cloudfront::span::{Encoder, Settings};
use rootspan_wire::cloudfront::{ReadOptions, Source, read_json};
use rootspan_wire::firehose;
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::json::{read_payload, read_request, write_request, write_traces};
use rootspan_wire::otlp::payload::{Payload, Signal};
use rootspan_wire::otlp::validate::{Limits, Rejected, Validated, validate, validate_payload};

/// SplitMix64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 8
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Overwrites, inserts, removes or repeats bytes in one to eight places.
    fn disturb(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(8) {
            let position = self.below(bytes.len());
            let length = self.below(9).min(bytes.len() - position);
            match self.below(5) {
                0 if length > 0 => bytes[position] = self.next() as u8,
                1 if length > 0 => bytes[position] ^= 1 << self.below(8),
                2 => bytes.insert(position, [0, 0x0a, 0x12, 0x7f, 0x80, 0xff, b'"', b'{'][self.below(8)]),
                3 => _ = bytes.drain(position..position + length),
                _ => {
                    let copy = bytes[position..position + length].to_vec();
                    let at = self.below(bytes.len());
                    bytes.splice(at..at, copy);
                }
            }
        }
    }
}

fn small_requests() -> Vec<TraceBatch> {
    generate(Options { spans: 300, spans_per_request: 5, ..Options::default() }).collect()
}

/// Reads everything of the batch, through the index and as JSON, and checks that it would be accepted again.
fn examine(batch: &TraceBatch) {
    let again = validate(batch.bytes().clone(), &Limits::default()).expect("accepted before");
    assert_eq!((again.rejected.items, again.batch.span_count()), (0, batch.span_count()));
    assert_eq!(again.batch.bytes(), batch.bytes());
    for found in batch.spans() {
        assert!(found.span.trace_id.is_valid() && found.span.span_id.is_valid());
    }
    let mut json = Vec::new();
    write_traces(batch, &mut json).expect("memory");
    let Validated { batch: from_json, rejected } = read_request(&json, &Limits::default()).expect("our own JSON");
    assert_eq!((rejected.items, from_json.span_count()), (0, batch.span_count()), "{}", rejected.first_reason);
}

#[test]
fn disturbed_protobuf() {
    let mut noise = Noise(1);
    let (mut accepted, mut rejected, mut refused) = (0, 0, 0);
    for batch in small_requests().iter().cycle().take(3000) {
        let mut bytes = batch.bytes().to_vec();
        noise.disturb(&mut bytes);
        match validate(bytes.into(), &Limits::default()) {
            Err(_) => refused += 1,
            Ok(validated) => {
                examine(&validated.batch);
                *if validated.rejected.items > 0 { &mut rejected } else { &mut accepted } += 1;
            }
        }
    }
    assert!(accepted > 20 && rejected > 20 && refused > 20, "{accepted} {rejected} {refused}");
}

#[test]
fn disturbed_json() {
    let mut noise = Noise(2);
    let mut accepted = 0;
    for batch in small_requests().iter().cycle().take(1500) {
        let mut json = Vec::new();
        write_traces(batch, &mut json).expect("memory");
        noise.disturb(&mut json);
        if let Ok(validated) = read_request(&json, &Limits::default()) {
            examine(&validated.batch);
            accepted += 1;
        }
    }
    assert!(accepted > 20, "{accepted}");
}

/// Writes a request as JSON, reads it back, and checks that it would be accepted again.
fn examine_payload(payload: &Payload) {
    let (again, rejected) =
        validate_payload(payload.signal(), payload.bytes().clone(), &Limits::default()).expect("accepted before");
    assert_eq!((again.bytes(), again.items(), rejected), (payload.bytes(), payload.items(), Rejected::default()));
    let mut json = Vec::new();
    write_request(payload, &mut json).expect("memory");
    let (from_json, rejected) = read_payload(payload.signal(), &json, &Limits::default()).expect("our own JSON");
    assert_eq!((from_json.items(), rejected), (payload.items(), Rejected::default()));
}

#[test]
fn disturbed_metrics_and_logs() {
    const METRICS: &str = r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeMetrics":[{"scope":{"name":"lib"},"metrics":[{"name":"a","unit":"By","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"7","timeUnixNano":"1544712660300000000"},{"asDouble":0.5}]}},{"name":"b","histogram":{"dataPoints":[{"count":"2","sum":2.5,"bucketCounts":["1","1"],"explicitBounds":[1],"exemplars":[{"asDouble":3,"traceId":"01010101010101010101010101010101"}]}]}},{"name":"c","exponentialHistogram":{"dataPoints":[{"scale":-2,"positive":{"offset":1,"bucketCounts":["5","300"]}}]}},{"name":"d","summary":{"dataPoints":[{"quantileValues":[{"quantile":0.5,"value":1}]}]}}]}]}]}"#;
    const LOGS: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1544712660300000000","severityNumber":9,"severityText":"INFO","body":{"kvlistValue":{"values":[{"key":"k","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]}},"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","eventName":"e"},{"body":{"stringValue":"second"}}]}]}]}"#;
    let mut noise = Noise(5);
    for (signal, json) in [(Signal::Metrics, METRICS), (Signal::Logs, LOGS)] {
        let (payload, _) = read_payload(signal, json.as_bytes(), &Limits::default()).expect("sound");
        let (mut accepted, mut rejected, mut refused) = (0, 0, 0);
        for _ in 0..3000 {
            let mut bytes = payload.bytes().to_vec();
            noise.disturb(&mut bytes);
            match validate_payload(signal, bytes.into(), &Limits::default()) {
                Err(_) => refused += 1,
                Ok((disturbed, left_out)) => {
                    examine_payload(&disturbed);
                    *if left_out.items > 0 { &mut rejected } else { &mut accepted } += 1;
                }
            }
            let mut json = json.as_bytes().to_vec();
            noise.disturb(&mut json);
            if let Ok((disturbed, _)) = read_payload(signal, &json, &Limits::default()) {
                examine_payload(&disturbed);
            }
        }
        assert!(accepted > 20 && rejected > 5 && refused > 20, "{accepted} {rejected} {refused}");
    }
}

#[test]
fn disturbed_log_records_and_deliveries() {
    const RECORD: &str = r#"{"date":"2026-09-14","time":"10:15:30","x-edge-location":"FRA60-P4","sc-bytes":"1142","c-ip":"198.51.100.11","cs-method":"GET","cs-uri-stem":"/api/items","sc-status":"504","cs(Referer)":"https://a/?b","cs(User-Agent)":"Mozilla%20(X11)","cs-uri-query":"limit=5&token=%20","x-edge-result-type":"Error","x-edge-request-id":"Gx7T0nVb2qk8Zc1yLw==","x-host-header":"[2001:db8::1]:443","cs-protocol":"https","time-taken":"0.187","x-forwarded-for":"203.0.113.9, ::1","ssl-protocol":"TLSv1.3","cs-protocol-version":"HTTP/2.0","time-to-first-byte":"0.171","timestamp(ms)":"1789380930482","cs-headers":"Host:a%0Atraceparent:00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01%0A","viewer-request-log-data":"rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;8;-;-"}"#;
    const DELIVERY: &str = r#"{"requestId":"r","timestamp":1789380994120,"records":[{"data":""},{"data":"eyJzYy1zdGF0dXMiOiIyMDAifXsic2Mtc3RhdHVzIjoiNDA0In0="}]}"#;
    let rule = PathRule { pattern: PathPattern::new("*"), trust: Trust::Continue, threshold: Some(Threshold::ALWAYS) };
    let settings = [Settings::default(), Settings { paths: vec![rule], ..Settings::default() }];
    let mut noise = Noise(3);
    let mut spans = 0;
    for round in 0..4000 {
        let mut bytes = [RECORD, RECORD].concat().into_bytes();
        noise.disturb(&mut bytes);
        let source = if round % 2 == 0 { Source::Standard } else { Source::RealTime };
        let mut encoder = Encoder::new(&settings[round % 2]);
        for record in read_json(&bytes, ReadOptions { source, percent_decode: round % 3 == 0 }).flatten() {
            _ = encoder.push(&record, None);
        }
        let batch = encoder.finish();
        examine(&batch);
        spans += batch.span_count();

        let mut bytes = DELIVERY.as_bytes().to_vec();
        noise.disturb(&mut bytes);
        if let Ok(delivery) = firehose::Request::parse(&bytes) {
            assert_eq!(delivery.records().count(), delivery.record_count());
        }
    }
    assert!(spans > 1000, "{spans}");
}

#[test]
fn noise() {
    let mut noise = Noise(4);
    for _ in 0..20_000 {
        let length = noise.below(64);
        let bytes: Vec<u8> = (0..length).map(|_| noise.next() as u8).collect();
        _ = read_request(&bytes, &Limits::default());
        _ = firehose::Request::parse(&bytes);
        _ = read_json(&bytes, ReadOptions::default()).count();
        if let Ok(validated) = validate(bytes.into(), &Limits::default()) {
            examine(&validated.batch);
        }
    }
}
