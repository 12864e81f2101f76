//! Lambda@Edge functions that export their spans: the built functions in Node, a real gateway with two tokens, which are rotated
//! under way, and a limit of what may come with each.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::http::{get, send};
use crate::process::{Process, Setup, Site, rootspan};
use crate::wait::eventually;

/// What may come with each token at once; so few come later that they do not matter.
const BURST: u64 = 60;

/// Runs a request through origin-request and origin-response for each that it is asked for; says how many became log lines.
const DRIVER: &str = "
import fs from 'node:fs';
import readline from 'node:readline';
const [folder, events, name] = process.argv.slice(2);
const { handler: request } = await import(folder + '/origin-request.mjs');
const { handler: response } = await import(folder + '/origin-response.mjs');
const [miss] = JSON.parse(fs.readFileSync(events, 'utf8'));
const say = console.log;
let number = 0;
for await (const count of readline.createInterface({ input: process.stdin })) {
    let lines = 0;
    console.log = () => { lines += 1; };
    for (let asked = 0; asked < Number(count); asked += 1) {
        const event = structuredClone(miss);
        event.Records[0].cf.config.requestId = name + number++;
        await request(event);
        event.Records[0].cf.response = { status: '200', statusDescription: 'OK', headers: {} };
        await response(event);
    }
    console.log = say;
    say(lines);
}
process.exit(0);
";

/// The functions with one token.
struct Functions {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Functions {
    fn start(site: &Site, gateway: &Process, token: &str) -> Self {
        let (folder, settings) = (site.path(token), site.path(&format!("{token}.yaml")));
        let endpoint = format!("http://{}/v1/traces", gateway.otlp_http());
        let text = format!("export: {{endpoint: '{endpoint}', token: {token}, budget: 5000ms}}\n");
        std::fs::write(&settings, text).expect("it can be written");
        let build = ["edge", "build", "--settings"];
        let ended = Process::spawn(rootspan().args(build).arg(&settings).arg("--out").arg(&folder)).end();
        assert!(ended.status.success(), "{}", ended.stderr);
        let driver = folder.join("driver.mjs");
        std::fs::write(&driver, DRIVER).expect("it can be written");
        let mut child = Command::new("node")
            .arg(&driver)
            .arg(&folder)
            .arg(events())
            .arg(token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs the functions");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, input, output }
    }

    /// Runs so many requests; gives how many spans were not taken and became log lines.
    fn run(&mut self, requests: u64) -> u64 {
        writeln!(self.input, "{requests}").expect("node reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("node answers");
        line.trim().parse().unwrap_or_else(|_| panic!("not a number: {line}"))
    }
}

impl Drop for Functions {
    fn drop(&mut self) {
        // It may have ended.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/cloudfront/lambda-edge-events.json")
}

/// An address with a port that the system chose, where no other test listens.
fn free_address() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.3:0").expect("a port is free");
    listener.local_addr().expect("it is bound")
}

/// The receiver's account.
fn account(gateway: &Process) -> Value {
    get(gateway.address("metrics", "http"), "/debug/ledger").json()["receivers"][0].clone()
}

#[test]
fn tokens_are_rotated_without_a_refused_span_and_let_in_no_more_than_they_may() {
    let site = Site::new(Setup {
        http: ", auth: {authenticator: bearertokenauth}, max_request_body_size: 64KiB",
        ui: ", auth: {bearer: {token: reader}}",
        ..Setup::default()
    });
    // A receiver that is made anew takes over the socket of its address, which must be a written one for that.
    let plain = std::fs::read_to_string(site.config()).expect("just written");
    let endpoint = format!("http: {{endpoint: \"{}\"", free_address());
    let plain = plain.replace("http: {endpoint: \"127.0.0.1:0\"", &endpoint);
    let with_tokens = |tokens: &str| {
        let extension = format!(
            "extensions:\n  bearertokenauth: {{tokens: [{tokens}], rate_limit: {{spans_per_second: 1, burst: {BURST}}}}}\n"
        );
        plain.replace("extensions:\n", &extension).replace("[health_check, ui]", "[health_check, ui, bearertokenauth]")
    };
    std::fs::write(site.config(), with_tokens("one, two")).expect("it can be written");
    let gateway = site.start();
    let mut one = Functions::start(&site, &gateway, "one");
    let mut two = Functions::start(&site, &gateway, "two");
    assert_eq!((one.run(5), two.run(5)), (0, 0), "both tokens are valid at once");

    // What was baked into functions opens nothing else.
    for target in ["/api/v1/status", "/api/v1/search?q=%7B%7D", "/"] {
        for (token, expected) in [("one", 401), ("reader", 200)] {
            let headers = [("Authorization", format!("Bearer {token}"))];
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let status = send(gateway.ui(), "GET", target, &headers, b"").status;
            // A binary that was built without the page says so.
            assert!(
                status == expected || (target == "/" && status != 401 && expected == 200),
                "{token} {target}: {status}"
            );
        }
    }
    let headers = [("Authorization", "Bearer one"), ("Content-Type", "application/json")];
    let long = format!("{{\"resourceSpans\":[],\"x\":\"{}\"}}", "x".repeat(64 << 10));
    assert_eq!(send(gateway.otlp_http(), "POST", "/v1/traces", &headers, long.as_bytes()).status, 413);
    assert_eq!(send(gateway.otlp_http(), "GET", "/v1/traces", &headers, b"").status, 405);

    // The first token is replaced while spans come with the second.
    std::fs::write(site.config(), with_tokens("two, three")).expect("it can be written");
    gateway.hang_up();
    let reloaded = || get(gateway.address("health_check", "http"), "/").json()["lastReload"]["applied"] == 1;
    let mut sent = 10;
    eventually("the tokens are reloaded", || {
        // A bucket is a new one after a reload.
        if sent < BURST {
            sent += 1;
            assert_eq!(two.run(1), 0, "not one span was refused");
        }
        reloaded().then_some(())
    });
    assert_eq!(two.run(5), 0, "{}", account(&gateway));
    let mut three = Functions::start(&site, &gateway, "three");
    assert_eq!(three.run(5), 0, "the new one is valid");
    assert_eq!(one.run(5), 5, "the old one is worth nothing; its spans are log lines");
    assert_eq!(account(&gateway)["accepted"], sent + 10);
    assert_eq!(account(&gateway)["refused_requests"]["unauthenticated"], 5);

    // A flood with one token ends at its limit, and leaves the others alone.
    let lines = three.run(3 * BURST);
    assert!(lines >= BURST, "{lines} of {} were refused", 3 * BURST);
    assert!(lines <= 2 * BURST + 5, "{lines} were refused, but {BURST} may come");
    assert_eq!(two.run(5), 0, "each token has a limit of its own");
    let account = account(&gateway);
    assert_eq!(account["accepted"], sent + 15 + 3 * BURST - lines, "what was answered with success is there");
    assert_eq!(account["refused_requests"]["rate_limit"], lines);
    let answer =
        send(gateway.otlp_http(), "POST", "/v1/traces", &[headers[1], ("Authorization", "Bearer three")], b"{}");
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    gateway.stop();
}
