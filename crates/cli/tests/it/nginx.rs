//! A plain nginx whose log is read: the lines that `rootspan nginx config --log` prints, in the installed nginx, and what becomes of
//! its requests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::api;
use crate::process::{Process, rootspan};
use crate::wait::eventually;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// An nginx until the end of the test.
struct Nginx {
    port: u16,
    process: Child,
}

impl Nginx {
    /// Starts nginx with this `http` block, which is given its `listen`.
    fn start(folder: &Path, http: impl FnOnce(&str) -> String) -> Self {
        // Bound here and handed over, as nginx hands sockets to its successor: nobody can take the port in between.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let user = if rustix::process::getuid().is_root() { "user root;\n" } else { "" };
        let temp =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path temp_{kind};\n"));
        let http = http(&format!("listen 127.0.0.1:{port};"));
        let http = http.replacen("http {", &format!("http {{\n{}", temp.concat()), 1);
        let config = format!(
            "{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log error.log info;\nevents {{}}\n{http}"
        );
        std::fs::write(folder.join("nginx.conf"), config).expect("the folder is ours");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).args(["-e", "error.log", "-c", "nginx.conf"]);
        let checked = command.arg("-t").output().expect("nginx is installed");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).args(["-e", "error.log", "-c", "nginx.conf"]).env("NGINX", "0;");
        let process = command.stdin(Stdio::from(OwnedFd::from(listener))).spawn().expect("nginx is installed");
        Self { port, process }
    }

    /// `GET path`; the whole answer.
    fn get(&self, path: &str, headers: &[&str]) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).expect("nginx listens");
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{headers}\r\n");
        connection.write_all(request.as_bytes()).expect("nginx reads");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).expect("nginx answers");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Tells nginx to open its logs anew.
    fn reopen(&self) {
        let told = Command::new("kill").args(["-USR1", &self.process.id().to_string()]).status();
        assert!(told.expect("kill is there").success());
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The test is over either way.
        drop(Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status());
        drop(self.process.wait());
    }
}

/// A server that answers 200 and tells the headers that it got, in lower case.
fn upstream() -> (u16, Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut lines = Vec::new();
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                lines.push(line.trim_end().to_lowercase());
                line.clear();
            }
            // The test may have ended.
            drop(sender.send(lines));
            drop(reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"));
        }
    });
    (port, heard)
}

/// Runs rootspan with these keys of the receiver.
fn gateway(folder: &Path, receiver: &str) -> Process {
    let config = folder.join("rootspan.yaml");
    let text = format!(
        "receivers:\n  nginxlog: {{{receiver}, storage: file_storage, poll_interval: 20ms}}\n\
         exporters:\n  store: {{directory: '{0}/data'}}\nextensions:\n  health_check: {{endpoint: '127.0.0.1:0'}}\n\
         \x20 ui: {{endpoint: '127.0.0.1:0'}}\n  file_storage: {{directory: '{0}/storage'}}\n\
         service:\n  extensions: [health_check, ui, file_storage]\n\
         \x20 telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{port: 0}}}}}}}}]}}}}\n\
         \x20 pipelines:\n    traces: {{receivers: [nginxlog], exporters: [store]}}\n",
        folder.display()
    );
    std::fs::write(&config, text).expect("the folder is ours");
    let process = Process::spawn(rootspan().arg("run").arg("--config").arg(&config));
    process.wait_until_ready();
    process
}

fn printed(arguments: &[&str]) -> String {
    let ended = Process::spawn(rootspan().args(["nginx", "config"]).args(arguments)).end();
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.stdout
}

/// A span, as far as these tests look.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    kind: u64,
    name: String,
    id: String,
    parent: String,
    error: String,
    port: String,
}

/// Spans of a trace, once there are so many, in order of their starts, the SERVER span first.
fn spans(process: &Process, trace: &str, count: usize) -> Vec<Seen> {
    let found =
        eventually("the trace has its spans", || api::trace(process.ui(), trace).filter(|spans| spans.len() >= count));
    assert_eq!(found.len(), count, "{found:#?}");
    let mut spans: Vec<&Value> = found.iter().map(|item| &item["span"]).collect();
    let start = |span: &Value| span["startTimeUnixNano"].as_str().map(str::to_owned);
    spans.sort_by_key(|span| (start(span), span["kind"].as_u64(), span["endTimeUnixNano"].to_string()));
    spans.into_iter().map(seen).collect()
}

