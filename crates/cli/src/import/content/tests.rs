use std::io::Write as _;
use std::ops::ControlFlow;

use flate2::Compression;
use flate2::write::GzEncoder;
use rootspan_wire::cloudfront::Reader;
use rootspan_wire::cloudfront::conversion::AuthoritativeSource;
use rootspan_wire::cloudfront::span::Settings;

use super::*;

/// Spans and what was not understood.
fn read(bytes: &[u8]) -> anyhow::Result<(usize, u64, Option<String>)> {
    let converter = Converter::new(Reader::default(), Settings::default(), AuthoritativeSource::AccessLog, false);
    let mut spans = 0;
    let mut counted = 0;
    let mut take = |batch: rootspan_wire::otlp::batch::TraceBatch| {
        spans += batch.span_count();
        ControlFlow::Continue(())
    };
    let mut count = |observations: Observations| {
        counted += observations.count();
        ControlFlow::Continue(())
    };
    let outcome = open(bytes)?.read(&converter, &mut take, &mut count);
    if let Some(error) = outcome.broken {
        return Err(error.context(format!("{spans} spans")));
    }
    assert_eq!(counted, outcome.tally.of(What::DerivedIds), "every record is counted, and nothing else");
    Ok((spans, outcome.tally.of(What::Bad), outcome.first_problem))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn json_record(number: usize) -> String {
    format!(
        r#"{{"timestamp(ms)":"1789380930482","x-edge-request-id":"id{number}","cs-method":"GET","sc-status":"200","cs-uri-stem":"/a}}{{b"}}"#
    )
}

const OTLP: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","name":"a"}]}]}]}"#;

#[test]
fn logs_are_read_whatever_separates_the_records() {
    let records: Vec<String> = (0..30_000).map(json_record).collect();
    for separator in ["\n", "", " "] {
        let text = records.join(separator);
        assert_eq!(read(text.as_bytes()).expect("readable"), (30_000, 0, None), "{separator:?}");
        assert_eq!(read(&gzip(text.as_bytes())).expect("readable"), (30_000, 0, None), "{separator:?}, packed");
    }
}

#[test]
fn standard_logs_of_version_1_have_one_header() {
    let mut text = "#Version: 1.0\n#Fields: date time cs-method cs-uri-stem sc-status x-edge-request-id\n".to_owned();
    for number in 0..40_000 {
        text += &format!("2026-09-14\t10:15:30\tGET\t/items/{number}\t200\tid{number}\n");
    }
    text += "broken\n";
    let (spans, bad, problem) = read(&gzip(text.as_bytes())).expect("readable");
    assert_eq!((spans, bad), (40_000, 1));
    assert!(problem.is_some_and(|problem| problem.contains("1 values")));
}

#[test]
fn otlp_in_every_form() {
    let pretty = OTLP.replace("[{", "[\n{\n");
    for (text, spans) in [
        (OTLP.to_owned(), 1),
        (format!("{OTLP}\n{OTLP}\n\n"), 2),
        (pretty.clone(), 1),
        (format!("{pretty}\n{OTLP}"), 2),
    ] {
        assert_eq!(read(text.as_bytes()).expect("readable"), (spans, 0, None), "{text}");
    }
    let request = read_request(OTLP.as_bytes(), &Limits::default()).expect("valid").batch.bytes().clone();
    assert_eq!(read(&request).expect("readable"), (1, 0, None));
    let frame = [&(request.len() as u32).to_be_bytes()[..], &request].concat();
    assert_eq!(read(&frame.repeat(3)).expect("readable"), (3, 0, None));
    assert_eq!(read(&zstd::encode_all(&frame[..], 1).expect("memory")).expect("readable"), (1, 0, None));
}

#[test]
fn what_is_cut_off_is_said() {
    assert_eq!(read(&OTLP.as_bytes()[..80]).expect("readable").2.as_deref(), Some("a JSON value is not complete"));
    let packed = gzip(OTLP.as_bytes());
    assert!(read(&packed[..packed.len() - 9]).is_err());
    assert!(read(&[0, 0, 0, 9, 1]).is_err());
    assert_eq!(read(b"").expect("nothing"), (0, 0, None));
}

#[test]
fn what_is_broken_costs_nothing_around_it() {
    let (open, _) = OTLP.split_at(40);
    for (text, spans, bad) in [
        (format!("{OTLP}\n{open}\n{OTLP}\n{OTLP}\n"), 3, 1),
        (format!("{OTLP}\n{open}\n"), 1, 1),
        (format!("{OTLP}\n\"\n}}\n{OTLP}"), 2, 2),
    ] {
        let (found, not_understood, _) = read(text.as_bytes()).expect("readable");
        assert_eq!((found, not_understood), (spans, bad), "{text}");
    }
    let request = read_request(OTLP.as_bytes(), &Limits::default()).expect("valid").batch.bytes().clone();
    let frame = [&(request.len() as u32).to_be_bytes()[..], &request].concat();
    for (rest, expected) in [(&[0, 0, 0, 0, 1, 2][..], "a request of 0 bytes"), (&frame[..9], "not complete")] {
        let error = format!("{:#}", read(&[&frame, rest].concat()).expect_err("damaged"));
        assert!(error.starts_with("1 spans") && error.contains(expected), "{error}");
    }
    assert!(read(&[0; 5000]).is_err(), "zeros are no requests");
}

#[test]
fn a_log_may_have_any_bytes_in_its_values() {
    let records: Vec<String> = (0..50).map(json_record).collect();
    let hostile = records.join("\n").replace("/a}{b", "/\u{1b}[31m\u{0}\u{7}");
    let (spans, bad, _) = read(hostile.as_bytes()).expect("a log");
    assert_eq!(spans as u64 + bad, 50);
    let begins_with_a_line = format!("\n{}", records.join("\n"));
    assert_eq!(read(begins_with_a_line.as_bytes()).expect("a log").0, 50);
    let random: Vec<u8> = (0..5000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
    assert!(read(&random).is_err_and(|error| error.to_string().contains("neither text")));
}

#[test]
fn what_is_not_read_is_named() {
    for (bytes, expected) in
        [(&b"[{\"traceId\":\"1\"}]"[..], "Zipkin"), (b"PAR1\0\0", "Parquet"), (b"\x7fELF\x01", "neither text nor OTLP")]
    {
        let error = format!("{:#}", read(bytes).expect_err("refused"));
        assert!(error.contains(expected), "{error}");
    }
    let (_, bad, problem) = read(b"1789380930.482\t198.51.100.11\t200\n").expect("readable");
    assert_eq!(bad, 1);
    assert!(problem.is_some_and(|problem| problem.contains("--real-time-fields")));
}
