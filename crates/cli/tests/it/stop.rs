//! SIGTERM: takes nothing new, finishes what it took, says everything is well.

use serde_json::json;

use crate::api;
use crate::http::get;
use crate::load::Load;
use crate::otlp::{self, export_grpc, now, request, runtime, span, trace_id};
use crate::process::{Setup, Site};
use crate::wait::eventually;

#[test]
fn sigterm_under_load_keeps_everything_acknowledged() {
    let site = Site::new(Setup { store: ", seal_spans: 2000", ..Setup::default() });
    let load = Load::new(7, 50);
    for stop_after in [5, 40, 90] {
        let process = site.start();
        let before = load.acknowledged();
        load.send(process.ingest(), 1000, || {
            eventually("there is load", || (load.acknowledged() >= before + stop_after).then_some(()));
            process.stop();
        });
    }
    let process = site.start();
    let spans = load.check_all_found(process.ui());
    load.check_all_listed(process.ui());
    assert!(spans >= 50 * (5 + 40 + 90), "{spans}");
    assert_eq!(api::status(process.ui())["damagedBlocks"], 0);
    process.stop();
}

/// Connections that wait for their next request do not hold up the end, not even one whose client hangs: nobody drives
/// the gRPC client while the server stops.
#[test]
fn sigterm_with_idle_connections_ends_soon() {
    let site = Site::new(Setup::default());
    let process = site.start();
    let runtime = runtime();
    let mut grpc = runtime.block_on(otlp::client(process.otlp_grpc(), None));
    let id = trace_id("idle", 1);
    let sent = request("idle", vec![span(&id, 1, now())]);
    runtime.block_on(grpc.export(sent)).expect("it is accepted");
    let mut http = crate::http::Connection::open(process.ui()).expect("it listens");
    assert!(api::trace_on(&mut http, &otlp::hex(&id)).is_some());
    let asked = std::time::Instant::now();
    process.stop();
    assert!(asked.elapsed().as_secs() < 8, "{:?}", asked.elapsed());
    drop((grpc, http));
}

/// Both ledgers balance, and say what the senders were told.
#[test]
fn the_ledgers_agree_with_the_senders() {
    let site = Site::new(Setup::default());
    let process = site.start();
    let load = Load::new(8, 50);
    load.send(process.ingest(), 60, || {});
    let ledger = get(process.address("metrics", "http"), "/debug/ledger").json();
    let sent = load.acknowledged() * 50;
    assert_eq!(load.acknowledged(), 60);
    assert_eq!(ledger["imbalances"], json!([]));
    let (receiver, pipeline, exporter) = (&ledger["receivers"][0], &ledger["pipelines"][0], &ledger["exporters"][0]);
    let told =
        [&receiver["received"], &receiver["accepted"], &pipeline["in"], &pipeline["out"], &exporter["delivered"]];
    assert_eq!(told, [sent; 5].map(|sent| json!(sent)).each_ref(), "{ledger}");
    assert_eq!(api::status(process.ui())["spansReceived"], sent);
    assert_eq!(get(process.address("health_check", "http"), "/").status, 200);
    process.stop();
}

#[test]
fn a_second_life_finds_what_the_first_took() {
    let site = Site::new(Setup::default());
    let ids = [trace_id("life", 1), trace_id("life", 2)];
    for id in &ids {
        let process = site.start();
        export_grpc(process.otlp_grpc(), request("life", vec![span(id, 1, now())])).expect("it is accepted");
        process.stop();
    }
    let process = site.start();
    assert_eq!(api::search_ids(process.ui(), r#"{ resource.service.name = "life" }"#), ids.map(|id| otlp::hex(&id)));
    process.stop();
}
