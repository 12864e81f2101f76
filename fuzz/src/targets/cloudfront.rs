//! CloudFront's logs in every form, and Firehose's deliveries of them.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use rootspan_model::sampling::Threshold;
use rootspan_wire::cloudfront::conversion::{AuthoritativeSource, Converter};
use rootspan_wire::cloudfront::observation::read;
use rootspan_wire::cloudfront::rules::{PathPattern, PathRule, Trust};
use rootspan_wire::cloudfront::span::{Encoder, Settings};
use rootspan_wire::cloudfront::{Columns, Found, Reader};
use rootspan_wire::firehose::Request;
use rootspan_wire::otlp::json::read_request;
use rootspan_wire::otlp::validate::{Limits, validate};

use super::testdata;
use crate::Target;

pub(super) const RECORDS: Target = Target {
    name: "cloudfront",
    about: "CloudFront's records of all forms, envelopes, payloads of the edge function, and the spans made of them",
    corpus: || {
        let names =
            ["standard-v1.log", "standard-v2.jsonl", "real-time.tsv", "cloudwatch.jsonl", "firehose-real-time.json"];
        names.iter().map(|name| testdata(&format!("cloudfront/{name}"))).collect()
    },
    dictionary: &[
        b"#Fields: ",
        b"#Version: 1.0\n",
        b"\t",
        b"\n",
        b"%00",
        b"%25",
        b"%",
        b"-",
        b"{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{\"message\":\"",
        b"\"x-edge-request-id\":\"",
        b"\"timestamp(ms)\":\"",
        b"rs1;00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03;-;1789380930295;8;-;-",
        b"traceparent:",
        b"\x1f\x8b\x08",
        b"\"resourceSpans\"",
    ],
    usual_inputs: 3_600,
    body: records,
};

pub(super) const FIREHOSE: Target = Target {
    name: "firehose",
    about: "Firehose's deliveries",
    corpus: || {
        let names = ["firehose-cloudwatch.json", "firehose-real-time.json"];
        let mut corpus: Vec<_> = names.iter().map(|name| testdata(&format!("cloudfront/{name}"))).collect();
        corpus.push(br#"{"requestId":"r","timestamp":1789380994120,"records":[{"data":""},{"data":"eyJ9"}]}"#.to_vec());
        corpus
    },
    dictionary: &[
        b"\"records\":[",
        b"{\"data\":\"",
        b"\"requestId\":\"",
        b"\"timestamp\":",
        b"====",
        b"null",
        b"\\u0000",
    ],
    usual_inputs: 12_000,
    body: |input| {
        if let Ok(delivery) = Request::parse(input) {
            assert_eq!(delivery.records().count(), delivery.record_count());
            let found: Vec<_> = delivery.records().flatten().collect();
            found.iter().take(3).for_each(|record| records(record));
        }
    },
};

/// Readers and settings: nothing said, and everything.
static WAYS: LazyLock<[(Reader, Settings); 2]> = LazyLock::new(|| {
    let fields = String::from_utf8(testdata("cloudfront/real-time-fields.txt")).expect("it is text");
    let columns = Columns::new(fields.split([',', '\n', ' ', '\t']).filter(|name| !name.is_empty()));
    let reader = Reader { line_fields: columns.ok(), percent_decode_json: true };
    let rule = PathRule { pattern: PathPattern::new("*"), trust: Trust::Continue, threshold: Some(Threshold::ALWAYS) };
    let settings = Settings { paths: vec![rule], ..Settings::default() };
    [(Reader::default(), Settings::default()), (reader, settings)]
});

/// What is counted of records gives back as many as it took, and bytes that are something else are refused.
fn observations(reader: &Reader, settings: &Settings, input: &[u8]) {
    let converter = Converter::new(reader.clone(), settings.clone(), AuthoritativeSource::AccessLog, true);
    let mut conversion = converter.begin();
    let mut sink = |_| ControlFlow::Continue(());
    assert!(conversion.read(input, &mut sink).is_continue());
    let observations = conversion.take_observations();
    let mut count = 0;
    read(observations.bytes(), &mut |_| count += 1).expect("our own observations are sound");
    assert_eq!(count, observations.count());
    // The first byte is the version; the rest is anything.
    let _refused_or_not = read(&[&[1], input].concat(), &mut |_| {});
}

fn records(input: &[u8]) {
    for (reader, settings) in WAYS.iter() {
        let mut encoder = Encoder::new(settings);
        let mut otlp = Vec::new();
        reader.read(input, &mut |found| match found {
            Found::Record(record) => drop(encoder.push(record, None)),
            Found::Otlp(text) => otlp.push(text.to_owned()),
            Found::Payload { .. } | Found::Gzip(_) | Found::Nothing | Found::Invalid(_) => {}
        });
        observations(reader, settings, input);
        let batch = encoder.finish();
        let again = validate(batch.bytes().clone(), &Limits::default()).expect("our own spans are sound");
        assert_eq!((again.rejected.items, again.batch.span_count()), (0, batch.span_count()));
        for text in otlp {
            drop(read_request(text.as_bytes(), &Limits::default()));
        }
    }
}
