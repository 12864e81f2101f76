//! Back ends in every state: what is acknowledged arrives, or is counted by the reason that the back end gave.

use std::time::Duration;

use crate::gateway::{Gateway, Middle, Protocol, Watch, account, exporter, ledger, number, settled};
use crate::process::Process;
use crate::sink::{Mode, Sink};
use crate::traffic::Traffic;
use crate::wait::eventually;

/// Quick answers to failures, so that tests are short; what is not said is the default.
const QUICK: &str = ", timeout: 1s, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms, max_elapsed_time: 0}, \
                     sending_queue: {queue_size: 100000}";

/// Load while the back end is in `mode`, until `enough` is true of it; then it gets well, and must get everything.
fn survives(protocol: Protocol, mode: Mode, enough: impl Fn(&Sink, &Process) -> bool) -> Sink {
    let sink = Sink::start(mode);
    let gateway = Gateway::new(Middle::default(), &[exporter("sink", protocol, sink.address(), QUICK)]);
    let process = gateway.start();
    let traffic = Traffic::light();
    let watch = Watch::start(&process);
    traffic.flow(process.ingest(), || {
        eventually("the fault shows", || enough(&sink, &process).then_some(()));
        eventually("there is load", || (traffic.told().acknowledged_spans() > 1_000).then_some(()));
        sink.set(Mode::Well);
        let before = sink.spans();
        eventually("it goes on", || (sink.spans() > before + 1_000).then_some(()));
    });
    let ledger = settled(&process);
    watch.end();
    everything_arrived(&traffic, &sink, account(&ledger, "exporters", &id(protocol)));
    process.stop();
    sink
}

fn id(protocol: Protocol) -> String {
    exporter("sink", protocol, ([127, 0, 0, 1], 1).into(), "").0
}

fn everything_arrived(traffic: &Traffic, sink: &Sink, account: &serde_json::Value) {
    let told = traffic.told();
    assert_eq!((told.refused.len(), told.nothing.len()), (0, 0), "a queue that is not full takes everything");
    let acknowledged = told.acknowledged_spans();
    drop(told);
    assert_eq!(traffic.missing(&sink.seen().taken).len(), 0, "acknowledged spans are lost");
    assert_eq!(sink.spans(), acknowledged, "nothing arrives that was not sent");
    assert_eq!(number(&account["delivered"]), acknowledged, "{account}");
    assert_eq!(account["dropped"], serde_json::json!({}));
}

#[test]
fn a_slow_back_end_gets_everything() {
    for protocol in Protocol::BOTH {
        let sink = survives(protocol, Mode::Slow(Duration::from_millis(200)), |sink, _| sink.seen().requests > 20);
        assert!(sink.seen().taken.values().all(|times| *times == 1), "nothing is sent twice");
    }
}

#[test]
fn a_busy_back_end_is_not_asked_before_the_time_that_it_gave() {
    for protocol in Protocol::BOTH {
        for mode in [Mode::Busy, Mode::Unavailable] {
            let sink = survives(protocol, mode, |sink, _| sink.seen().requests > 20);
            assert_eq!(sink.seen().too_early, 0, "{protocol:?} {mode:?}");
            assert!(sink.seen().taken.values().all(|times| *times == 1), "nothing is sent twice");
        }
    }
}

#[test]
fn a_back_end_that_resets_connections_gets_everything() {
    for protocol in Protocol::BOTH {
        survives(protocol, Mode::Resetting, |_, process| {
            number(&account(&ledger(process), "exporters", &id(protocol))["queued"]) > 1_000
        });
    }
}

#[test]
fn a_black_hole_is_left_after_the_timeout() {
    for protocol in Protocol::BOTH {
        // Each request has been sent more than once.
        survives(protocol, Mode::BlackHole, |sink, _| sink.seen().requests > 30);
    }
}

#[test]
fn a_dead_back_end_gets_everything_when_it_lives_again() {
    for protocol in Protocol::BOTH {
        let mut sink = Sink::closed();
        let gateway = Gateway::new(Middle::default(), &[exporter("sink", protocol, sink.address(), QUICK)]);
        let process = gateway.start();
        let traffic = Traffic::light();
        let watch = Watch::start(&process);
        traffic.flow(process.ingest(), || {
            eventually("much waits", || {
                let ledger = ledger(&process);
                (number(&account(&ledger, "exporters", &id(protocol))["queued"]) > 2_000).then_some(())
            });
            sink.open();
            eventually("it goes on", || (sink.spans() > 4_000).then_some(()));
        });
        let ledger = settled(&process);
        watch.end();
        everything_arrived(&traffic, &sink, account(&ledger, "exporters", &id(protocol)));
        process.stop();
    }
}

