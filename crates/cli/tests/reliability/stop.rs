//! SIGTERM under load: what was acknowledged is delivered within the drain's deadline, or counted and said.

use std::time::Duration;

use crate::gateway::{Gateway, Middle, Protocol, Watch, exporter};
use crate::sink::{Mode, Sink};
use crate::traffic::Traffic;
use crate::wait::eventually;

#[test]
fn sigterm_under_load_delivers_everything_acknowledged() {
    for protocol in Protocol::BOTH {
        let sink = Sink::start(Mode::Slow(Duration::from_millis(20)));
        let middle = Middle { processors: "batch: {timeout: 500ms}", chain: "batch", ..Middle::default() };
        let process = Gateway::new(middle, &[exporter("sink", protocol, sink.address(), "")]).start();
        let traffic = Traffic::light();
        let watch = Watch::start(&process);
        traffic.flow(process.ingest(), || {
            eventually("there is load", || (traffic.told().acknowledged_spans() > 3_000).then_some(()));
            process.stop();
        });
        watch.end();
        assert_eq!(traffic.missing(&sink.seen().taken).len(), 0, "acknowledged spans are lost");
        assert!(sink.seen().taken.values().all(|times| *times == 1), "nothing is sent twice");
    }
}

/// The drain takes its ten seconds, then says how many accepted spans are lost: exactly those that did not arrive.
#[test]
fn sigterm_with_a_silent_back_end_counts_what_is_lost() {
    let sink = Sink::start(Mode::Well);
    let keys = ", timeout: 2s, sending_queue: {queue_size: 100000}";
    let mut process =
        Gateway::new(Middle::default(), &[exporter("sink", Protocol::Grpc, sink.address(), keys)]).start();
    process.expect("they are lost");
    let traffic = Traffic::light();
    traffic.flow(process.ingest(), || {
        eventually("there is load", || (traffic.told().acknowledged_spans() > 1_000).then_some(()));
        sink.set(Mode::BlackHole);
        let before = traffic.told().acknowledged_spans();
        eventually("more waits", || (traffic.told().acknowledged_spans() > before + 1_000).then_some(()));
        process.terminate();
        let said = process.wait_for_log("waited in memory");
        let lost: usize =
            said.rsplit_once("spans=").and_then(|(_, number)| number.trim().parse().ok()).expect("a number");
        assert!(lost > 1_000, "{said}");
        assert_eq!(traffic.missing(&sink.seen().taken).len(), lost, "{said}");
    });
    assert!(process.end().status.success());
}
