//! A few kilobytes that unpack to gigabytes stop at the limit and cost no memory.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::firehose::deliver_encoded;
use crate::http::{self, Answer};
use crate::otlp::{check_takes_more, export_raw};
use crate::process::{Setup, Site};

/// What each bomb unpacks to.
const UNPACKED: usize = 256 << 20;

/// Zeroes are valid neither as protobuf nor as JSON, but nobody may get so far as to say so.
fn gzip_bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeroes = vec![0; 1 << 20];
    for _ in 0..UNPACKED >> 20 {
        encoder.write_all(&zeroes).expect("memory");
    }
    encoder.finish().expect("memory")
}

/// Many small members: a decoder that takes one at a time must add them up.
fn gzip_bomb_of_members() -> Vec<u8> {
    let member = crate::otlp::compress("gzip", &vec![0; 4 << 20]);
    member.repeat(UNPACKED / (4 << 20))
}

fn zstd_bomb() -> Vec<u8> {
    zstd::encode_all(std::io::repeat(0).take(UNPACKED as u64), 1).expect("memory")
}

fn throw(address: SocketAddr, encoding: &str, bomb: &[u8]) -> Answer {
    let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", encoding)];
    http::send(address, "POST", "/v1/traces", &headers, bomb)
}

#[test]
fn cve_2024_36129_bombs_stop_at_the_limit_of_a_body() {
    let site =
        Site::new(Setup { cloudfront: true, cloudfront_keys: ", max_request_body_size: 20MiB", ..Setup::default() });
    let process = site.start();
    let before = process.peak_memory();
    for (encoding, bomb) in [("gzip", gzip_bomb()), ("gzip", gzip_bomb_of_members()), ("zstd", zstd_bomb())] {
        let answer = throw(process.otlp_http(), encoding, &bomb);
        assert_eq!(answer.status, 413, "{encoding}: {}", answer.text());
        if encoding == "gzip" {
            let answer = deliver_encoded(process.address("cloudfront", "http"), &bomb);
            assert_eq!(answer.status, 400, "never 413: {}", answer.text());
        }
    }
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let status = export_raw(process.otlp_grpc(), Some(encoding), vec![0; 64 << 20]).expect_err("it is a bomb");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    }
    // Buffers of 20 MiB, twice while they grow, and what the allocator has not given back yet.
    let grown = process.peak_memory() - before;
    assert!(grown < 160 << 20, "{} MiB more than before", grown >> 20);
    check_takes_more(&process);
    process.stop();
}

#[test]
fn cve_2024_36129_bombs_stop_at_the_budget_of_the_process() {
    let site = Site::new(Setup {
        grpc: ", max_recv_msg_size_mib: 2048",
        http: ", max_request_body_size: 2GiB",
        store: ", seal_spans: 1000",
        memory_limit_mib: Some(160),
        ..Setup::default()
    });
    let process = site.start();
    for (encoding, bomb) in [("gzip", gzip_bomb()), ("gzip", gzip_bomb_of_members()), ("zstd", zstd_bomb())] {
        let answer = throw(process.otlp_http(), encoding, &bomb);
        assert_eq!(answer.status, 429, "{encoding}: {}", answer.text());
        assert!(!answer.header("retry-after").is_empty(), "{encoding}: it may be tried again");
    }
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let status = export_raw(process.otlp_grpc(), Some(encoding), vec![0; 192 << 20]).expect_err("it is a bomb");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    }
    // Many at once share the one budget.
    let bomb = zstd_bomb();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(throw(process.otlp_http(), "zstd", &bomb).status, 429));
        }
    });
    // The limit, and once more the budget of about 100 MiB: the allocator keeps what the bomb before gave back for a
    // moment. Each of them would have taken more than this alone.
    let peak = process.peak_memory();
    assert!(peak < 240 << 20, "{} MiB", peak >> 20);
    check_takes_more(&process);
    process.stop();
}