#[test]
fn what_a_back_end_refuses_for_good_is_counted_and_not_sent_again() {
    for protocol in Protocol::BOTH {
        let sink = Sink::start(Mode::Refusing);
        let gateway = Gateway::new(Middle::default(), &[exporter("sink", protocol, sink.address(), QUICK)]);
        let mut process = gateway.start();
        process.expect("refused accepted spans for good");
        let traffic = Traffic::light();
        let watch = Watch::start(&process);
        traffic.flow(process.ingest(), || {
            eventually("there is load", || (sink.seen().requests > 50).then_some(()));
        });
        let ledger = settled(&process);
        watch.end();
        let account = account(&ledger, "exporters", &id(protocol));
        let acknowledged = traffic.told().acknowledged_spans();
        assert_eq!(number(&account["dropped"]["rejected_by_backend"]), acknowledged, "{account}");
        assert_eq!(number(&account["delivered"]), 0);
        assert_eq!(sink.seen().requests, traffic.told().acknowledged.len() as u64, "each request is sent once");
        process.stop();
    }
}

#[test]
fn a_sender_that_waits_for_the_result_hears_that_the_back_end_refused() {
    let sink = Sink::start(Mode::Refusing);
    let keys = ", timeout: 1s, sending_queue: {wait_for_result: true}, retry_on_failure: {enabled: false}";
    let gateway = Gateway::new(Middle::default(), &[exporter("sink", Protocol::Grpc, sink.address(), keys)]);
    let process = gateway.start();
    let traffic = Traffic::light();
    let watch = Watch::start(&process);
    traffic.flow(process.ingest(), || {
        eventually("refusals", || (traffic.told().refused.len() > 20).then_some(()));
        sink.set(Mode::Well);
        eventually("and acceptance", || (traffic.told().acknowledged_spans() > 200).then_some(()));
    });
    watch.end();
    let ledger = settled(&process);
    assert_eq!(account(&ledger, "exporters", &id(Protocol::Grpc))["dropped"], serde_json::json!({}));
    assert_eq!(traffic.missing(&sink.seen().taken).len(), 0);
    assert_eq!(sink.spans(), traffic.told().acknowledged_spans());
    process.stop();
}

/// The dead one loses what its full queue does not take, since `on_full: drop` says so; the healthy one and the senders
/// do not notice.
#[test]
fn a_dead_exporter_beside_a_healthy_one_holds_up_nobody() {
    let (healthy, dead) = (Sink::start(Mode::Well), Sink::closed());
    let full = ", sending_queue: {queue_size: 20, on_full: drop}, \
                retry_on_failure: {initial_interval: 100ms, max_interval: 100ms, max_elapsed_time: 1s}";
    let exporters = [
        exporter("healthy", Protocol::Grpc, healthy.address(), QUICK),
        exporter("dead", Protocol::Http, dead.address(), full),
    ];
    let mut process = Gateway::new(Middle::default(), &exporters).start();
    process.expect("could not be delivered in time");
    let traffic = Traffic::light();
    let watch = Watch::start(&process);
    traffic.flow(process.ingest(), || {
        eventually("much arrives", || (healthy.spans() > 10_000).then_some(()));
        eventually("the dead one gives up", || {
            let ledger = ledger(&process);
            let dropped = &account(&ledger, "exporters", "otlphttp/dead")["dropped"];
            (number(&dropped["queue_full"]) > 0 && number(&dropped["retry_timeout"]) > 0).then_some(())
        });
    });
    let ledger = settled(&process);
    watch.end();
    everything_arrived(&traffic, &healthy, account(&ledger, "exporters", "otlp/healthy"));
    let account = account(&ledger, "exporters", "otlphttp/dead");
    let lost = number(&account["dropped"]["queue_full"]) + number(&account["dropped"]["retry_timeout"]);
    assert_eq!(lost, traffic.told().acknowledged_spans(), "{account}");
    process.stop();
}

/// Without `on_full: drop` a full queue refuses: senders keep what does not fit, the healthy exporter has it anyway.
#[test]
fn a_full_queue_refuses_with_retry_information_and_loses_nothing() {
    let (healthy, mut dead) = (Sink::start(Mode::Well), Sink::closed());
    let small = ", sending_queue: {queue_size: 20}, \
                 retry_on_failure: {initial_interval: 50ms, max_interval: 100ms, max_elapsed_time: 0}";
    let exporters = [
        exporter("healthy", Protocol::Grpc, healthy.address(), QUICK),
        exporter("dead", Protocol::Http, dead.address(), small),
    ];
    let process = Gateway::new(Middle::default(), &exporters).start();
    let traffic = Traffic::light();
    let watch = Watch::start(&process);
    traffic.flow(process.ingest(), || {
        eventually("refusals", || (traffic.told().refused.len() > 50).then_some(()));
        dead.open();
        let before = traffic.told().acknowledged_spans();
        eventually("it goes on", || (traffic.told().acknowledged_spans() > before + 1_000).then_some(()));
    });
    let ledger = settled(&process);
    watch.end();
    for sink in [&healthy, &dead] {
        assert_eq!(traffic.missing(&sink.seen().taken).len(), 0, "acknowledged spans are lost");
    }
    let told = traffic.told();
    assert_eq!(told.without_retry_info, Vec::<String>::new());
    assert_eq!(healthy.spans(), told.acknowledged_spans() + told.refused_spans(), "it has what the other refused");
    assert_eq!(account(&ledger, "exporters", "otlphttp/dead")["dropped"], serde_json::json!({}));
    drop(told);
    process.stop();
}