fn seen(span: &Value) -> Seen {
    let attributes = span["attributes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let attribute = |key: &str| {
        let found = attributes.iter().find(|attribute| attribute["key"] == key);
        let value = found.and_then(|attribute| attribute["value"].as_object()?.values().next().cloned());
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
    };
    let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
    Seen {
        kind: span["kind"].as_u64().unwrap_or_default(),
        name: text("name"),
        id: text("spanId"),
        parent: text("parentSpanId"),
        error: attribute("error.type"),
        port: attribute("network.peer.port"),
    }
}

const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// A part of a text of digits.
fn part(text: &str, range: std::ops::Range<usize>) -> &str {
    text.get(range).expect("the text is so long")
}

/// The value of a header that the upstream got; empty if it got none.
fn header(heard: &[String], name: &str) -> String {
    let prefix = format!("{name}: ");
    heard.iter().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
}

#[test]
fn the_printed_lines_make_spans_of_a_plain_nginx() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("rootspan.log");
    let process = gateway(folder.path(), &format!("include: ['{}']", log.display()));
    let lines = printed(&["--log", "--log-file", &log.display().to_string()]);
    let (port, heard) = upstream();
    let nginx = Nginx::start(folder.path(), |listen| {
        format!(
            "http {{\n{lines}\nupstream two {{ server 127.0.0.1:9 max_fails=0; server 127.0.0.1:{port} backup; }}\n\
             server {{ {listen}\nlocation / {{ proxy_pass http://127.0.0.1:{port}; }}\n\
             location /two/ {{ proxy_pass http://two; }}\nlocation /down/ {{ proxy_pass http://127.0.0.1:9; }}\n\
             location /own/ {{ return 204; }}\n}}\n}}\n"
        )
    });
    let sent = format!("Traceparent: 00-{TRACE}-{PARENT}-01");
    let stale = "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1";
    nginx.get("/api?x=1", &[&sent, "tracestate: vendor=1", stale, "X-B3-TraceId: 80f198ee56343ba864fe8b2a57d3eff7"]);
    let got = heard.recv().expect("nginx asked");
    let parent = header(&got, "traceparent");
    assert_eq!((header(&got, "tracestate"), header(&got, "b3")), ("vendor=1".to_owned(), String::new()));
    assert_eq!(header(&got, "x-b3-traceid"), "");
    let [server, client] = &spans(&process, TRACE, 2)[..] else { panic!("two spans") };
    assert_eq!((server.kind, server.name.as_str(), server.parent.as_str()), (SERVER, "GET", PARENT));
    assert_eq!((client.kind, &client.parent, client.error.as_str()), (CLIENT, &server.id, ""));
    assert_eq!(parent, format!("00-{TRACE}-{}-01", client.id));

    // A retry, a failure, and what nginx answers itself.
    for (number, path, errors) in
        [(1, "/two/", &["", "connect_failed"][..]), (2, "/down/", &["connect_failed"]), (3, "/own/", &[])]
    {
        let trace = format!("{}{number:016x}", part(TRACE, 0..16));
        nginx.get(path, &[&format!("traceparent: 00-{trace}-{PARENT}-01")]);
        let spans = spans(&process, &trace, errors.len() + 1);
        let server = &spans[0];
        assert_eq!((server.kind, server.parent.as_str()), (SERVER, PARENT), "{path}");
        // Both tries may have begun in the same millisecond.
        let mut seen: Vec<&str> = spans[1..].iter().map(|span| span.error.as_str()).collect();
        seen.sort_unstable();
        assert_eq!(seen, errors, "{path}");
        assert!(spans[1..].iter().all(|span| span.kind == CLIENT && span.parent == server.id), "{spans:#?}");
    }
    heard.recv().expect("the second server was asked");

    // What is malformed begins a new trace; what is not sampled stays so and makes no span.
    nginx.get("/new", &["traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01", "tracestate: a=1"]);
    let got = heard.recv().expect("nginx asked");
    let (new, state) = (header(&got, "traceparent"), header(&got, "tracestate"));
    assert!(new.starts_with("00-") && new.ends_with("-03") && state.is_empty(), "{new} {state}");
    let spans_of_new = spans(&process, part(&new, 3..35), 2);
    assert_eq!((spans_of_new[0].parent.as_str(), spans_of_new[1].id.as_str()), ("", part(&new, 36..52)));
    let unsampled = "4bf92f3577b34da6a3ce929d0e0e0000";
    nginx.get("/unsampled", &[&format!("traceparent: 00-{unsampled}-{PARENT}-02")]);
    assert!(header(&heard.recv().expect("nginx asked"), "traceparent").starts_with(&format!("00-{unsampled}-")));

    // Rotation as logrotate does it.
    std::fs::rename(&log, folder.path().join("rootspan.log.1")).expect("it is renamed");
    let before = "4bf92f3577b34da6a3ce929d0e0e0001";
    nginx.get("/own/", &[&format!("traceparent: 00-{before}-{PARENT}-01")]);
    nginx.reopen();
    eventually("nginx has reopened its log", || log.exists().then_some(()));
    let after = "4bf92f3577b34da6a3ce929d0e0e0002";
    nginx.get("/own/", &[&format!("traceparent: 00-{after}-{PARENT}-01")]);
    spans(&process, before, 1);
    spans(&process, after, 1);
    assert_eq!(api::trace(process.ui(), unsampled), None);
    process.stop();
}

