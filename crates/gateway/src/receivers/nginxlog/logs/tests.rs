use rootspan_wire::nginx::log::MAX_LINE_BYTES;

use super::*;
use crate::budget::{Budget, PaidBuffer};

/// A line whose span's id is its number.
fn line(number: u64) -> String {
    let (id, trace) = (format!("{number:016x}"), "4bf92f3577b34da6a3ce929d0e0e4736");
    format!(
        "{{\"request_id\":\"{id}a1a2a3a4a5a6a7a8\",\"traceparent\":\"00-{trace}-a1a2a3a4a5a6a7a8-01\",\"msec\":\"17.5\",\
         \"request_time\":\"0.1\",\"request_method\":\"GET\"}}\n"
    )
}

/// The ids of the spans, and what is bad.
fn check(text: &str, passed_over: bool, is_unfinished: bool) -> (Vec<String>, Vec<String>) {
    let mut bytes = PaidBuffer::with_capacity(&Budget::new(1 << 20), 0).expect("there is memory");
    bytes.append(text.as_bytes(), text.len()).expect("there is memory");
    let lines = text.lines().count() as u64 + u64::from(passed_over);
    let piece = Piece { bytes, lines, start: 0, end: text.len() as u64, passed_over, is_unfinished };
    let settings = Settings { service_name: "nginx".to_owned(), host_name: None };
    let (batch, tally) = read(&piece, &("access.log".to_owned(), 7), &settings);
    let ids = batch.spans().map(|item| item.span.span_id.to_string()).collect();
    (ids, tally.bad.iter().map(ToString::to_string).collect())
}

#[test]
fn bad_lines_are_told_with_their_number_and_the_rest_is_read() {
    let text = format!("{}\n127.0.0.1 - - GET /\n{}", line(1), line(2));
    let (ids, bad) = check(&text, true, false);
    assert_eq!(ids, ["0000000000000001", "0000000000000002"]);
    let [no_json, too_long] = &bad[..] else { panic!("{bad:?}") };
    assert!(no_json.starts_with("access.log:9: the line is no JSON object"), "{no_json}");
    assert_eq!(*too_long, format!("access.log:11: the line is longer than {MAX_LINE_BYTES} bytes"));
}

#[test]
fn a_line_that_will_never_end_is_a_bad_one_unless_only_its_end_is_missing() {
    let (ids, bad) = check(&format!("{}{{\"half", line(1)), false, true);
    assert_eq!((ids.len(), &bad[..]), (1, &["access.log:8: the line is not finished".to_owned()][..]));
    let (ids, bad) = check(line(1).trim_end(), false, true);
    assert_eq!((ids.len(), bad.len()), (1, 0));
}
