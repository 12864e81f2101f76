//! SIGHUP: the same sources are read again. What is wrong leaves everything as it is; what is right is applied without a
//! request that fails or a span that is lost.

use serde_json::{Value, json};

use crate::http::{get, post};
use crate::load::Load;
use crate::process::{Process, Setup, Site, rootspan};
use crate::wait::eventually;

/// How often the configuration was applied and rejected, as the health check says.
fn reloads(process: &Process) -> (u64, u64) {
    let health = get(process.address("health_check", "http"), "/").json();
    let count = |outcome: &str| health["lastReload"][outcome].as_u64().unwrap_or(0);
    (count("applied"), count("rejected"))
}

fn ledger(process: &Process) -> Value {
    let ledger = get(process.address("metrics", "http"), "/debug/ledger").json();
    assert_eq!(ledger["imbalances"], json!([]));
    ledger
}

/// Writes a configuration, asks for the reload, and waits until it is applied.
fn reload(site: &Site, process: &Process, text: &str) {
    let (applied, _) = reloads(process);
    std::fs::write(site.config(), text).expect("it can be written");
    process.hang_up();
    eventually("the configuration is reloaded", || (reloads(process).0 > applied).then_some(()));
}

#[test]
fn reloads_under_load_fail_no_request_and_lose_no_span() {
    let site = Site::new(Setup { store: ", seal_spans: 2000", ..Setup::default() });
    let plain = std::fs::read_to_string(site.config()).expect("just written");
    // Changes the pipeline and nothing in the spans.
    let with_processor = plain
        .replace("processors: {}", "processors: {attributes: {actions: [{key: no.such.key, action: delete}]}}")
        .replace("processors: [],", "processors: [attributes],");
    let with_more = plain
        .replace("exporters:\n", "exporters:\n  debug:\n  file: {path: /dev/null}\n")
        .replace("exporters: [store]", "exporters: [store, file]");
    assert!(with_processor != plain && with_more != plain);
    let process = site.start();
    let (load, requests) = (Load::new(21, 50), 400);
    load.send(process.ingest(), requests, || {
        for (round, text) in [&with_processor, &with_more, &plain, &with_processor, &plain].into_iter().enumerate() {
            let enough = 30 * (round as u64 + 1);
            eventually("there is load", || (load.acknowledged() >= enough).then_some(()));
            reload(&site, &process, text);
        }
    });
    assert_eq!(load.acknowledged(), requests, "every request was accepted, on the connections of the beginning");
    let sent = requests * 50;
    eventually("everything has arrived", || {
        let ledger = ledger(&process);
        let (receiver, store) = (&ledger["receivers"][0], &ledger["exporters"][0]);
        let told = (&receiver["accepted"], &store["delivered"], &store["queued"]);
        (told == (&json!(sent), &json!(sent), &json!(0))).then_some(())
    });
    assert_eq!(load.check_all_found(process.ui()) as u64, sent);
    process.stop();
}

#[test]
fn a_bad_configuration_leaves_the_old_one_running_and_says_everything() {
    let site = Site::new(Setup::default());
    let good = std::fs::read_to_string(site.config()).expect("just written");
    let mut process = site.start();
    for words in ["unknown key `endpont`", "unknown key `retentoin`", "was not reloaded", "in use by another program"] {
        process.expect(words);
    }
    let bad = good.replacen("endpoint", "endpont", 1).replace("directory:", "retentoin: 1h, directory:");
    std::fs::write(site.config(), bad).expect("it can be written");
    process.hang_up();
    process.wait_for_log("unknown key `endpont`");
    process.wait_for_log("unknown key `retentoin`");
    eventually("it is counted", || (reloads(&process) == (0, 1)).then_some(()));
    // One that can be read, but cannot run.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let unlucky = good.replacen("127.0.0.1:0", &address, 1);
    std::fs::write(site.config(), unlucky).expect("it can be written");
    process.hang_up();
    process.wait_for_log("in use by another program");
    eventually("it is counted", || (reloads(&process) == (0, 2)).then_some(()));
    let metrics = get(process.address("metrics", "http"), "/metrics").text();
    assert!(metrics.contains("rootspan_config_reloads_total{outcome=\"rejected\"} 2\n"), "{metrics}");
    let load = Load::new(22, 10);
    load.send(process.ingest(), 20, || {});
    assert_eq!(load.acknowledged(), 20);
    load.check_all_found(process.ui());
    process.stop();
}

/// Two back ends, and a gateway in front that is led from one to the other.
#[test]
fn another_endpoint_gets_what_comes_from_then_on_and_nothing_is_lost() {
    let back_ends = [Site::new(Setup::default()), Site::new(Setup::default())];
    let [first, second] = back_ends.each_ref().map(Site::start);
    let front = Site::new(Setup::default());
    let text = |to: &Process| {
        format!(
            r#"
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}, http: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters: {{otlphttp: {{endpoint: "http://{}", sending_queue: {{queue_size: 100000}}}}}}
extensions: {{health_check: {{endpoint: "127.0.0.1:0"}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{port: 0}}}}}}}}]}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlphttp]}}}}
"#,
            to.otlp_http()
        )
    };
    std::fs::write(front.config(), text(&first)).expect("it can be written");
    let process = Process::spawn(rootspan().arg("run").arg("--config").arg(front.config()));
    let (load, requests) = (Load::new(23, 50), 200);
    load.send(process.ingest(), requests, || {
        eventually("there is load", || (load.acknowledged() >= 60).then_some(()));
        reload(&front, &process, &text(&second));
    });
    assert_eq!(load.acknowledged(), requests);
    let sent = requests * 50;
    let taken = |back_end: &Process| ledger(back_end)["receivers"][0]["accepted"].as_u64().unwrap_or(0);
    eventually("everything has arrived", || (taken(&first) + taken(&second) == sent).then_some(()));
    assert!(taken(&first) > 0 && taken(&second) > 0);
    let account = &ledger(&process)["exporters"][0];
    assert_eq!((&account["delivered"], &account["dropped"]), (&json!(sent), &json!({})), "one account for both");
    for process in [process, first, second] {
        process.stop();
    }
}

#[test]
fn receivers_come_and_go() {
    let site = Site::new(Setup::default());
    let one = std::fs::read_to_string(site.config()).expect("just written");
    let two = one
        .replace("processors: {}", "  otlp/second: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}\nprocessors: {}")
        .replace("receivers: [otlp]", "receivers: [otlp, otlp/second]");
    assert_ne!(one, two);
    let process = site.start();
    reload(&site, &process, &two);
    let address = process.address("otlp/second", "http");
    let load = Load::new(24, 10);
    load.send(crate::process::Ingest { http: address, ..process.ingest() }, 30, || {});
    assert_eq!(load.acknowledged(), 30);
    reload(&site, &process, &one);
    eventually("nobody listens there any more", || std::net::TcpStream::connect(address).is_err().then_some(()));
    let answer = post(process.otlp_http(), "/v1/traces", "application/json", b"{}");
    assert_eq!(answer.status, 200, "the other is still there");
    load.check_all_found(process.ui());
    process.stop();
}
