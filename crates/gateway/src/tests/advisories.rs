//! Vulnerabilities of other collectors, each held off by a test named after it, where the running gateway is the level
//! that can show it. Those of one decoder or one extension are beside it; those of the whole program are in
//! `crates/cli/tests`.

use std::io::Write as _;

use prost::Message as _;

use super::*;
use crate::config::decode::{Decode as _, Table};
use crate::exporters::otlp::{OtlpGrpcConfig, OtlpHttpConfig};
use crate::ledger::RefusalReason;
use crate::receivers::otlp::{GrpcConfig, HttpConfig};

/// What a sender calls an encoding, and 48 MiB of zeroes in it.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let zeroes = vec![0; 48 << 20];
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&zeroes).expect("memory takes everything");
    let zlib = zlib.finish().expect("memory takes everything");
    let mut framed = snap::write::FrameEncoder::new(Vec::new());
    framed.write_all(&zeroes).expect("memory takes everything");
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&zeroes).expect("memory takes everything");
    vec![
        ("gzip", gzip(&zeroes)),
        ("zstd", zstd::bulk::compress(&zeroes, 1).expect("compresses")),
        ("zlib", zlib.clone()),
        ("deflate", zlib),
        ("snappy", snap::raw::Encoder::new().compress_vec(&zeroes).expect("compresses")),
        ("snappy", framed.into_inner().expect("memory takes everything")),
        ("lz4", lz4.finish().expect("memory takes everything")),
    ]
}

/// CVE-2024-36129: a small body that unpacks to more than memory holds, in every encoding and both protocols. The limit
/// is 1 MiB here, so a bomb that were unpacked whole would show in the budget, which must be whole again afterwards.
#[tokio::test]
async fn cve_2024_36129_decompression_bomb_is_refused() {
    let yaml = CONFIG.replace("max_recv_msg_size_mib: 1", "max_recv_msg_size_mib: 4");
    let yaml = yaml.replace("'127.0.0.1:0', max_request_body_size: 1MiB", "'127.0.0.1:0', max_request_body_size: 4MiB");
    let gateway = start_with(&yaml).await;
    let bombs = bombs();
    for (encoding, bomb) in &bombs {
        assert!(bomb.len() < 4 << 20, "{encoding}: it is small as it is sent");
        let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", *encoding)];
        let answer = http(gateway.address("otlp", "http"), "POST", "/v1/traces", &headers, bomb).await;
        assert_eq!(answer.status, 413, "{encoding}: {answer:?}");
        if ["zlib", "lz4"].contains(encoding) {
            continue;
        }
        let sent = [("content-type", "application/grpc"), ("grpc-encoding", encoding)];
        let answer = grpc::raw(&gateway, grpc::EXPORT, &sent, &grpc::framed(1, bomb)).await;
        assert_eq!(answer.status(), "8", "{encoding}: {answer:?}");
    }
    let refused = gateway.ledger().receivers[0].refused_requests.of(RefusalReason::TooLarge);
    assert_eq!(refused, bombs.len() as u64 * 2 - 2);
    let body = request(&["still there"]).encode_to_vec();
    let headers = [("Content-Type", "application/x-protobuf")];
    assert_eq!(http(gateway.address("otlp", "http"), "POST", "/v1/traces", &headers, &body).await.status, 200);
    gateway.finish().await;
}

/// What loading says of one more key in a section of an otherwise sound file.
fn say(section: &str, key: &str) -> (String, String) {
    let (grpc, http, otlp, otlphttp) = match section {
        "grpc" => (key, "", "", ""),
        "http" => ("", key, "", ""),
        "otlp" => ("", "", key, ""),
        _ => ("", "", "", key),
    };
    let yaml = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{{grpc}}}, http: {{{http}}}}}}}}}\n\
         exporters: {{otlp: {{endpoint: 'b:1', {otlp}}}, otlphttp: {{endpoint: 'https://b', {otlphttp}}}}}\n\
         service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp, otlphttp]}}}}}}"
    );
    match load_with(&[Source::Text { name: "t".into(), text: yaml }], &|_| None) {
        Ok(config) => (
            String::new(),
            config.warnings.iter().map(|warning| warning.message.as_str()).collect::<Vec<_>>().join("\n"),
        ),
        Err(problems) => (problems.to_string(), String::new()),
    }
}

/// CVE-2026-55701: a receiver took the option that was to protect it and did nothing with it. Here an option that has no
/// effect is never silent: what rootspan does not do is a mistake, what needs nothing done is a warning with its reason,
/// and what nobody knows is a mistake with a hint.
#[test]
fn cve_2026_55701_no_option_is_taken_and_ignored_in_silence() {
    let sections: [(&str, Option<&Table>); 4] = [
        ("grpc", GrpcConfig::TABLE),
        ("http", HttpConfig::TABLE),
        ("otlp", OtlpGrpcConfig::TABLE),
        ("otlphttp", OtlpHttpConfig::TABLE),
    ];
    for (section, table) in sections {
        let table = table.expect("sections have keys");
        for key in table.known {
            let (mistakes, _) = say(section, &format!("{key}: something"));
            assert!(
                mistakes.contains(&format!("`{key}` is known to the OpenTelemetry Collector")),
                "{key}: {mistakes}"
            );
        }
        for (key, reason) in table.ignored {
            let (mistakes, warnings) = say(section, &format!("{key}: something"));
            assert_eq!(mistakes, "", "{key}");
            assert!(
                warnings.contains(&format!("`{key}` is accepted and has no effect: {reason}")),
                "{key}: {warnings}"
            );
        }
        let (mistakes, _) = say(section, "required_headers: {x: y}");
        assert!(mistakes.contains("unknown key `required_headers`"), "{mistakes}");
    }
}
