use super::*;

const OPTIONS: ReadOptions = ReadOptions { source: crate::cloudfront::Source::Standard, percent_decode: true };

/// The record by `serde_json` alone.
fn by_serde(text: &str) -> Option<(Record<'_>, usize)> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Members<'_>>();
    let Members(members) = stream.next()?.ok()?;
    let mut record = Record::default();
    for (name, value) in members {
        record.set(&name, value, OPTIONS);
    }
    Some((record, stream.byte_offset()))
}

fn values(record: &Record<'_>) -> String {
    format!("{record:?}").replace("Borrowed", "").replace("Owned", "")
}

#[test]
fn what_cloudfront_writes_is_read_in_one_pass() {
    let text = r#"{"cs(User-Agent)":"a%20b","sc-status":200,"time-taken":0.18,"c-ip":"-","unknown":"x"}rest"#;
    let mut names = Names::default();
    for round in 0..2 {
        let mut record = Record::default();
        let end = read_plain(text, 0, OPTIONS, &mut names, &mut record).expect("simple");
        assert_eq!(&text.as_bytes()[end..], b"rest", "{round}");
        assert_eq!(values(&record), values(&by_serde(text).expect("JSON").0), "{round}");
    }
}

#[test]
fn whatever_else_is_left_to_the_library() {
    let not_simple = [
        r#"{"a":"\n"}"#,
        r#"{"\u0061":"b"}"#,
        r#"{ "a":"b"}"#,
        r#"{"a": "b"}"#,
        r#"{"a":null}"#,
        r#"{"a":{}}"#,
        r#"{"a":-1}"#,
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{"a":1e3}"#,
        r#"{"a":"b",}"#,
        r#"{"a":"b""#,
        r#"{"a":"b"#,
        "{\"a\":\"\t\"}",
        "{}",
        "[1]",
        "",
    ];
    for text in not_simple {
        let read = read_plain(text, 0, OPTIONS, &mut Names::default(), &mut Record::default());
        assert_eq!(read, None, "{text}");
    }
}

proptest::proptest! {
    /// The fast way reads nothing that is no JSON, and never anything else than the library.
    #[test]
    fn both_ways_read_the_same(
        parts in proptest::collection::vec(
            proptest::sample::select(&[
                "{", "}", "\"", ":", ",", "\"sc-status\":\"200\"", "\"cs(Host)\":\"a%2Fb\"", "\"time-taken\":0.5", "\"c-ip\":", "\"-\"",
                "\\", "12", ".", "0", " ", "\n", "\u{e9}", "\u{1}", "null", "\"x\":\"", "\"cs-method\":\"GET\",", "%41",
            ][..]),
            0..12,
        ),
        cut in 0..30_usize,
    ) {
        let whole = format!("{{{}}}", parts.concat());
        let text: String = if cut < 20 { whole } else { whole.chars().skip(cut - 20).collect() };
        // Names from another record must not matter.
        let mut names = Names::default();
        let other = r#"{"sc-status":"200","cs-method":"GET","x":"y"}"#;
        read_plain(other, 0, OPTIONS, &mut names, &mut Record::default()).expect("simple");
        let mut record = Record::default();
        if let Some(end) = read_plain(&text, 0, OPTIONS, &mut names, &mut record) {
            let (expected, length) = by_serde(&text).expect("what is read is JSON");
            assert_eq!((values(&record), end), (values(&expected), length), "{text}");
        }
    }
}