#[test]
fn b3_comes_in_and_goes_on_and_lines_travel_by_syslog() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("nginx.sock");
    let process = gateway(folder.path(), &format!("syslog: {{unix: '{}'}}", socket.display()));
    let lines = printed(&[
        "--log",
        "--propagators",
        "tracecontext,b3,b3multi",
        "--syslog",
        &format!("unix:{}", socket.display()),
    ]);
    let (port, heard) = upstream();
    let nginx = Nginx::start(folder.path(), |listen| {
        format!("http {{\n{lines}\nserver {{ {listen}\nlocation / {{ proxy_pass http://127.0.0.1:{port}; }}\n}}\n}}\n")
    });
    for (index, (headers, trace, sampled)) in [
        (vec![format!("b3: {TRACE}-{PARENT}-1")], TRACE.to_owned(), true),
        (vec![format!("b3: {}-{PARENT}", part(TRACE, 16..32))], format!("{:0>32}", part(TRACE, 16..32)), true),
        (
            vec![
                format!("X-B3-TraceId: {}1", part(TRACE, 0..31)),
                format!("X-B3-SpanId: {PARENT}"),
                "X-B3-Sampled: 1".to_owned(),
            ],
            format!("{}1", part(TRACE, 0..31)),
            true,
        ),
        (vec![format!("b3: {}2-{PARENT}-0", part(TRACE, 0..31))], format!("{}2", part(TRACE, 0..31)), false),
        (vec!["b3: 0".to_owned()], String::new(), false),
    ]
    .into_iter()
    .enumerate()
    {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        nginx.get("/", &headers);
        let got = heard.recv().expect("nginx asked");
        let parent = header(&got, "traceparent");
        let (on_trace, on_span) = (part(&parent, 3..35), part(&parent, 36..52));
        assert!(trace.is_empty() || on_trace == trace, "{index}: {parent}");
        let flag = u8::from(sampled);
        assert_eq!(header(&got, "b3"), format!("{on_trace}-{on_span}-{flag}"), "{index}");
        assert_eq!(header(&got, "x-b3-traceid"), on_trace, "{index}");
        assert_eq!((header(&got, "x-b3-spanid"), header(&got, "x-b3-sampled")), (on_span.to_owned(), flag.to_string()));
        if sampled {
            assert_eq!(spans(&process, on_trace, 2)[0].parent, PARENT, "{index}");
        }
    }
    process.stop();
}

#[test]
fn a_configuration_of_the_blogs_module_is_traced_by_its_log() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("rootspan.log");
    let process = gateway(folder.path(), &format!("include: ['{}']", log.display()));
    let (port, heard) = upstream();
    let old = folder.path().join("old.conf");
    let text = format!(
        "load_module /opt/otel_ngx_module.so;\nhttp {{\n    opentelemetry_config otel-nginx.toml;\n\
         \x20   opentelemetry_attribute \"deployment.environment.name\" \"test\";\n    opentelemetry_operation_name front;\n\
         \x20   server {{ LISTEN\n        location / {{\n            opentelemetry_propagate;\n\
         \x20           opentelemetry_capture_headers on;\n            proxy_pass http://127.0.0.1:{port};\n        }}\n    }}\n}}\n"
    );
    std::fs::write(&old, text).expect("the folder is ours");
    let (from, to) = (old.display().to_string(), log.display().to_string());
    let ended = Process::spawn(rootspan().args(["nginx", "config", "--log", "--log-file", &to, "--from", &from])).end();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stderr.contains("old.conf:9: opentelemetry_capture_headers on: no counterpart"), "{}", ended.stderr);
    let nginx = Nginx::start(folder.path(), |listen| ended.stdout.replace("LISTEN", listen));
    nginx.get("/", &[&format!("traceparent: 00-{TRACE}-{PARENT}-01")]);
    let [server, client] = &spans(&process, TRACE, 2)[..] else { panic!("two spans") };
    assert_eq!((server.name.as_str(), server.parent.as_str()), ("front", PARENT));
    assert_eq!(header(&heard.recv().expect("nginx asked"), "traceparent"), format!("00-{TRACE}-{}-01", client.id));
    process.stop();
}
