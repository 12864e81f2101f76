//! What people write: the configuration, queries, the edge function's settings.

use std::sync::LazyLock;

use rootspan_edge::settings::Settings;
use rootspan_gateway::config::{Source, load_with};
use rootspan_gateway::plan::plan;
use rootspan_testkit::generate::{Options, generate};
use rootspan_traceql::compile::{TraceFacts, compile};
use rootspan_traceql::parser::parse;
use rootspan_wire::otlp::batch::TraceBatch;

use crate::Target;

pub(super) const CONFIG: Target = Target {
    name: "config",
    about: "the configuration: every mistake has its place, what is sound has a plan",
    corpus: || examples().into_iter().filter(|text| !is_of_the_edge(text)).collect(),
    dictionary: &[
        b"${env:A:-b}",
        b"${env:A",
        b"$$",
        b"&a ",
        b"*a",
        b"<<: ",
        b"!!binary ",
        b"receivers:",
        b"[",
        b"{",
        b"}",
        b"- ",
        b"\n  ",
        b": ",
        b"|\n",
        b"? ",
        b"batch:",
        b"otlp/",
        b"null",
        b"18446744073709551616",
        b"1e400",
        b"999999999h",
        b"---\n",
    ],
    usual_inputs: 2_400,
    body: |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let source = Source::Text { name: "fuzz".to_owned(), text: text.to_owned() };
        match load_with(&[source], &|_| Some("from the environment".to_owned())) {
            Ok(config) => assert!(!plan(&config).to_string().is_empty()),
            Err(problems) => assert!(!problems.to_string().is_empty(), "it says what is wrong"),
        }
    },
};

pub(super) const EDGE_SETTINGS: Target = Target {
    name: "edge_settings",
    about: "the edge function's settings",
    corpus: || {
        let mut corpus: Vec<_> = examples().into_iter().filter(|text| is_of_the_edge(text)).collect();
        corpus.push(b"probability: 0.5\npropagators: [tracecontext, b3, xray]\npaths:\n  - pattern: /a/*\n    trust: continue\n".to_vec());
        corpus
    },
    dictionary: &[
        b"pattern: ",
        b"probability: ",
        b"sha256: ",
        b"- ",
        b"\n    ",
        b"[",
        b"#",
        b"\"",
        b"1e-9",
        b"continue",
    ],
    usual_inputs: 9_000,
    body: |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        match Settings::parse(text) {
            Ok(settings) => assert!(!settings.rules.is_empty(), "something holds for every path"),
            Err(problems) => {
                assert!(!problems.is_empty(), "it says what is wrong");
                problems.iter().for_each(|problem| assert!(!problem.to_string().is_empty()));
            }
        }
    },
};

pub(super) const TRACEQL: Target = Target {
    name: "traceql",
    about: "queries: what is printed is read back as the same, and can be evaluated",
    corpus: || {
        let queries = [
            "{}",
            r#"{ resource.service.name = "shop" && duration > 100ms }"#,
            r#"{ span.http.response.status_code >= 500 || status = error }"#,
            r#"{ name =~ "GET .*" && kind = server && !(rootName != "a") }"#,
            "{ .a = 1.5 + 2 * -3 && .b = nil && traceDuration < 2h }",
            r#"{ span."quoted key" = true && parent.x != `raw` }"#,
            r#"{ trace:id = "4bf92f3577b34da6a3ce929d0e0e4736" }"#,
        ];
        queries.iter().map(|query| query.as_bytes().to_vec()).collect()
    },
    dictionary: &[
        b"&&",
        b"||",
        b"!",
        b"(",
        b")",
        b"((((((((",
        b"=~",
        b"!~",
        b"\"",
        b"`",
        b"\\",
        b"duration",
        b"status",
        b"resource.",
        b"span.",
        b"nil",
        b"true",
        b"1ns",
        b"-",
        b"^",
        b"%",
        b"9999999999999999999",
        b"(a|b)*+?{2,3}",
        b"{",
        b"}",
        b"|",
    ],
    usual_inputs: 15_000,
    body: |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let query = match parse(text) {
            Ok(query) => query,
            Err(error) => return assert!(!error.to_string().is_empty()),
        };
        let printed = query.to_string();
        assert_eq!(parse(&printed).as_ref(), Ok(&query), "{printed:?} is read as something else");
        let compiled = compile(&query).expect("the parser checked it");
        for span in SPANS.spans() {
            let _matches = compiled.matches(&span, &TraceFacts::default());
        }
    },
};

static SPANS: LazyLock<TraceBatch> = LazyLock::new(|| {
    let mut batches = generate(Options { spans: 10, spans_per_request: 10, ..Options::default() });
    batches.next().expect("there are spans")
});

/// The manual's examples, and those of the reference.
fn examples() -> Vec<Vec<u8>> {
    let folders = ["docs/examples", "crates/gateway/src/config/examples"];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(crate::root().join(folder)).into_iter().flatten());
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let is_yaml = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "yaml");
    paths.iter().filter(|path| is_yaml(path)).filter_map(|path| std::fs::read(path).ok()).collect()
}

fn is_of_the_edge(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    ["receivers:", "exporters:", "processors:", "extensions:", "connectors:"]
        .iter()
        .all(|section| !text.contains(section))
}
