//! Queues on disk, behind `batch`, with the collector's file as it is: what was acknowledged outlives the process, in
//! whatever way it ends, and is delivered by the next one.

#![expect(clippy::print_stdout, reason = "how soon it listens is worth reading")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::gateway::{Gateway, Middle, Protocol, Watch, account, exporter, ledger, number, settled};
use crate::process::{Process, rootspan, run};
use crate::sink::{Mode, Sink};
use crate::small_disk::{SmallDisk, fill};
use crate::traffic::Traffic;
use crate::wait::eventually;

/// Lives of the process that end with SIGKILL; `ROOTSPAN_KILLS` makes more.
const KILLS: u64 = 20;

/// Beside `endpoint` of the exporter.
const STORED: &str = ", timeout: 1s, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}, \
                      sending_queue: {queue_size: 100000, storage: file_storage}";

const ID: &str = "otlp/sink";

fn middle() -> Middle {
    Middle {
        processors: "batch: {timeout: 100ms}",
        chain: "batch",
        extensions: "  file_storage: {directory: \"FOLDER/queues\", min_free_percent: 0}",
        more_extensions: ", file_storage",
    }
}

fn stored(sink: &Sink) -> Gateway {
    Gateway::new(middle(), &[exporter("sink", Protocol::Grpc, sink.address(), STORED)])
}

/// Everything that was acknowledged is at the back end, and the last life's ledger says what it did itself.
fn check_all_arrived(traffic: &Traffic, sink: &Sink, process: &Process) {
    let ledger = settled(process);
    assert_eq!(account(&ledger, "exporters", ID)["dropped"], serde_json::json!({}), "{ledger:#}");
    let missing = traffic.missing(&sink.seen().taken);
    assert_eq!(missing.len(), 0, "acknowledged spans are lost: {:?} …", missing.iter().take(10).collect::<Vec<_>>());
}

/// Where a kill falls is drawn from a seed: after so many acknowledgements, with the back end in this mode.
#[test]
fn twenty_kills_behind_batch_lose_nothing_that_was_acknowledged() {
    let number_of = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let (kills, mut random) = (number_of("ROOTSPAN_KILLS").unwrap_or(KILLS), number_of("KILL_SEED").unwrap_or(1));
    let sink = Sink::start(Mode::Well);
    let gateway = stored(&sink);
    let traffic = Traffic::light();
    let mut recovered = 0;
    for _ in 0..kills {
        random = splitmix(random);
        sink.set(
            [Mode::Well, Mode::Slow(Duration::from_millis(30)), Mode::Resetting, Mode::BlackHole][random as usize % 4],
        );
        let process = gateway.start();
        recovered += number(&account(&ledger(&process), "exporters", ID)["recovered"]);
        let watch = Watch::start(&process);
        traffic.flow(process.ingest(), || {
            let enough = traffic.told().acknowledged_spans() + 20 * (1 + (random >> 8) % 60);
            eventually("there is load", || (traffic.told().acknowledged_spans() >= enough).then_some(()));
            process.kill();
        });
        watch.end();
    }
    assert!(recovered > 0, "no kill left anything to be delivered by the next life");
    sink.set(Mode::Well);
    let process = gateway.start();
    check_all_arrived(&traffic, &sink, &process);
    assert!(traffic.told().acknowledged_spans() > kills * 20);
    process.stop();
}

