//! What an operator runs into: ports, folders, disks, damaged files. One clear sentence each, and no more lost than is
//! damaged.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::api;
use crate::firehose;
use crate::http;
use crate::load::Load;
use crate::otlp::{self, any, check_takes_more, export_grpc, export_http, now, request, span, trace_id};
use crate::process::{Ended, Setup, Site};
use crate::small_disk::{SmallDisk, fill};
use crate::wait::eventually;

/// The last line of standard error; the command failed and said nothing else that matters.
fn one_sentence(ended: &Ended) -> String {
    assert!(!ended.status.success(), "{ended:?}");
    let said: Vec<_> = ended.stderr.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert_eq!(said.len(), 1, "{}", ended.stderr);
    said[0].to_owned()
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound");
    let port = address.port().to_string();
    let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
    let good = std::fs::read_to_string(site.config()).expect("just written");
    let keys = [
        ("      grpc: {endpoint: \"", "receivers.otlp.protocols.grpc.endpoint"),
        ("      http: {endpoint: \"", "receivers.otlp.protocols.http.endpoint"),
        ("  cloudfront: {endpoint: \"", "receivers.cloudfront.endpoint"),
        ("  health_check: {endpoint: \"", "extensions.health_check.endpoint"),
        ("  ui: {endpoint: \"", "extensions.ui.endpoint"),
    ];
    let endpoints = keys.map(|(before, key)| (format!("{before}127.0.0.1:0"), format!("{before}{address}"), key));
    let metrics =
        ("prometheus: {port: 0}".to_owned(), format!("prometheus: {{port: {port}}}"), "service.telemetry.metrics");
    for (from, to, key) in endpoints.into_iter().chain([metrics]) {
        let text = good.replace(&from, &to);
        assert_ne!(text, good, "{key}");
        std::fs::write(site.config(), text).expect("it can be written");
        let sentence = one_sentence(&site.spawn().end());
        for words in [port.as_str(), "in use by another program", key] {
            assert!(sentence.contains(words), "{key}: {sentence}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_used() {
    let site = Site::new(Setup::default());
    let file = site.path("file");
    std::fs::write(&file, "not a folder").expect("it can be written");
    for folder in [file.clone(), file.join("below"), PathBuf::from("/proc/rootspan-data")] {
        site.configure(Setup::default(), &folder);
        let sentence = one_sentence(&site.spawn().end());
        assert!(sentence.contains(&folder.display().to_string()), "{sentence}");
    }
}

#[test]
fn a_folder_in_use_by_another_rootspan() {
    let site = Site::new(Setup::default());
    let process = site.start();
    let sentence = one_sentence(&site.spawn().end());
    assert!(sentence.contains("in use by another process"), "{sentence}");
    assert!(sentence.contains(&site.data().display().to_string()), "{sentence}");
    check_takes_more(&process);
    process.stop();
}

#[test]
fn a_damaged_block_is_set_aside_and_the_others_are_served() {
    let site = Site::new(Setup { store: ", seal_spans: 100000", ..Setup::default() });
    let process = site.start();
    // Two blocks: two hours.
    for (number, hours) in [(1, 3), (2, 1)] {
        let start = now() - hours * 3_600_000_000_000;
        let spans = (0..200).map(|span| self::span(&trace_id("block", number), span + 1, start)).collect();
        export_grpc(process.otlp_grpc(), request(&format!("hour-{hours}"), spans)).expect("it is accepted");
    }
    process.stop();
    let blocks = files_below(&site.data().join("blocks"), ".parquet");
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    flip_a_byte(&blocks[0]);

    let mut process = site.start();
    process.expect("set aside");
    let ui = process.ui();
    let trace = |number| http::get(ui, &format!("/api/v1/traces/{}", otlp::hex(&trace_id("block", number))));
    // Reading finds the damage; nothing of the damaged block is served as if it were good.
    let answers = [trace(1).status, trace(2).status];
    let search = http::get(ui, "/api/v1/search?limit=1000");
    assert_eq!(search.status, 200, "{}", search.text());
    eventually("the block is set aside", || (api::status(ui)["damagedBlocks"] == 1).then_some(()));
    assert!(answers.contains(&200), "the other block is served: {answers:?}");
    assert_eq!(
        [trace(1).status, trace(2).status].map(|status| status == 200),
        [false, true],
        "the older hour is damaged"
    );
    let found = http::get(ui, "/api/v1/search?limit=1000").json();
    assert_eq!(found["traces"].as_array().map(Vec::len), Some(1), "{found}");
    let said = "1 damaged block is set aside";
    assert!(found["partial"].as_str().is_some_and(|partial| partial.contains(said)), "{found}");
    assert!(trace(1).text().contains(said), "{}", trace(1).text());
    check_takes_more(&process);
    process.stop();

    // It stays aside, and is still counted.
    let mut process = site.start();
    process.expect("set aside");
    assert_eq!(api::status(process.ui())["damagedBlocks"], 1);
    let found = http::get(process.ui(), "/api/v1/search?limit=1000").json();
    assert!(found["partial"].as_str().is_some_and(|partial| partial.contains(said)), "still so: {found}");
    let metrics = http::get(process.address("metrics", "http"), "/metrics").text();
    assert!(
        metrics.lines().any(|line| line.starts_with("rootspan_store_damaged_blocks{") && line.ends_with(" 1")),
        "{metrics}"
    );
    process.stop();
}

/// In the middle of the file: in the data, not in the footer.
fn flip_a_byte(path: &Path) {
    let mut bytes = std::fs::read(path).expect("it is there");
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0x20;
    std::fs::write(path, bytes).expect("it can be written");
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Where no file system can be mounted, `store`'s tests with injected faults are all there is. With the reserve the store
/// refuses before the disk is full; without it the disk itself does, in the middle of a write.
#[test]
fn a_full_disk_refuses_with_a_retryable_error_and_recovers() {
    for store in [", seal_spans: 500, seal_after: 200ms", ", seal_spans: 500, seal_after: 200ms, min_free_percent: 0"] {
        check_full_disk(Setup { store, cloudfront: true, ..Setup::default() });
    }
}

fn check_full_disk(setup: Setup) {
    let site = Site::new(setup);
    let Some(disk) = SmallDisk::mount(site.path("disk")) else { return };
    site.configure(setup, &disk.0.join("data"));
    let mut process = site.start();
    // Sealing needs space, too; that it waits is worth a warning.
    process.expect("could not be sealed");
    process.expect("could not be written");
    process.expect("the store refuses spans");
    let load = Load::new(11, 50);
    load.send(process.ingest(), 20, || {});
    assert_eq!(load.acknowledged(), 20);

    let filler = disk.0.join("filler");
    fill(&filler);
    let big = any("noise", Any::BytesValue(noise(256 << 10)));
    let sent = request("full", vec![Span { attributes: vec![big], ..span(&trace_id("full", 1), 1, now()) }]);
    let answer = export_http(process.otlp_http(), &sent);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(!answer.header("retry-after").is_empty(), "it may be tried again");
    let status = export_grpc(process.otlp_grpc(), sent.clone()).expect_err("the disk is full");
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    assert!(status.message().contains("the disk is full"), "{status}");
    let has_reserve = !setup.store.contains("min_free_percent");
    if has_reserve {
        // Without it, something as short as this may still fit into a page that the journal has.
        let delivered = firehose::deliver_one(process.address("cloudfront", "http"));
        assert_eq!(delivered.status, 503, "Firehose delivers it again: {}", delivered.text());
    }
    // What is there can be read meanwhile.
    load.check_all_found(process.ui());
    assert_eq!(api::status(process.ui())["refusedSpans"], if has_reserve { 3 } else { 2 });

    let said = process.wait_for_log("the store refuses spans");
    for words in [" ERROR ", "the disk is full", "make space"] {
        assert!(said.contains(words), "{said}");
    }
    std::fs::remove_file(&filler).expect("it is there");
    eventually("it recovers", || (export_http(process.otlp_http(), &sent).status == 200).then_some(()));
    assert!(process.wait_for_log("the store takes spans again").contains(" INFO "));
    assert_eq!(firehose::deliver_one(process.address("cloudfront", "http")).status, 200);
    // Until what waits is sealed, which is tried again every second, more than a tail may be refused.
    let mut number = 0;
    eventually("as much as a tail holds is taken in a row", || {
        (0..12).all(|_| takes_fifty(process.otlp_http(), &mut number)).then_some(())
    });
    let before = load.acknowledged();
    load.send(process.ingest(), 20, || {});
    assert_eq!(load.acknowledged(), before + 20);
    load.check_all_found(process.ui());
    process.stop();
    let process = site.start();
    load.check_all_found(process.ui());
    assert_eq!(api::status(process.ui())["damagedBlocks"], 0);
    process.stop();
    drop(disk);
}

fn takes_fifty(address: SocketAddr, number: &mut u64) -> bool {
    *number += 1;
    let spans = (1..=50).map(|span| self::span(&trace_id("fifty", *number), span, now())).collect();
    export_http(address, &request("fifty", spans)).status == 200
}

/// Bytes that do not compress.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}
