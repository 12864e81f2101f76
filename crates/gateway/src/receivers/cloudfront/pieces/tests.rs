use std::io::Write as _;

use super::*;

const LIMITS: PieceLimits = PieceLimits { piece_bytes: 100, max_value_bytes: 1000 };

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn read(bytes: &[u8]) -> io::Result<Vec<String>> {
    let mut pieces = Pieces::new(unpack(bytes)?, LIMITS);
    let mut found = Vec::new();
    while let Some(piece) = pieces.next(|piece| String::from_utf8_lossy(piece).into_owned())? {
        found.push(piece);
    }
    Ok(found)
}

#[test]
fn pieces_are_short_and_end_with_lines_or_values() {
    let line = "x".repeat(30) + "\n";
    let value = format!("{{\"a\":\"{}\"}}", "}{".repeat(10));
    for (one, many) in [(&line, line.repeat(50)), (&value, value.repeat(50))] {
        for bytes in [many.as_bytes().to_vec(), gzip(many.as_bytes()), gzip(&gzip(many.as_bytes()))] {
            let pieces = read(&bytes).expect("readable");
            assert_eq!(pieces.concat(), many);
            assert!(pieces.len() > 5, "not all at once");
            assert!(pieces.iter().all(|piece| piece.len() <= 200 && piece.len() % one.len() == 0), "{pieces:?}");
        }
    }
}

#[test]
fn joined_members_are_one_file() {
    let joined = [gzip(b"a\nb"), gzip(b"c\nd")].concat();
    assert_eq!(read(&joined).expect("readable").concat(), "a\nbc\nd");
}

/// All pieces until the end or an error, and how it ended.
fn read_up_to(bytes: &[u8]) -> (Vec<String>, io::Result<()>) {
    let input = match unpack(bytes) {
        Ok(input) => input,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut pieces = Pieces::new(input, LIMITS);
    let mut found = Vec::new();
    loop {
        match pieces.next(|piece| found.push(String::from_utf8_lossy(piece).into_owned())) {
            Ok(Some(())) => {}
            Ok(None) => return (found, Ok(())),
            Err(error) => {
                assert!(pieces.next(|_| ()).expect("an error is said once").is_none());
                return (found, Err(error));
            }
        }
    }
}

#[test]
fn what_is_cut_off_is_given_out_up_to_there() {
    let lines: String = (0..10_000).map(|number| format!("line {number}\n")).collect();
    let packed = gzip(lines.as_bytes());
    // Only the checksum is missing: all lines are there.
    let (found, ended) = read_up_to(&packed[..packed.len() - 4]);
    assert_eq!(ended.expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(found.concat().lines().count(), 10_000);
    // In the middle: whole lines only, and most of the half.
    let (found, ended) = read_up_to(&packed[..packed.len() / 2]);
    assert_eq!(ended.expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
    let text = found.concat();
    assert!(lines.starts_with(&text) && text.ends_with('\n'));
    assert!(text.lines().count() > 3_000, "{}", text.lines().count());
    // Values without lines, fewer than a piece has.
    let values = gzip(br#"{"a":1}{"a":2}{"a":"#);
    let (found, ended) = read_up_to(&values[..values.len() - 4]);
    assert_eq!(found, [r#"{"a":1}{"a":2}"#]);
    assert!(ended.is_err());
    let (found, ended) = read_up_to(&[0x1f, 0x8b, 9, 9, 9]);
    assert!(found.is_empty() && ended.is_err());
    assert_eq!(read(b"").expect("nothing"), Vec::<String>::new());
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let long = "x".repeat(5000);
    let mark = String::from_utf8_lossy(LONG_LINE).into_owned();
    let before = "before\n".repeat(50);
    for (end, after) in [("\n", "after\nend"), ("", "")] {
        let found = read(format!("{before}{long}{end}{after}").as_bytes()).expect("readable");
        assert_eq!(found.concat(), format!("{before}{mark}{after}"));
        assert!(found.contains(&mark), "it stands alone");
    }
    // What is cut off within it.
    let packed = gzip(format!("{before}{long}\n").as_bytes());
    let (found, ended) = read_up_to(&packed[..packed.len() - 10]);
    assert!(found.concat().starts_with(&before) && ended.is_err());
}
