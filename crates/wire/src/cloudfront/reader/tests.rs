//! Every form in which a record can arrive, with the payloads of `testdata/cloudfront/`.

use std::fmt::Write;

use expect_test::{Expect, expect};
use proptest::strategy::Strategy as _;

use super::*;
use crate::cloudfront::span::{Encoder, Settings};
use crate::cloudfront::{Field, InvalidColumns, Source};
use crate::firehose;

const REAL_TIME: &str = include_str!("../../../../../testdata/cloudfront/real-time.tsv");
const REAL_TIME_FIELDS: &str = include_str!("../../../../../testdata/cloudfront/real-time-fields.txt");
const STANDARD_V1: &str = include_str!("../../../../../testdata/cloudfront/standard-v1.log");
const STANDARD_V2: &str = include_str!("../../../../../testdata/cloudfront/standard-v2.jsonl");
const CLOUDWATCH: &str = include_str!("../../../../../testdata/cloudfront/cloudwatch.jsonl");
const FIREHOSE_CLOUDWATCH: &str = include_str!("../../../../../testdata/cloudfront/firehose-cloudwatch.json");
const FIREHOSE_REAL_TIME: &str = include_str!("../../../../../testdata/cloudfront/firehose-real-time.json");

fn with_real_time() -> Reader {
    let columns = Columns::new(REAL_TIME_FIELDS.lines()).expect("a list of fields");
    Reader { line_fields: Some(columns), percent_decode_json: false }
}

fn print(reader: &Reader, data: &[u8]) -> String {
    let mut text = String::new();
    reader.read(data, &mut |found| {
        match found {
            Found::Record(record) => {
                let get = |field| record.get(field).unwrap_or("-");
                let (method, host, path) = (get(Field::Method), get(Field::ViewerHost), get(Field::UriStem));
                let settings = Settings::default();
                let mut encoder = Encoder::new(&settings);
                let outcome = encoder.push(record, None);
                let batch = encoder.finish();
                let span = batch.spans().next().map(|found| {
                    let (id, start) = (found.span.span_id, found.span.start.0 / 1_000_000);
                    format!("{id} {start}+{}", found.span.duration_nanos() / 1_000_000)
                });
                let span = span.unwrap_or_else(|| format!("{outcome:?}"));
                writeln!(text, "{method} {host} {path} {}: {span}", get(Field::Status))
            }
            Found::Payload { request_id, payload } => {
                let begin: String = request_id.chars().take(4).collect();
                writeln!(text, "payload of {begin}: {payload}")
            }
            Found::Otlp(json) => writeln!(text, "otlp {json}"),
            Found::Gzip(data) => writeln!(text, "gzip {}", data.len()),
            Found::Nothing => writeln!(text, "nothing"),
            Found::Invalid(InvalidRecord(problem)) => writeln!(text, "invalid: {problem}"),
        }
        .expect("memory");
    });
    text
}

fn check(reader: &Reader, data: &str, expected: &Expect) {
    expected.assert_eq(&print(reader, data.as_bytes()));
}

