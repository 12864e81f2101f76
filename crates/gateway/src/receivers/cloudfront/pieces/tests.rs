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

#[test]
fn what_is_cut_off_or_too_long_is_an_error() {
    let packed = gzip("line\n".repeat(100).as_bytes());
    assert_eq!(read(&packed[..packed.len() - 4]).expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
    assert!(read(&[0x1f, 0x8b, 9, 9, 9]).is_err());
    let endless = read("x".repeat(5000).as_bytes()).expect_err("no line");
    assert_eq!(endless.to_string(), "a line has more than 1000 bytes");
    assert_eq!(read(b"").expect("nothing"), Vec::<String>::new());
}
