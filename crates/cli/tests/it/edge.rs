//! The edge function as it is built, in the local CloudFront, before an origin, with logs delivered to the gateway.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use sha2::{Digest as _, Sha256};

use crate::api;
use crate::http::get;
use crate::process::{ACCESS_KEY, Process, Setup, Site, examples, rootspan};
use crate::wait::eventually;

/// Answers every request with 200 and tells its headers.
fn origin() -> (SocketAddr, Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                loop {
                    let mut head = Vec::new();
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if line.trim_end().is_empty() {
                            break;
                        }
                        head.push(line.trim_end().to_owned());
                    }
                    // The test may have ended.
                    let _told = sender.send(head);
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\nok";
                    if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, requests)
}

fn build(settings: &Path, out: &Path) -> String {
    let ended =
        Process::spawn(rootspan().args(["edge", "build", "--settings"]).arg(settings).arg("--out").arg(out)).end();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stdout.contains("bytes") && ended.stdout.contains("sha256"), "{}", ended.stdout);
    let code = std::fs::read_to_string(out.join("viewer-request.js")).expect("it is written");
    assert!(code.len() <= 10 << 10, "CloudFront takes 10 KB");
    code
}

#[test]
fn the_built_function_runs_in_the_emulator_and_its_logs_become_the_root() {
    let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
    let gateway = site.start();
    let (origin, requests) = origin();
    build(&examples().join("edge.yaml"), &site.path("edge"));
    let firehose = format!("http://{}/", gateway.address("cloudfront", "http"));
    let emulator = Process::spawn(
        rootspan()
            .args(["edge", "emulate", "--listen", "127.0.0.1:0", "--origin", &format!("http://{origin}")])
            .args(["--firehose", &firehose, "--access-key", ACCESS_KEY, "--function"])
            .arg(site.path("edge").join("viewer-request.js")),
    );
    let line = emulator.wait_for_output("CloudFront listens on http://");
    let cdn: SocketAddr = line.split(' ').next().and_then(|address| address.parse().ok()).expect("an address");

    let answer = get(cdn, "/api/items?limit=5");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let head = requests.recv().expect("the origin was asked");
    let context = head
        .iter()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("traceparent:").map(|value| value.trim().to_owned()));
    let context = context.unwrap_or_else(|| panic!("no traceparent: {head:?}"));
    let parts: Vec<_> = context.split('-').collect();
    let (trace_id, parent) = (parts[1], parts[2]);

    let spans = eventually("the log is delivered", || api::trace(gateway.ui(), trace_id));
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0]["span"]["spanId"], parent, "the origin's parent is the viewer's span");
    assert_eq!(spans[0]["span"].get("parentSpanId"), None, "it is the root");
    let attributes = spans[0]["span"]["attributes"].to_string();
    assert!(
        attributes.contains(r#"{"key":"aws.cloudfront.context","value":{"stringValue":"function"}}"#),
        "{attributes}"
    );

    // What was not delivered yet when the emulator stops, is delivered then.
    assert_eq!(get(cdn, "/api/last").status, 200);
    emulator.terminate();
    let ended = emulator.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stdout.contains("2 log records written, 2 delivered"), "{}", ended.stdout);
    let roots = api::search(gateway.ui(), r#"{ resource.service.name = "cloudfront" }"#, "");
    assert_eq!(roots.len(), 2);
    gateway.stop();
}