/// Hosts are the other way round than in standard logs, and the path has the query.
#[test]
fn real_time_lines() {
    check(
        &with_real_time(),
        REAL_TIME,
        &expect![[r#"
        GET shop.example.com /api/items?limit=5 200: 2184743dd888b4f1 1789380930295+187
        GET shop.example.com /static/app.js?v= 304: da08d97fc5319e76 1789380931102+2
        POST shop.example.com /api/checkout 504: 94f658474614718b 1789380911402+30002
    "#]],
    );
}

#[test]
fn a_real_time_line_by_firehose() {
    let delivery = firehose::Request::parse(FIREHOSE_REAL_TIME.as_bytes()).expect("a delivery");
    let text: String = delivery.records().map(|data| print(&with_real_time(), &data.expect("base64"))).collect();
    expect![[r#"
        GET shop.example.com /static/app.js?v= 304: da08d97fc5319e76 1789380931102+2
    "#]]
    .assert_eq(&text);
}

/// The member is recognised wherever it comes, and what is in it is read like any delivery.
#[test]
fn a_packed_envelope_by_firehose_is_handed_back() {
    let delivery = firehose::Request::parse(FIREHOSE_CLOUDWATCH.as_bytes()).expect("a delivery");
    let data = delivery.records().next().expect("one").expect("base64");
    assert_eq!(print(&Reader::default(), &data), format!("gzip {}\n", data.len()));
}

/// Whole seconds, the path percent-encoded once more, and a viewer who left before there was a status.
#[test]
fn standard_log_of_version_1() {
    check(
        &Reader::default(),
        STANDARD_V1,
        &expect![[r#"
        GET shop.example.com /api/items 200: 2184743dd888b4f1 1789380929813+187
        POST shop.example.com /api/checkout 504: 94f658474614718b 1789380910998+30002
        GET shop.example.com /media/clip%20one.mp4 000: c4e780614a8a04cf 1789380951060+940
    "#]],
    );
}

#[test]
fn standard_log_of_version_2() {
    check(
        &Reader::default(),
        STANDARD_V2,
        &expect![[r#"
        GET shop.example.com /api/items 200: 2184743dd888b4f1 1789380930295+187
        POST shop.example.com /api/checkout 504: 94f658474614718b 1789380911402+30002
        GET shop.example.com /media/clip%2520one.mp4 000: c4e780614a8a04cf 1789380951070+940
    "#]],
    );
}

/// A function's console, access logs, Lambda@Edge, and a control message.
#[test]
fn cloudwatch_envelopes_one_after_the_other() {
    check(
        &Reader::default(),
        CLOUDWATCH,
        &expect![[r#"
        nothing
        payload of Gx7T: rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;0;-;-
        nothing
        GET shop.example.com /api/items 200: 2184743dd888b4f1 1789380930295+187
        POST shop.example.com /api/checkout 504: 94f658474614718b 1789380911402+30002
        nothing
        nothing
    "#]],
    );
    assert_eq!(
        print(&Reader::default(), CLOUDWATCH.replace("}\n{", "}{").as_bytes()),
        print(&Reader::default(), CLOUDWATCH.as_bytes())
    );
}

/// The header says what a line is, whatever its order and whatever is configured for lines without one.
#[test]
fn the_header_decides() {
    let log = "#Version: 1.0\r\n#Fields: sc-status cs-method x-new-field time-taken timestamp(ms) x-edge-request-id x-host-header cs-uri-stem\r\n200\tGET\tx\t0.001\t1789380930482\tA\tshop\t/a%2520b\t\t\r\n404\tPUT\t-\t0.001\t1789380930482\tB\tshop\t/\r\n1\t2\r\n#Fields: cs-method sc-status timestamp(ms) x-edge-request-id\nGET\t500\t1789380930482\tC\n#Fields: nonsense\nGET\t500\n";
    check(
        &with_real_time(),
        log,
        &expect![[r#"
        GET shop /a%20b 200: d49572e84fe55590 1789380930481+1
        PUT shop / 404: febc4be81470df62 1789380930481+1
        invalid: the line has 2 values, the list of fields 8 names
        GET - - 500: 5deb11277d91ae09 1789380930482+0
        invalid: none of the names is a field of CloudFront's logs that something is made of
        invalid: lines without a #Fields header need a list of fields
    "#]],
    );
}

/// Columns that shifted without the configuration knowing would give wrong spans.
#[test]
fn a_line_with_other_fields_is_no_record() {
    let (line, _) = REAL_TIME.split_once('\n').expect("lines");
    check(
        &with_real_time(),
        &format!("{line}\tnew\n{line}\t\n\n{line}"),
        &expect![[r#"
        invalid: the line has 31 values, the list of fields 30 names
        GET shop.example.com /api/items?limit=5 200: 2184743dd888b4f1 1789380930295+187
        GET shop.example.com /api/items?limit=5 200: 2184743dd888b4f1 1789380930295+187
    "#]],
    );
    check(
        &Reader::default(),
        line,
        &expect![[r#"
        invalid: lines without a #Fields header need a list of fields
    "#]],
    );
    assert_eq!(print(&with_real_time(), b"\xff\tx\n"), "invalid: the line is not UTF-8\n");
}

#[test]
fn lists_of_fields() {
    let columns = |names: &[&str]| Columns::new(names).map(|columns| columns.source());
    assert_eq!(columns(&["timestamp", "cs-host"]), Ok(Source::RealTime));
    assert_eq!(columns(&["timestamp(ms)", "x-host-header"]), Ok(Source::Standard));
    assert_eq!(columns(&["date", "time", "x-host-header"]), Ok(Source::Standard));
    assert_eq!(columns(&[]), Err(InvalidColumns::Count(0)));
    assert_eq!(columns(&["timestamp"; 129]), Err(InvalidColumns::Count(129)));
    assert_eq!(columns(&["timestamp", "c-ip", "timestamp"]), Err(InvalidColumns::Twice("timestamp".into())));
    // Every field of a real-time log at once: the distribution's domain is there under two names.
    assert!(columns(&["timestamp", "x-host-header", "primary-distribution-dns-name"]).is_ok());
    assert_eq!(columns(&["a", "b"]), Err(InvalidColumns::Unknown));
}

/// `<request id> <start> <end> <b3>`: AWS's published sample logs that, and its filter extracts the parts.
#[test]
fn lines_of_awss_sample() {
    let line = "Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg== 1789380930295000000 1789380930482000000 09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-1";
    let message = |message: &str, extracted: &str| {
        format!(
            r#"{{"messageType":"DATA_MESSAGE","logEvents":[{{"id":"1","timestamp":1,"message":"{message}"{extracted}}}]}}"#
        )
    };
    let extracted = r#","extractedFields":{"request_id":"Gx7T","start_time":"1789380930295000000","end_time":"1789380930482000000","b3":"09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-1","@account":7}"#;
    let forms = [
        format!("{line}\n"),
        message(&format!("{line}\\n"), ""),
        message("anything", extracted),
        message(line, r#","extractedFields":null"#),
    ];
    for form in &forms {
        check(
            &Reader::default(),
            form,
            &expect![[r#"
            - - - -: 2184743dd888b4f1 1789380930295+187
        "#]],
        );
    }
    for wrong in [
        line.replace("-1", "-2"),
        line.replace("09d6", "09D6"),
        line.replace("1789380930295000000", "1789380930295"),
        format!("{line} more"),
    ] {
        check(&Reader::default(), &message(&wrong, ""), &expect![["nothing\n"]]);
    }
    let unsampled = line.replace("b4f1-1", "b4f1-0");
    check(&Reader::default(), &unsampled, &expect![["- - - -: SampledOut\n"]]);
}

/// Log mode of Lambda@Edge, as CloudWatch wraps it and as Firehose hands on extracted messages.
#[test]
fn spans_that_a_function_logged() {
    let line = "2026-09-14T10:15:30.333Z\t5f2b9c1e\tINFO\t{\"resourceSpans\":[]}\n";
    let lines = format!(
        "INIT_START Runtime Version: nodejs:22\nSTART RequestId: 5f2b9c1e Version: 3\n2026-09-14T10:15:30.333Z\t5f2b9c1e\tINFO\tGx7T0nVb== rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;8;-;-\n{line}END RequestId: 5f2b9c1e\nREPORT RequestId: 5f2b9c1e\n"
    );
    check(
        &with_real_time(),
        &lines,
        &expect![[r#"
        nothing
        nothing
        payload of Gx7T: rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;8;-;-
        otlp {"resourceSpans":[]}
        nothing
        nothing
    "#]],
    );
    check(&Reader::default(), "{\"resourceSpans\":[]}", &expect![["otlp {\"resourceSpans\":[]}\n"]]);
}

#[test]
fn broken_deliveries_lose_only_what_is_broken() {
    let envelope = r#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":7},{"message":"hello"},{"message":"{\"sc-status\":\"200\"}"}]}"#;
    let data = format!("{envelope}\n{{\"messageType\":\n{{\"sc-status\":404,\"messageType\":\"x\"}}{envelope}[1]");
    check(
        &Reader::default(),
        &data,
        &expect![[r#"
        invalid: invalid type: integer `7`, expected a string at line 1 column 12
        nothing
        - - - 200: Unplaced(NoRequestId)
        invalid: expected `,` or `}` at line 2 column 36
        invalid: invalid type: integer `7`, expected a string at line 1 column 12
        nothing
        - - - 200: Unplaced(NoRequestId)
        invalid: invalid type: sequence, expected an object at line 1 column 0
    "#]],
    );
    assert_eq!(print(&Reader::default(), b""), "");
    assert_eq!(print(&Reader::default(), b" \n"), "");
    assert_eq!(print(&Reader::default(), b"\x1f\x8b\x08\x00"), "gzip 4\n");
}

/// Several names for one thing, several forms of one request: all give the same span ids.
#[test]
fn one_request_has_one_span_in_every_form() {
    let id = "Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==";
    for data in [REAL_TIME, STANDARD_V1, STANDARD_V2, CLOUDWATCH] {
        let mut spans = Vec::new();
        with_real_time().read(data.as_bytes(), &mut |found| {
            let Found::Record(record) = found else { return };
            if record.get(Field::RequestId) == Some(id) {
                let settings = Settings::default();
                let mut encoder = Encoder::new(&settings);
                encoder.push(record, None);
                let batch = encoder.finish();
                let span = batch.span(0).span;
                spans.push((span.trace_id.to_string(), span.span_id.to_string(), span.name.to_owned()));
            }
        });
        let (trace_id, span_id) = ("09d64ae8d7628a6968e3f996796f3f63", "2184743dd888b4f1");
        assert_eq!(spans.len(), 1);
        assert_eq!((spans[0].0.as_str(), spans[0].1.as_str()), (trace_id, span_id));
    }
}

proptest::proptest! {
    /// Deliveries come from outside: pieces of real ones in any order, cut anywhere, with any bytes between.
    #[test]
    fn any_delivery_is_handled(
        pieces in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..40),
                (0..5_usize, 0..3000_usize, 0..400_usize).prop_map(|(text, begin, length)| {
                    let text = [REAL_TIME, STANDARD_V1, STANDARD_V2, CLOUDWATCH, "#Fields: sc-status date\n"][text].as_bytes();
                    text.iter().skip(begin % text.len()).take(length).copied().collect()
                }),
            ],
            0..8,
        ),
    ) {
        let data = pieces.concat();
        print(&with_real_time(), &data);
        print(&Reader::default(), &data);
    }
}

#[test]
fn a_log_is_read_piece_by_piece() {
    let reader = Reader::default();
    let mut session = reader.session();
    let mut paths = Vec::new();
    let pieces = [
        "#Version: 1.0\n#Fields: date time cs-uri-stem x-edge-request-id\n",
        "2026-09-14\t10:15:30\t/a\tid1\n",
        "2026-09-14\t10:15:31\t/{b\tid2\n",
    ];
    for piece in pieces {
        session.read(piece.as_bytes(), &mut |found| match found {
            Found::Record(record) => paths.push(record.get(Field::UriStem).map(str::to_owned)),
            other => panic!("not a record: {other:?}"),
        });
    }
    assert_eq!(paths, [Some("/a".to_owned()), Some("/{b".to_owned())]);
}

#[test]
fn a_header_holds_for_what_follows_and_whole_values_are_found() {
    assert_eq!(last_header(b"#Version: 1.0\n#Fields: a b\r\n1\t2\n"), Some("#Fields: a b"));
    assert_eq!(last_header(b"#Fields: a\n1\n#Fields: b\n2\n"), Some("#Fields: b"));
    assert_eq!(last_header(b"1\tin a value #Fields: c\n"), None);
    for (text, whole) in [("{\"a\":1}{\"b\":\"}\"}{\"c\"", 16), ("{\"a\"", 0), ("a{}", 0), ("", 0), (" {} ", 3)] {
        assert_eq!(whole_values(text.as_bytes()), whole, "{text}");
    }
}

#[test]
fn a_line_too_long_to_be_held_is_a_bad_record_in_every_form() {
    for begin in ["#Fields: date time x-edge-request-id\n", "{\"cs-method\":\"GET\"}\n", ""] {
        let reader = Reader::default();
        let mut session = reader.session();
        session.read(begin.as_bytes(), &mut |_| {});
        let mut problems = Vec::new();
        session.read(LONG_LINE, &mut |found| {
            if let Found::Invalid(InvalidRecord(problem)) = found {
                problems.push(problem);
            }
        });
        assert_eq!(problems, ["the line is too long"], "{begin}");
    }
}
