//! More than the back end takes, for a while: memory stays below the limit, senders are told when to come back, nothing
//! acknowledged is lost, and afterwards everything is as before.

use std::sync::mpsc;
use std::time::Duration;

use crate::gateway::{Gateway, Middle, Protocol, Watch, account, exporter, number, settled};
use crate::sink::{Mode, Sink};
use crate::traffic::Traffic;
use crate::wait::eventually;

/// `limit_mib` of the limiter below.
const LIMIT_BYTES: u64 = 160 << 20;

/// Length of the overload; 60 s by `ROOTSPAN_OVERLOAD_SECONDS=60`.
fn duration() -> Duration {
    let seconds = std::env::var("ROOTSPAN_OVERLOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(12))
}

#[test]
fn ten_times_the_load_is_refused_with_retry_information_within_the_memory_limit() {
    // Two at a time, 100 ms each: 20 requests a second. Twelve senders offer more than ten times that.
    let sink = Sink::start(Mode::Slow(Duration::from_millis(100)));
    let keys = ", compression: none, sending_queue: {num_consumers: 2, sizer: bytes, queue_size: 1000000000}, \
                retry_on_failure: {initial_interval: 50ms, max_interval: 200ms, max_elapsed_time: 0}";
    let middle = Middle {
        processors: "memory_limiter: {check_interval: 1s, limit_mib: 160}",
        chain: "memory_limiter",
        ..Middle::default()
    };
    let gateway = Gateway::new(middle, &[exporter("sink", Protocol::Grpc, sink.address(), keys)]);
    let process = gateway.start();
    // 200 KiB each.
    let overload = Traffic::new(12, 200, 1_000, Duration::from_millis(20));
    let watch = Watch::start(&process);
    overload.flow(process.ingest(), || {
        let (_open, nothing) = mpsc::channel::<()>();
        assert_eq!(nothing.recv_timeout(duration()), Err(mpsc::RecvTimeoutError::Timeout), "so long it lasts");
        eventually("the limit is reached", || (overload.told().refused.len() > 100).then_some(()));
    });
    // The kernel's own record of the largest resident set.
    let peak = process.peak_memory();
    assert!(peak <= LIMIT_BYTES / 10 * 11, "{} MiB", peak >> 20);
    assert_eq!(overload.told().without_retry_info, Vec::<String>::new());
    assert_eq!(overload.told().nothing, [], "no connection is lost");

    // As before: the queue empties, and what a sender offers slowly is taken.
    sink.set(Mode::Well);
    let ledger = settled(&process);
    watch.end();
    let account = account(&ledger, "exporters", "otlp/sink");
    assert_eq!(number(&account["delivered"]), overload.told().acknowledged_spans(), "{account}");
    assert_eq!(overload.missing(&sink.seen().taken).len(), 0, "acknowledged spans are lost");
    let after = Traffic::light();
    let before = sink.seen().requests;
    after.flow(process.ingest(), || {
        eventually("it takes more", || (after.told().acknowledged_spans() > 2_000).then_some(()));
    });
    assert_eq!(after.told().refused.len(), 0, "nothing is refused any more");
    settled(&process);
    assert!(sink.seen().requests > before);
    process.stop();
}
