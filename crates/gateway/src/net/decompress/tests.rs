use std::io::Write as _;

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

fn zstd_bytes(data: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(data, 1).expect("memory takes everything")
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

fn snappy(data: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(data).expect("memory takes everything")
}

fn snappy_framed(data: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(data).expect("memory takes everything");
    encoder.into_inner().expect("memory takes everything")
}

fn lz4(data: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(data).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

type Compress = fn(&[u8]) -> Vec<u8>;

/// Every form that a sender can choose, with what compresses it.
const FORMS: [(Compression, Compress); 6] = [
    (Compression::Gzip, gzip),
    (Compression::Zstd, zstd_bytes),
    (Compression::Zlib, zlib),
    (Compression::Snappy, snappy),
    (Compression::Snappy, snappy_framed),
    (Compression::Lz4, lz4),
];

/// Decompresses under a limit and a budget; checks that nothing stays reserved.
#[track_caller]
fn check(
    compression: Compression,
    input: &[u8],
    limit: usize,
    budget_bytes: u64,
    expected: Result<&[u8], DecompressError>,
) {
    let budget = Budget::new(budget_bytes);
    let output = decompress(compression, input, limit, &budget);
    assert_eq!(output.as_ref().map(AsRef::as_ref).map_err(|error| *error), expected);
    assert!(budget.used() <= budget_bytes);
    drop(output);
    assert_eq!(budget.used(), 0);
}

/// Bytes that do not compress well and are no short cycle.
fn sample(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

#[test]
fn every_encoding_round_trips_at_every_size() {
    for length in [0, 1, 100, 65_535, 65_536, 65_537, 1_000_000] {
        let data = sample(length);
        for (compression, compress) in FORMS {
            let input = compress(&data);
            check(compression, &input, 1_000_000, 20_000_000, Ok(&data));
            check(compression, &input, length, 20_000_000, Ok(&data));
            if length > 0 {
                check(compression, &input, length - 1, 20_000_000, Err(DecompressError::TooLarge));
            }
        }
    }
}

#[test]
fn several_gzip_members_are_one_body() {
    let (first, second) = (sample(5_000), sample(70_000));
    let joined = [first.clone(), second.clone()].concat();
    check(Compression::Gzip, &[gzip(&first), gzip(&second)].concat(), 100_000, 1_000_000, Ok(&joined));
    // Equal members: the last trailer claims just the length of the first.
    let twice = [first.clone(), first.clone()].concat();
    check(Compression::Gzip, &[gzip(&first), gzip(&first)].concat(), 100_000, 1_000_000, Ok(&twice));
}

#[test]
fn a_bomb_stops_at_the_limit_and_at_the_budget() {
    let zeroes = vec![0; 50 << 20];
    for (compression, compress) in FORMS {
        let bomb = compress(&zeroes);
        assert!(bomb.len() < 3 << 20, "{compression:?}");
        check(compression, &bomb, 4 << 20, 64 << 20, Err(DecompressError::TooLarge));
        check(compression, &bomb, 100 << 20, 3 << 20, Err(DecompressError::Exhausted));
    }
    // A trailer that claims little does not help.
    let mut liar = gzip(&zeroes);
    let length = liar.len();
    liar[length - 4..].copy_from_slice(&10_u32.to_le_bytes());
    check(Compression::Gzip, &liar, 4 << 20, 64 << 20, Err(DecompressError::TooLarge));
}

#[test]
fn damaged_input_is_corrupt() {
    let data = sample(10_000);
    let check_reason = |compression, input: &[u8], reason| {
        check(compression, input, 1 << 20, 1 << 24, Err(DecompressError::Corrupt(reason)));
    };
    let cases =
        [(Compression::Gzip, gzip(&data), "it is not gzip"), (Compression::Zstd, zstd_bytes(&data), "it is not zstd")];
    for (compression, input, foreign) in cases {
        for length in [5, input.len() / 2, input.len() - 1] {
            check_reason(compression, &input[..length], "it is cut short");
        }
        for input in [b"no such thing".as_slice(), b"x"] {
            check_reason(compression, input, foreign);
        }
    }
    check_reason(Compression::Gzip, b"", "it is not gzip");
    let mut flipped = gzip(&data);
    let position = flipped.len() - 6;
    flipped[position] ^= 1;
    check_reason(Compression::Gzip, &flipped, "its data is damaged");
}

#[test]
fn a_huge_zstd_window_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("level 1 exists");
    encoder.window_log(27).expect("is in range");
    encoder.write_all(&sample(10_000)).expect("memory takes everything");
    let input = encoder.finish().expect("memory takes everything");
    check(
        Compression::Zstd,
        &input,
        1 << 20,
        1 << 28,
        Err(DecompressError::Corrupt("it needs a zstd window above 8 MiB")),
    );
}

#[test]
fn the_zstd_window_is_paid_for() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("level 1 exists");
    encoder.window_log(22).expect("is in range");
    encoder.write_all(&sample(10_000)).expect("memory takes everything");
    let input = encoder.finish().expect("memory takes everything");
    assert_eq!(zstd_window_bytes(&input), Some(4 << 20));
    check(Compression::Zstd, &input, 1 << 20, 4 << 20, Err(DecompressError::Exhausted));
    check(Compression::Zstd, &input, 1 << 20, 5 << 20, Ok(&sample(10_000)));
    for length in [0, 1, 255, 256, 300, 65_535, 65_536, 100_000] {
        assert_eq!(zstd_window_bytes(&zstd_bytes(&sample(length))), Some(length as u64), "a single segment");
    }
}

#[test]
fn damaged_zlib_snappy_and_lz4_are_corrupt() {
    let data = sample(200_000);
    for (compression, compress) in FORMS.into_iter().skip(2) {
        let input = compress(&data);
        for length in [5, input.len() / 2, input.len() - 1] {
            let budget = Budget::new(1 << 26);
            let output = decompress(compression, &input[..length], 1 << 20, &budget).map(|_| ());
            assert!(matches!(output, Err(DecompressError::Corrupt(_))), "{compression:?} {length}: {output:?}");
        }
    }
    for (compression, reason) in [
        (Compression::Zlib, "it is not zlib (RFC 1950)"),
        (Compression::Lz4, "it is not an LZ4 frame"),
        (Compression::Snappy, "its data is damaged"),
    ] {
        check(compression, b"no such thing", 1 << 20, 1 << 24, Err(DecompressError::Corrupt(reason)));
    }
    check(Compression::Snappy, &[0xff; 10], 1 << 20, 1 << 24, Err(DecompressError::Corrupt("it is not snappy")));
}

/// A sender's claim must not make the receiver reserve what never comes.
#[test]
fn a_snappy_block_that_claims_more_than_it_can_hold_is_refused_at_once() {
    let claims_100_mib = [0x80, 0x80, 0x80, 0x32, 0x00, 0x00];
    let cut = Err(DecompressError::Corrupt("it is cut short"));
    check(Compression::Snappy, &claims_100_mib, 1 << 30, 1 << 20, cut);
    check(Compression::Snappy, &claims_100_mib, 1 << 20, 1 << 30, Err(DecompressError::TooLarge));
}

#[test]
fn the_blocks_of_lz4_are_paid_for() {
    let mut info = lz4_flex::frame::FrameInfo::new();
    info.block_size = lz4_flex::frame::BlockSize::Max4MB;
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&sample(10_000)).expect("memory takes everything");
    let input = encoder.finish().expect("memory takes everything");
    check(Compression::Lz4, &input, 1 << 20, 12 << 20, Err(DecompressError::Exhausted));
    check(Compression::Lz4, &input, 1 << 20, 13 << 20, Ok(&sample(10_000)));
    let two = [lz4(b"first"), lz4(b"second")].concat();
    let follows = Err(DecompressError::Corrupt("something follows the LZ4 frame"));
    check(Compression::Lz4, &two, 1 << 20, 13 << 20, follows);
}

