use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::json::read_request;
use rootspan_wire::otlp::validate::{Limits, validate};

use super::*;
use crate::budget::Budget;

fn request(name: &str) -> ExportTraceServiceRequest {
    let span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: name.to_owned(), ..Default::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
}

fn config(folder: &Path) -> FileConfig {
    FileConfig {
        path: folder.join("below/traces.json").to_string_lossy().into_owned(),
        format: Form::Json,
        compression: FileCompression::None,
        append: true,
        create_directory: true,
        rotation: None,
    }
}

/// Writes a request for each name.
async fn write(config: &FileConfig, names: &[&str]) {
    let budget = Budget::new(10 << 20);
    let clock: Clock = Arc::new(|| UnixNanos(1_789_381_730_295_000_000));
    let exporter = FileExporter::open(config, clock).expect("the folder is there");
    for name in names {
        let traces = validate(request(name).encode_to_vec().into(), &Limits::default()).expect("sound").batch;
        let reservation = budget.try_reserve(traces.bytes().len() as u64).expect("there is room");
        assert_eq!(exporter.export(Batch::new(traces, reservation)).await, Exported::DELIVERED);
    }
}

#[tokio::test]
async fn json_is_a_line_for_each_request_and_is_continued_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let names = |config: &FileConfig| {
        let text = std::fs::read_to_string(&config.path).expect("it is there");
        let name = |line: &str| {
            let batch = read_request(line.as_bytes(), &Limits::default()).expect("a line is a request").batch;
            batch.span(0).span.name.to_owned()
        };
        text.lines().map(name).collect::<Vec<_>>()
    };
    write(&config, &["a", "b\nc"]).await;
    write(&config, &["d"]).await;
    assert_eq!(names(&config), ["a", "b\nc", "d"]);
    write(&FileConfig { append: false, ..config.clone() }, &["e"]).await;
    assert_eq!(names(&config), ["e"]);
}

#[tokio::test]
async fn protobuf_stands_behind_its_length_also_compressed() {
    for compression in [FileCompression::None, FileCompression::Zstd] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = FileConfig { format: Form::Protobuf, compression, ..config(folder.path()) };
        write(&config, &["a", "b"]).await;
        let bytes = std::fs::read(&config.path).expect("it is there");
        let mut rest = bytes.as_slice();
        let mut found = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk() {
            let (message, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            let message = match compression {
                FileCompression::None => message.to_vec(),
                FileCompression::Zstd => zstd::bulk::decompress(message, 1 << 20).expect("zstd"),
            };
            found.push(ExportTraceServiceRequest::decode(message.as_slice()).expect("protobuf"));
            rest = after;
        }
        assert_eq!(found, [request("a"), request("b")]);
    }
}

#[tokio::test]
async fn a_long_file_is_set_aside_and_the_oldest_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let rotation = RotationConfig { max_megabytes: 1, max_backups: 2, max_days: 0, localtime: false };
    let config = FileConfig { rotation: Some(rotation), append: false, ..config(folder.path()) };
    let long: Vec<String> = (0..5).map(|number| number.to_string().repeat(600_000)).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    write(&config, &long[..3]).await;
    let neighbour = folder.path().join("below/traces-of-somebody-else.json");
    std::fs::write(&neighbour, "kept").expect("written");
    write(&config, &long[3..]).await;
    let mut names: Vec<String> = std::fs::read_dir(folder.path().join("below"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let expected = [
        "traces-2026-09-14T10-28-50.297.json",
        "traces-2026-09-14T10-28-50.298.json",
        "traces-of-somebody-else.json",
        "traces.json",
    ];
    assert_eq!(names, expected, "the two newest that were set aside, and what is not ours");
    let newest = std::fs::read_to_string(&config.path).expect("it is there");
    assert!(newest.contains("4444") && !newest.contains("3333"));
}

#[tokio::test]
async fn files_that_were_set_aside_too_long_ago_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let rotation = RotationConfig { max_megabytes: 1, max_backups: 0, max_days: 2, localtime: false };
    let config = FileConfig { rotation: Some(rotation), ..config(folder.path()) };
    let below = folder.path().join("below");
    std::fs::create_dir_all(&below).expect("a folder");
    // The clock of these tests stands at 2026-09-14T10:28:50.
    let (old, young) = ("traces-2026-09-12T10-28-00.000.json", "traces-2026-09-12T10-29-00.000.json");
    for name in [old, young] {
        std::fs::write(below.join(name), "").expect("written");
    }
    let long = "x".repeat(600_000);
    write(&config, &[long.as_str(), long.as_str()]).await;
    assert_eq!((below.join(old).exists(), below.join(young).exists()), (false, true));
}

#[test]
fn a_folder_that_is_not_there_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = FileConfig { create_directory: false, ..config(folder.path()) };
    let error = FileExporter::open(&config, crate::clock::system()).expect_err("there is no folder");
    assert!(error.contains("traces.json: No such file"), "{error}");
}
