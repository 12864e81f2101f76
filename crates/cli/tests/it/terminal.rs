//! `rootspan search` and `rootspan trace`: the answers of the UI for people and for programs.

use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::Value;

use crate::otlp::{export_grpc, hex, now, request, span, trace_id};
use crate::process::{Ended, Process, Setup, Site, rootspan};

fn ask(process: &Process, arguments: &[&str]) -> Ended {
    let url = format!("http://{}", process.ui());
    Process::spawn(rootspan().args(arguments).args(["--url", &url])).end()
}

#[test]
fn search_and_trace_show_what_is_there() {
    let site = Site::new(Setup::default());
    let process = site.start();
    let id = trace_id("terminal", 1);
    let start = now();
    let root = Span { name: "GET /checkout\u{1b}[31m".into(), ..span(&id, 1, start) };
    let child = Span {
        parent_span_id: 1u64.to_be_bytes().to_vec(),
        name: "SELECT".into(),
        status: Some(Status { code: 2, message: "deadlock".into() }),
        ..span(&id, 2, start + 1_000_000)
    };
    export_grpc(process.otlp_grpc(), request("shop", vec![root, child])).expect("it is accepted");

    let found = ask(&process, &["search", "{ status = error }"]);
    assert!(found.status.success(), "{}", found.stderr);
    assert!(found.stdout.contains(&hex(&id)) && found.stdout.contains("GET /checkout"), "{}", found.stdout);
    assert!(!found.stdout.contains('\u{1b}'), "a span's name cannot control the terminal");
    let found = ask(&process, &["search", "{ status = error }", "--format", "json"]);
    let answer: Value = serde_json::from_str(&found.stdout).expect("JSON");
    assert_eq!(answer["traces"][0]["traceId"], hex(&id).as_str());
    let none = ask(&process, &["search", "{ duration > 1h }"]);
    assert!(none.status.success() && none.stdout.contains("no trace matches"), "{}", none.stdout);

    let shown = ask(&process, &["trace", &hex(&id)]);
    assert!(shown.status.success(), "{}", shown.stderr);
    assert!(shown.stdout.contains("SELECT") && shown.stdout.contains("where the time went"), "{}", shown.stdout);
    assert!(!shown.stdout.contains('\u{1b}'), "a span's name cannot control the terminal");
    let shown = ask(&process, &["trace", &hex(&id), "--format", "json"]);
    assert!(serde_json::from_str::<Value>(&shown.stdout).expect("JSON")["resourceSpans"].is_array());
    process.stop();
}

#[test]
fn a_question_that_has_no_answer_is_one_sentence() {
    let site = Site::new(Setup { ui: ", auth: {bearer: {token: t0ken}}", ..Setup::default() });
    let process = site.start();
    let refused = ask(&process, &["search"]);
    assert!(!refused.status.success() && refused.stderr.contains("credentials"), "{}", refused.stderr);
    let token = ["--token", "t0ken"];
    let mistake = ask(&process, &["search", "{ duration > fast }", token[0], token[1]]);
    assert!(!mistake.status.success());
    let lines: Vec<_> = mistake.stderr.lines().collect();
    assert_eq!(lines[0], "{ duration > fast }");
    assert_eq!(lines[1].find('^'), Some(13), "it points at the mistake: {}", mistake.stderr);
    let absent = ask(&process, &["trace", "000000000000000000000000000000ff", token[0], token[1]]);
    assert!(!absent.status.success() && absent.stderr.contains("has no trace"), "{}", absent.stderr);
    let no_id = ask(&process, &["trace", "xyz", token[0], token[1]]);
    assert!(!no_id.status.success() && no_id.stderr.contains("32 hexadecimal digits"), "{}", no_id.stderr);
    let address = process.ui();
    process.stop();
    let gone = Process::spawn(rootspan().args(["search", "--url", &format!("http://{address}")])).end();
    assert!(!gone.status.success() && gone.stderr.contains("is rootspan running"), "{}", gone.stderr);
}

#[test]
fn a_name_and_a_password_are_as_good_as_a_token() {
    let auth = ", auth: {basic: {username: ops, password: \"s3cret:with:colons\"}}";
    for (ui, user) in [(auth, "ops:s3cret:with:colons"), (", auth: {bearer: {token: t0ken}}", "anybody:t0ken")] {
        let site = Site::new(Setup { ui, ..Setup::default() });
        let process = site.start();
        let found = ask(&process, &["search", "--user", user]);
        assert!(found.status.success() && found.stdout.contains("no trace matches"), "{user}: {}", found.stderr);
        let wrong = ask(&process, &["search", "--user", "ops:wrong"]);
        assert!(!wrong.status.success() && wrong.stderr.contains("credentials"), "{}", wrong.stderr);
        process.stop();
    }
    let url = ["--url", "http://127.0.0.1:9"];
    let both = Process::spawn(rootspan().args(["search", "--user", "a:b", "--token", "t"]).args(url)).end();
    assert!(!both.status.success() && both.stderr.contains("cannot be used with"), "{}", both.stderr);
    let none = Process::spawn(rootspan().args(["search"]).args(url).env("ROOTSPAN_USER", "s3cret")).end();
    assert!(!none.status.success() && none.stderr.contains("NAME:PASSWORD"), "{}", none.stderr);
    assert!(!none.stderr.contains("s3cret"), "{}", none.stderr);
}
