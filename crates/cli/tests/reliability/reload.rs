//! SIGHUP under load, again and again: the ledgers hold all the time, nothing acknowledged is lost, no connection ends.

use crate::gateway::{Gateway, Middle, Protocol, Watch, account, exporter, number, settled};
use crate::http;
use crate::process::Process;
use crate::sink::{Mode, Sink};
use crate::traffic::Traffic;
use crate::wait::eventually;

const QUICK: &str = ", timeout: 1s, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms, max_elapsed_time: 0}, \
                     sending_queue: {queue_size: 100000}";

/// How often a configuration was applied, as the health check says.
fn applied(process: &Process) -> u64 {
    number(&http::get(process.address("health_check", "http"), "/").json()["lastReload"]["applied"])
}

#[test]
fn reloads_under_load_keep_the_ledgers_and_lose_nothing() {
    for protocol in Protocol::BOTH {
        let sink = Sink::start(Mode::Resetting);
        let gateway = Gateway::new(Middle::default(), &[exporter("sink", protocol, sink.address(), QUICK)]);
        let plain = std::fs::read_to_string(gateway.site.config()).expect("just written");
        // The exporter stays as it is, and so does its queue.
        let marking = plain
            .replace(
                "processors: {}",
                "processors: {attributes: {actions: [{key: reloaded, value: yes, action: upsert}]}}",
            )
            .replace("processors: []", "processors: [attributes]");
        // Another exporter: what waits for the old one is delivered all the same.
        let patient = marking.replace("max_interval: 200ms", "max_interval: 300ms");
        assert!(plain != marking && marking != patient);
        let process = gateway.start();
        let traffic = Traffic::light();
        let watch = Watch::start(&process);
        traffic.flow(process.ingest(), || {
            for (round, text) in [&marking, &plain, &patient, &marking].into_iter().enumerate() {
                let enough = traffic.told().acknowledged_spans() + 400;
                eventually("there is load", || (traffic.told().acknowledged_spans() > enough).then_some(()));
                if round == 1 {
                    sink.set(Mode::Well);
                }
                let before = applied(&process);
                std::fs::write(gateway.site.config(), text).expect("it can be written");
                process.hang_up();
                eventually("it is reloaded", || (applied(&process) > before).then_some(()));
            }
        });
        let ledger = settled(&process);
        watch.end();
        let told = traffic.told();
        assert_eq!((told.refused.len(), told.nothing.len()), (0, 0), "no request fails: {:?}", told.nothing);
        let acknowledged = told.acknowledged_spans();
        drop(told);
        assert_eq!(traffic.missing(&sink.seen().taken).len(), 0, "acknowledged spans are lost");
        assert_eq!(number(&account(&ledger, "receivers", "otlp")["accepted"]), acknowledged);
        process.stop();
    }
}
