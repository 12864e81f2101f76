//! gzip for answers, when the client takes it and it pays.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use libdeflater::{CompressionLvl, Compressor};

/// Fast: answers are made once and read once, mostly on the same machine or in the same network.
const LEVEL_ANSWERS: i32 = 1;

/// For what is compressed once and served for ever.
const LEVEL_ASSETS: i32 = 9;

/// Whether the client takes gzip (RFC 9110 section 12.5.3).
#[must_use]
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for coding in codings.flat_map(|value| value.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        if name.trim().eq_ignore_ascii_case("gzip") {
            let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
            return weight.is_none_or(|weight| weight > 0.0);
        }
    }
    false
}

/// The bytes of an answer as one gzip member, or `None` if that is not shorter.
#[must_use]
pub(crate) fn gzip_answer(bytes: &[u8]) -> Option<Vec<u8>> {
    gzip(bytes, LEVEL_ANSWERS)
}

/// The same for what is embedded.
#[must_use]
pub(crate) fn gzip_asset(bytes: &[u8]) -> Option<Vec<u8>> {
    gzip(bytes, LEVEL_ASSETS)
}

fn gzip(bytes: &[u8], level: i32) -> Option<Vec<u8>> {
    let level = CompressionLvl::new(level).unwrap_or_default();
    // An output that would not be shorter does not fit and is not wanted.
    let mut out = vec![0; bytes.len()];
    let length = Compressor::new(level).gzip_compress(bytes, &mut out).ok()?;
    out.truncate(length);
    Some(out)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{accepts_gzip, gzip_answer};

    #[test]
    fn the_accept_encoding_header_decides() {
        for (value, accepted) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("deflate, gzip ; q=1.0, *;q=0", true),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("br", false),
            ("x-gzipped", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("accept-encoding", HeaderValue::from_static(value));
            assert_eq!(accepts_gzip(&headers), accepted, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn only_shorter_is_kept() {
        let text = b"spans ".repeat(2000);
        let packed = gzip_answer(&text).expect("repetition compresses");
        let mut plain = vec![0; text.len()];
        let length = libdeflater::Decompressor::new().gzip_decompress(&packed, &mut plain).expect("our own gzip");
        assert_eq!(&plain[..length], text);
        assert_eq!(gzip_answer(b"x"), None);
    }
}