#[test]
fn names_mean_what_the_collector_means_by_them() {
    let all = Algorithms::all();
    for (name, in_grpc, in_http) in [
        ("", Ok(None), Ok(None)),
        ("identity", Ok(None), Ok(None)),
        ("gzip", Ok(Some(Compression::Gzip)), Ok(Some(Compression::Gzip))),
        ("zstd", Ok(Some(Compression::Zstd)), Ok(Some(Compression::Zstd))),
        ("snappy", Ok(Some(Compression::Snappy)), Ok(Some(Compression::Snappy))),
        ("x-snappy-framed", Err(()), Ok(Some(Compression::Snappy))),
        ("deflate", Ok(Some(Compression::Zlib)), Ok(Some(Compression::Zlib))),
        ("zlib", Err(()), Ok(Some(Compression::Zlib))),
        ("lz4", Err(()), Ok(Some(Compression::Lz4))),
        ("br", Err(()), Err(())),
        ("gzip, gzip", Err(()), Err(())),
    ] {
        assert_eq!(Compression::of_grpc(name.as_bytes()), in_grpc, "{name}");
        assert_eq!(Compression::of_http(name.as_bytes(), &all), in_http, "{name}");
    }
    let gzip_alone = Algorithms(vec!["gzip"]);
    assert_eq!(Compression::of_http(b"zstd", &gzip_alone), Err(()));
    assert_eq!(Compression::of_http(b"", &gzip_alone), Err(()), "what is not compressed must be named, too");
}

/// Found by the fuzz target `decompress`: the next power of two of such a length does not exist.
#[test]
fn a_zstd_length_near_two_to_the_64_is_too_large() {
    let input = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &[0xff; 8], &[0x01, 0x00, 0x00]].concat();
    assert_eq!(zstd_window_bytes(&input), Some(u64::MAX));
    check(
        Compression::Zstd,
        &input,
        1 << 20,
        1 << 28,
        Err(DecompressError::Corrupt("it needs a zstd window above 8 MiB")),
    );
}

/// Pooled decoders once mixed requests in the collector (its issue 13954); ours share nothing, under concurrency too.
#[test]
fn collector_13954_bodies_do_not_mix_between_threads() {
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            scope.spawn(move || {
                for round in 0..50 {
                    let data = sample(1_000 * (thread + 1) + round);
                    check(Compression::Gzip, &gzip(&data), 1 << 20, 1 << 24, Ok(&data));
                    check(Compression::Zstd, &zstd_bytes(&data), 1 << 20, 1 << 24, Ok(&data));
                }
            });
        }
    });
}
