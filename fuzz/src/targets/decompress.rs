//! Decompression of bodies under limit and budget, beside other decoders of the same formats.

use std::io::{Read as _, Write as _};

use rootspan_gateway::fuzzing::decompress;

use crate::Target;

/// Longest output.
const LIMIT: usize = 256 << 10;

pub(super) const DECOMPRESS: Target = Target {
    name: "decompress",
    about: "gzip, zstd, zlib, snappy and LZ4 bodies: never more than the limit, the same bytes as other decoders",
    corpus: || {
        let plain = crate::root().join("testdata/cloudfront/standard-v2.jsonl");
        let plain = std::fs::read(plain).expect("it is there");
        let gzip = |data: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(data).expect("memory");
            encoder.finish().expect("memory")
        };
        let zstd = |data: &[u8], level| zstd::encode_all(data, level).expect("memory");
        let zlib = |data: &[u8]| {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(data).expect("memory");
            encoder.finish().expect("memory")
        };
        let framed_snappy = |data: &[u8]| {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(data).expect("memory");
            encoder.into_inner().expect("memory")
        };
        let lz4 = |data: &[u8]| {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(data).expect("memory");
            encoder.finish().expect("memory")
        };
        vec![
            gzip(&plain),
            gzip(b""),
            [gzip(b"two "), gzip(b"members")].concat(),
            gzip(&vec![0; 1 << 20]),
            zstd(&plain, 3),
            zstd(b"", 1),
            [zstd(b"two ", 1), zstd(b"frames", 19)].concat(),
            zstd(&vec![0; 1 << 20], 1),
            zlib(&plain),
            zlib(&vec![0; 1 << 20]),
            snap::raw::Encoder::new().compress_vec(&plain).expect("memory"),
            framed_snappy(&plain),
            framed_snappy(&vec![0; 1 << 20]),
            lz4(&plain),
            lz4(&vec![0; 1 << 20]),
        ]
    },
    dictionary: &[
        b"\x1f\x8b\x08\x00",
        b"\x1f\x8b\x08\x1f",
        b"\x28\xb5\x2f\xfd",
        b"\x28\xb5\x2f\xfd\x00\xff",
        b"\x50\x2a\x4d\x18\x04\x00\x00\x00",
        b"\x03\x00",
        b"\x78\x9c",
        b"\xff\x06\x00\x00sNaPpY",
        b"\x04\x22\x4d\x18",
    ],
    usual_inputs: 7_500,
    body: |input| {
        check("gzip", input, |input| {
            let mut output = Vec::new();
            flate2::read::MultiGzDecoder::new(input)
                .take(LIMIT as u64 + 1)
                .read_to_end(&mut output)
                .ok()
                .map(|_| output)
        });
        check("zstd", input, |input| {
            let mut output = Vec::new();
            let decoder = zstd::stream::read::Decoder::new(input).ok()?;
            decoder.take(LIMIT as u64 + 1).read_to_end(&mut output).ok().map(|_| output)
        });
        check("zlib", input, |input| {
            let mut output = Vec::new();
            let decoder = flate2::read::ZlibDecoder::new(input);
            decoder.take(LIMIT as u64 + 1).read_to_end(&mut output).ok().map(|_| output)
        });
        // There are no other decoders of these here; the limit and the budget are what is held.
        for encoding in ["snappy", "lz4"] {
            check(encoding, input, |_| None);
        }
    },
};

fn check(encoding: &str, input: &[u8], other: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let Ok(output) = decompress(encoding, input, LIMIT) else { return };
    assert!(output.len() <= LIMIT, "{} bytes are more than the limit", output.len());
    if let Some(expected) = other(input) {
        assert!(output == expected, "{encoding}: {} bytes, other decoders give {}", output.len(), expected.len());
    }
}
