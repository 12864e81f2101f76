//! Against the collector itself.

use std::path::PathBuf;

use serde_json::Value;

use super::changes::{Spans, spans_of};
use super::{Gateway, Ports, Program, answer_of, difference, folder, names, read};

/// Compressions that both sides know.
const COMPRESSIONS: [&str; 4] = ["none", "gzip", "zstd", "snappy"];

fn collector() -> Program {
    let path = std::env::var_os("OTELCOL").expect("OTELCOL is the path of a collector: cargo xtask test --collector");
    Program::Collector(PathBuf::from(path))
}

/// With `RECORD=1` the answers are written instead of compared.
#[test]
fn the_collector_still_answers_as_it_did() {
    let is_recording = std::env::var_os("RECORD").is_some();
    let mut differences = Vec::new();
    for name in names() {
        let path = folder().join("answers").join(format!("{name}.json"));
        let answer = answer_of(&collector(), &name);
        if is_recording {
            std::fs::write(&path, written(&answer)).expect("it can be written");
            continue;
        }
        let recorded: Value = serde_json::from_slice(&read(&path)).expect("an answer is JSON");
        differences.extend(difference(&name, &answer, &recorded));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// One span a line.
fn written(answer: &Value) -> String {
    let spans = answer.as_object().expect("an answer is an object").iter();
    let lines: Vec<String> = spans.map(|(id, change)| format!("\"{id}\": {change}")).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// Sender → first → second, both writing what they received.
fn through(first: &Program, second: &Program, exporter: &str, compression: &str) {
    let way = format!("{first:?} → {second:?}, {exporter}, {compression}");
    let temporary = tempfile::tempdir().expect("a temporary folder can be made");
    let (ports, next) = (Ports::free(), Ports::free());
    let base = folder().join("base.yaml");
    let receiving = Gateway::start(second, std::slice::from_ref(&base), next, &temporary.path().join("second"), &[]);
    let forwarding = Gateway::start(
        first,
        &[base, folder().join("forward.yaml")],
        ports,
        &temporary.path().join("first"),
        &[
            ("NEXT", exporter.to_owned()),
            ("COMPRESSION", compression.to_owned()),
            ("NEXT_GRPC_PORT", next.grpc.to_string()),
            ("NEXT_HTTP_PORT", next.http.to_string()),
        ],
    );
    let input = read(&folder().join("answers/input.json"));
    forwarding.send(&input);
    // What it has, it delivers before it ends.
    let here = forwarding.finish();
    let there = receiving.finish();
    let request: Value = serde_json::from_slice(&input).expect("the input is OTLP JSON");
    let sent: Spans = spans_of(&request).into_iter().collect();
    assert_eq!(here.len(), sent.len(), "{way}: spans at the first");
    assert_eq!(there.len(), sent.len(), "{way}: spans at the second");
    for (id, span) in &sent {
        assert_eq!(here.get(id), Some(span), "{way}: {id} at the first");
        assert_eq!(there.get(id), Some(span), "{way}: {id} at the second");
    }
}

#[test]
fn spans_come_through_both_programs_in_both_orders() {
    for exporter in ["otlp", "otlphttp"] {
        for compression in COMPRESSIONS {
            through(&collector(), &Program::Rootspan, exporter, compression);
            through(&Program::Rootspan, &collector(), exporter, compression);
        }
    }
}