fn splitmix(state: u64) -> u64 {
    let mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// A life with a dead back end that ends in order: everything waits on disk. Gives what was sent.
fn backlog(gateway: &Gateway, traffic: Traffic, spans: u64) -> Traffic {
    let process = gateway.start();
    let watch = Watch::start(&process);
    traffic.flow(process.ingest(), || {
        eventually("much waits", || (traffic.told().acknowledged_spans() > spans).then_some(()));
        // Under load, and without waiting for the back end.
        process.stop();
    });
    watch.end();
    traffic
}

#[test]
fn sigterm_leaves_what_a_dead_back_end_did_not_take_to_the_next_life() {
    let mut sink = Sink::closed();
    let gateway = stored(&sink);
    let traffic = backlog(&gateway, Traffic::light(), 2_000);
    sink.open();
    let process = gateway.start();
    check_all_arrived(&traffic, &sink, &process);
    assert_eq!(number(&account(&ledger(&process), "exporters", ID)["recovered"]), traffic.told().acknowledged_spans());
    assert!(sink.seen().taken.values().all(|times| *times == 1), "nothing is sent twice");
    process.stop();
}

/// Much more than may be in memory. How long the start takes is a figure of the benchmark.
#[test]
fn a_long_backlog_is_delivered_within_the_memory_limit() {
    const LIMIT: u64 = 160 << 20;
    let mut sink = Sink::closed();
    let limited = Middle {
        processors: "memory_limiter: {check_interval: 1s, limit_mib: 160}, batch: {timeout: 100ms}",
        chain: "memory_limiter, batch",
        ..middle()
    };
    let keys = ", timeout: 5s, compression: none, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}, \
                sending_queue: {queue_size: 100000, storage: file_storage}";
    let gateway = Gateway::new(limited, &[exporter("sink", Protocol::Grpc, sink.address(), keys)]);
    // 200 KiB each, 256 MiB in all; `ROOTSPAN_BACKLOG_MIB=1024` makes more.
    let mib: u64 = std::env::var("ROOTSPAN_BACKLOG_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(256);
    let traffic = Traffic::new(4, 200, 1_000, Duration::from_millis(1));
    let traffic = backlog(&gateway, traffic, mib * 1_000);
    sink.open();
    let began = Instant::now();
    let process = gateway.start();
    println!("it listens {:?} after its start with {mib} MiB on disk", began.elapsed());
    check_all_arrived(&traffic, &sink, &process);
    let peak = process.peak_memory();
    assert!(peak <= LIMIT / 10 * 11, "{} MiB", peak >> 20);
    process.stop();
}

/// The files of the queue, oldest first.
fn segments(gateway: &Gateway) -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("it is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "segment") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    below(&gateway.site.path("queues"), &mut found);
    found.sort();
    found
}

/// Half a frame at the end, as a kill in the middle of a write leaves it.
#[test]
fn a_torn_tail_costs_nothing_that_was_acknowledged() {
    let mut sink = Sink::closed();
    let gateway = stored(&sink);
    let traffic = backlog(&gateway, Traffic::light(), 1_000);
    let newest = segments(&gateway).pop().expect("there is a queue");
    let mut bytes = std::fs::read(&newest).expect("it is there");
    let torn = bytes[bytes.len() / 2..bytes.len() / 2 + 100].to_vec();
    bytes.extend(torn);
    std::fs::write(&newest, bytes).expect("it can be written");
    sink.open();
    let process = gateway.start();
    check_all_arrived(&traffic, &sink, &process);
    process.stop();
}

/// Bit rot in what was acknowledged: as little as possible is lost, and all of it is counted.
#[test]
fn a_damaged_queue_loses_what_is_damaged_by_name() {
    let mut sink = Sink::closed();
    let gateway = stored(&sink);
    let traffic = backlog(&gateway, Traffic::light(), 2_000);
    let oldest = segments(&gateway).into_iter().next().expect("there is a queue");
    let mut bytes = std::fs::read(&oldest).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&oldest, bytes).expect("it can be written");
    sink.open();
    let mut process = gateway.start();
    process.expect("damaged");
    let ledger = settled(&process);
    let account = account(&ledger, "exporters", ID);
    let missing = traffic.missing(&sink.seen().taken).len() as u64;
    assert!(missing > 0 && missing < traffic.told().acknowledged_spans() / 2, "{missing} are lost");
    assert_eq!(number(&account["dropped"]["storage_corrupt"]), missing, "{account}");
    process.stop();
}

/// Where no file system can be mounted, the simulation's full disks are all there is.
#[test]
fn a_full_disk_refuses_with_retry_information_and_recovers() {
    let mut sink = Sink::closed();
    let gateway = stored(&sink);
    let Some(disk) = SmallDisk::mount(gateway.site.path("queues")) else { return };
    let filler = disk.0.join("filler");
    let mut process = gateway.start();
    process.expect("the queue on disk takes nothing");
    let traffic = Traffic::new(4, 20, 1_000, Duration::from_millis(5));
    let watch = Watch::start(&process);
    traffic.flow(process.ingest(), || {
        eventually("there is load", || (traffic.told().acknowledged_spans() > 500).then_some(()));
        fill(&filler);
        eventually("it is full", || (traffic.told().refused.len() > 20).then_some(()));
        std::fs::remove_file(&filler).expect("it is there");
        let before = traffic.told().acknowledged_spans();
        eventually("it takes more", || (traffic.told().acknowledged_spans() > before).then_some(()));
        sink.open();
        eventually("and delivers", || (sink.spans() > before).then_some(()));
    });
    watch.end();
    assert_eq!(traffic.told().without_retry_info, Vec::<String>::new());
    check_all_arrived(&traffic, &sink, &process);
    process.stop();
}

/// What a back end refuses for good is kept beside the queue, and the others are delivered.
#[test]
fn what_is_refused_for_good_is_counted_and_kept() {
    let sink = Sink::start(Mode::Refusing);
    let gateway = stored(&sink);
    let mut process = gateway.start();
    process.expect("refuses accepted spans for good");
    let traffic = Traffic::light();
    let watch = Watch::start(&process);
    traffic.flow(process.ingest(), || {
        eventually("refusals", || (sink.seen().requests > 20).then_some(()));
    });
    let refused = traffic.told().acknowledged_spans();
    let before = settled(&process);
    sink.set(Mode::Well);
    let more = Traffic::starting_at(1_000_000_000);
    more.flow(process.ingest(), || {
        eventually("it goes on", || (sink.spans() > 500).then_some(()));
    });
    settled(&process);
    watch.end();
    let account = account(&before, "exporters", ID);
    assert_eq!(number(&account["dropped"]["rejected_by_backend"]), refused, "{account}");
    assert_eq!(more.missing(&sink.seen().taken).len(), 0);
    let kept = std::fs::read_dir(gateway.site.path("queues")).expect("it is there").count();
    assert!(kept > 0);
    process.stop();
}

/// `rootspan queue` tells what waits and what was refused for good, and reads it back, without the gateway.
#[test]
fn what_a_back_end_refuses_for_good_can_be_read_back() {
    let sink = Sink::start(Mode::Refusing);
    let gateway = stored(&sink);
    let mut process = gateway.start();
    process.expect("refuses accepted spans for good");
    let traffic = Traffic::light();
    traffic.flow(process.ingest(), || {
        eventually("there is load", || (traffic.told().acknowledged_spans() > 100).then_some(()));
    });
    settled(&process);
    let spans = traffic.told().acknowledged_spans();
    process.stop();
    let folder = gateway.site.path("queues").display().to_string();
    let exported = run(["queue", "export", "--dead-letters", "--dir", &folder]);
    assert!(exported.status.success(), "{}", exported.stderr);
    assert_eq!(exported.stdout.matches("\"spanId\"").count() as u64, spans);
    let inspected = run(["queue", "inspect", "--dir", &folder]);
    assert!(inspected.stdout.contains("waiting: 0 requests"), "{}", inspected.stdout);
    assert!(inspected.stdout.contains("dead letters: "), "{}", inspected.stdout);
    let other = rootspan().args(["queue", "export", "--dir", &folder, "--exporter", "otlp/other"]).output();
    assert!(!other.expect("it runs").status.success());
}
