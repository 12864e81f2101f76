use std::sync::Arc;

use super::*;
use crate::budget::Budget;
use crate::net::decompress::{Algorithms, Compression, decompress};

const ALL: [Encoding; 7] = [
    Encoding::Gzip,
    Encoding::Zstd,
    Encoding::Zlib,
    Encoding::Deflate,
    Encoding::Snappy,
    Encoding::SnappyFramed,
    Encoding::Lz4,
];

/// What a receiver makes of what an exporter sends.
fn check_round_trip(coding: Coding, data: &[u8]) {
    let sent = compress_now(coding, data).expect("compresses");
    let name = coding.encoding.name().unwrap_or_default().as_bytes();
    let compression =
        if coding.is_grpc { Compression::of_grpc(name) } else { Compression::of_http(name, &Algorithms::all()) };
    let compression = compression.expect("the receiver knows it").expect("it is compressed");
    let budget: Arc<Budget> = Budget::new(64 << 20);
    let received = decompress(compression, &sent, data.len(), &budget);
    assert_eq!(received.map(|buffer| buffer.as_ref().to_vec()), Ok(data.to_vec()), "{coding:?}");
}

#[test]
fn what_exporters_compress_receivers_read() {
    let mixed: Vec<u8> =
        (0..300_000_u32).map(|i| if i % 7 < 4 { 7 } else { (i.wrapping_mul(2_654_435_761) >> 24) as u8 }).collect();
    for length in [0, 1, 1000, 65_536, 300_000] {
        for encoding in ALL {
            check_round_trip(Coding { encoding, level: None, is_grpc: false }, &mixed[..length]);
        }
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Snappy] {
            check_round_trip(Coding { encoding, level: None, is_grpc: true }, &mixed[..length]);
        }
    }
}

#[test]
fn a_level_changes_the_length() {
    let data: Vec<u8> = (0..200_000_u32).map(|i| (i / 3 % 251) as u8 ^ (i / 1000) as u8).collect();
    for (encoding, fast, slow) in [(Encoding::Gzip, 1, 9), (Encoding::Zlib, 1, 9), (Encoding::Zstd, 1, 19)] {
        let length = |level| {
            let coding = Coding { encoding, level: Some(level), is_grpc: false };
            check_round_trip(coding, &data);
            compress_now(coding, &data).expect("compresses").len()
        };
        assert!(length(fast) > length(slow), "{encoding:?}");
    }
}

#[test]
fn levels_that_an_encoding_does_not_have_are_mistakes() {
    let position = Position { file: "t".into(), line: 1, column: 1 };
    for (encoding, level, is_fine) in [
        (Encoding::Gzip, 9, true),
        (Encoding::Gzip, 10, false),
        (Encoding::Gzip, -1, true),
        (Encoding::Zstd, 22, true),
        (Encoding::Zstd, 23, false),
        (Encoding::Zstd, -5, false),
        (Encoding::Snappy, 1, false),
        (Encoding::Snappy, 0, true),
        (Encoding::None, 6, false),
    ] {
        let mut problems = Problems::default();
        CompressionParams { level: Some(level) }.check(encoding, &position, &mut problems);
        assert_eq!(problems.is_empty(), is_fine, "{encoding:?} {level}: {problems}");
    }
}
