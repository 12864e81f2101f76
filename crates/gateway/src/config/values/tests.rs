use std::sync::Arc;

use super::*;
use crate::config::node::parse;

/// Decodes `text` as a `T` and prints the value or the problems.
fn decoded<T: Decode + fmt::Debug>(text: &str) -> String {
    let mut problems = Problems::default();
    let node = parse(&Arc::from("t"), text, &mut problems).expect("is YAML");
    match T::decode(&node, &mut problems) {
        Some(value) if problems.is_empty() => format!("{value:?}"),
        _ => problems.to_string(),
    }
}

#[test]
fn durations_are_gos() {
    for (text, expected) in [
        ("5s", "5s"),
        ("200ms", "200ms"),
        ("1h30m", "5400s"),
        ("1.5s", "1.5s"),
        ("0", "0ns"),
        ("72h", "259200s"),
        ("10µs", "10µs"),
    ] {
        assert_eq!(decoded::<Duration>(text), expected, "{text}");
    }
    for text in ["5", "s", "5 s", "-5s", "5days", "1e3s", "x", "99999999999999999999999h"] {
        let message = format!("t:1:1: expected a duration such as 500ms, 5s or 1h30m, found `{text}`");
        assert_eq!(decoded::<Duration>(text), message);
    }
}

#[test]
fn sizes_have_binary_and_decimal_units() {
    for (text, bytes) in
        [("0", 0_u64), ("10GiB", 10 << 30), ("512 KiB", 512 << 10), ("1.5MiB", 3 << 19), ("20MB", 20_000_000), ("7", 7)]
    {
        assert_eq!(decoded::<ByteSize>(text), format!("ByteSize({bytes})"), "{text}");
    }
    for text in ["GiB", "1 parsec", "-1", "99999999999999TiB"] {
        assert!(decoded::<ByteSize>(text).starts_with("t:1:1: expected a size such as"), "{text}");
    }
}

#[test]
fn endpoints_are_host_and_port() {
    for (text, expected) in
        [("localhost:4317", "localhost:4317"), ("0.0.0.0:1", "0.0.0.0:1"), (":9", ":9"), ("'[::1]:7'", "[::1]:7")]
    {
        let mut problems = Problems::default();
        let node = parse(&Arc::from("t"), text, &mut problems).expect("is YAML");
        assert_eq!(Endpoint::decode(&node, &mut problems).expect("decodes").to_string(), expected);
    }
    assert!(decoded::<Endpoint>("http://localhost:4318").ends_with("has no scheme; write host:port"));
    for text in ["localhost", "localhost:", "localhost:70000", "::1:99", "a/b:80"] {
        assert!(decoded::<Endpoint>(text).contains("expected an address such as"), "{text}");
    }
}

#[test]
fn secrets_do_not_show_and_are_not_empty() {
    assert_eq!(decoded::<Secret>("hunter2"), "[REDACTED]");
    assert_eq!(decoded::<Secret>("''"), "t:1:1: a secret must not be empty");
}

#[test]
fn lists_report_every_bad_item() {
    assert_eq!(decoded::<Vec<u16>>("[1, x, 3, 70000]").lines().count(), 2);
    assert_eq!(decoded::<Vec<u16>>("7"), "[7]");
    assert_eq!(decoded::<Vec<String>>("{a: b}"), "t:1:1: expected a list, found a map");
}