/// What is printed is what lies there: size and digest of each file, and what it is attached to.
#[test]
fn functions_are_minified_with_a_map_unless_they_are_to_be_read() {
    let site = Site::new(Setup::default());
    let (settings, out) = (site.path("edge.yaml"), site.path("edge"));
    std::fs::write(&settings, "").expect("it can be written");
    let built = |more: &[&str]| {
        let mut command = rootspan();
        command.args(["edge", "build", "--settings"]).arg(&settings).arg("--out").arg(&out).args(more);
        let ended = Process::spawn(&mut command).end();
        assert!(ended.status.success(), "{}", ended.stderr);
        let code = std::fs::read(out.join("viewer-request.js")).expect("it is written");
        let digest: String = Sha256::digest(&code).iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("viewer-request.js  {} bytes  sha256 {digest}\n", code.len());
        assert!(ended.stdout.contains(&line), "{line}{}", ended.stdout);
        assert!(ended.stdout.contains("CloudFront Functions (cloudfront-js-2.0): attach to viewer-request\n"));
        assert!(ended.stdout.contains("Lambda@Edge (Node.js 22 and 24): attach to origin-response\n"));
        code
    };
    let map = out.join("viewer-request.js.map");
    let minified = built(&[]);
    let text = std::fs::read_to_string(&map).expect("it is written");
    assert!(text.contains(r#""file":"viewer-request.js""#) && text.contains("var SETTINGS = {"), "{text}");
    let readable = built(&["--readable"]);
    assert!(!map.exists(), "the map of another build would lead to wrong places");
    assert!(readable.len() > minified.len());
    assert_eq!(built(&[]), minified, "the same settings give the same bytes");
}

#[test]
fn mistakes_in_settings_are_all_reported_with_their_place() {
    let site = Site::new(Setup::default());
    let settings = site.path("edge.yaml");
    std::fs::write(&settings, "probability: 2\ntrust: perhaps\npathz: []\n").expect("it can be written");
    let ended = Process::spawn(
        rootspan().args(["edge", "build", "--settings"]).arg(&settings).arg("--out").arg(site.path("out")),
    )
    .end();
    assert!(!ended.status.success());
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ended.stderr);
    for (line, place) in lines.iter().zip([":1:", ":2:", ":3:"]) {
        assert!(line.starts_with(&format!("{}{place}", settings.display())), "{line}");
    }
    assert!(!site.path("out").exists(), "nothing is written");
}

#[test]
fn a_function_is_tried_on_events_and_a_broken_rule_fails() {
    let site = Site::new(Setup::default());
    let out = site.path("edge");
    build(&examples().join("edge.yaml"), &out);
    let test =
        |path: &Path, more: &[&str]| Process::spawn(rootspan().args(["edge", "test"]).arg(path).args(more)).end();
    for file in ["viewer-request.js", "origin-request.mjs", "origin-response.mjs"] {
        let ended = test(&out.join(file), &[]);
        assert!(ended.status.success(), "{file}: {}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.stdout.matches("  goes on\n").count(), 2, "{file}: {}", ended.stdout);
    }
    let ended = test(&out.join("viewer-request.js"), &[]);
    for part in ["bytes of 10000", "+ headers.traceparent.value: 00-", "access log: rs1;00-", "of the compute limit"] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }

    let bad = site.path("mine.js");
    let code = "function handler(event) { event.request.headers.via = {value: 'me'}; return event.request; }";
    std::fs::write(&bad, code).expect("it can be written");
    let ended = test(&bad, &["--format", "json"]);
    assert!(!ended.status.success(), "CloudFront would answer 502");
    let said: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(said["trials"][0]["status"], 502, "{said}");
    assert_eq!(said["trials"][0]["reason"], "it tried to add, delete, or change the read-only header via");
    let event = site.path("event.json");
    std::fs::write(&event, "{}").expect("it can be written");
    let ended = test(&bad, &["--event", &event.display().to_string()]);
    assert!(!ended.status.success() && ended.stderr.contains("event 0 is none for viewer-request"), "{}", ended.stderr);
}

#[test]
fn the_emulator_says_what_it_does_not_imitate_and_what_it_needs() {
    let ended = Process::spawn(rootspan().args(["edge", "emulate", "--help"])).end();
    for part in ["Imitated:\n  - edge functions on all four events", "Not imitated:\n  - TLS, HTTP/2", "an assumption"]
    {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    let site = Site::new(Setup::default());
    let out = site.path("edge");
    build(&examples().join("edge.yaml"), &out);
    let ended = Process::spawn(
        rootspan()
            .args([
                "edge",
                "emulate",
                "--listen",
                "127.0.0.1:0",
                "--origin",
                "http://127.0.0.1:9",
                "--node",
                "/no/node",
            ])
            .arg("--origin-request")
            .arg(out.join("origin-request.mjs")),
    )
    .end();
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("need Node.js 20 or later: /no/node cannot be run"), "{}", ended.stderr);
}

/// Everything that only a file says: behaviours with origins of their own, an origin group, an error page, WAF, logs to two
/// places.
#[test]
fn a_distribution_is_a_file() {
    let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
    let gateway = site.start();
    let (origin, _requests) = origin();
    build(&examples().join("edge.yaml"), &site.path("edge"));
    let firehose = format!("http://{}/", gateway.address("cloudfront", "http"));
    let file = site.path("distribution.yaml");
    let text = format!(
        r#"
listen: 127.0.0.1:0
origin: http://127.0.0.1:9
functions: {{viewer_request: edge/viewer-request.js}}
behaviors:
  - {{path_pattern: /group/*, failover: {{origin: "http://{origin}"}}}}
  - {{path_pattern: /api/*, origin: "http://{origin}"}}
waf: [{{path_pattern: /admin/*}}]
distribution: {{id: E2EXAMPLE, edge_location: AMS58-P1}}
logs:
  - {{form: v2-json, firehose: "{firehose}", access_key: "${{env:TEST_KEY}}", common_attributes: {{tier: test}}}}
  - {{form: v1, folder: "{folder}"}}
"#,
        folder = site.path("logs").display()
    );
    std::fs::write(&file, text).expect("it can be written");
    let run = || {
        let mut command = rootspan();
        command.args(["edge", "emulate", "--distribution"]).arg(&file).env("TEST_KEY", ACCESS_KEY);
        Process::spawn(&mut command)
    };
    let emulator = run();
    let line = emulator.wait_for_output("CloudFront listens on http://");
    let cdn: SocketAddr = line.split(' ').next().and_then(|address| address.parse().ok()).expect("an address");
    for (path, status) in [("/api/items", 200), ("/group/a", 200), ("/admin/", 403), ("/nobody", 502)] {
        assert_eq!(get(cdn, path).status, status, "{path}");
    }
    emulator.terminate();
    let ended = emulator.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stdout.matches("4 log records written, 4 delivered").count(), 2, "{}", ended.stdout);
    let roots = api::search(
        gateway.ui(),
        r#"{ resource.tier = "test" && span.aws.cloudfront.distribution_id = "E2EXAMPLE" }"#,
        "",
    );
    assert_eq!(roots.len(), 4);
    gateway.stop();

    // Mistakes are told with their place, also those in what the file names.
    std::fs::write(&file, "origin: http://127.0.0.1:9\nfunctions:\n  viewer_request: missing.js\n").expect("written");
    let ended = run().end();
    assert!(!ended.status.success());
    let place = format!("{}:3:19: cannot read ", file.display());
    assert!(ended.stderr.contains(&place), "{place}: {}", ended.stderr);
    std::fs::write(&file, "orgin: http://127.0.0.1:9\nseed: x\n").expect("written");
    let ended = run().end();
    for part in [":1:1: unknown key \"orgin\"", ":2:7: seed must be a number"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
}
