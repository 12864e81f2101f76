//! Thousands of runs, and those that once failed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::check::Counts;
use super::run;

/// Runs of the normal tests: ten seconds of two cores.
const RUNS: u64 = 1_500;

/// Seeds of runs that once found a bug, and which. A seed stands for another run when the scenarios change.
const FORMERLY_WRONG: &[(u64, &str)] = &[
    (357, "a segment went before the record of what was delivered from it was durable"),
    (366, "a segment went although the record of what was delivered from it could not be written"),
];

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}

fn check(seed: u64, prints: bool) -> Counts {
    let report = run(seed, prints);
    if let Some(failure) = report.failure {
        panic!(
            "seed {seed}: {failure}\nagain, event by event: \
             ROOTSPAN_SEED={seed} cargo test -p rootspan-gateway --lib simulation -- --nocapture"
        );
    }
    report.counts
}

#[test]
fn ledgers_budget_senders_and_back_ends_agree_in_every_run() {
    if let Some(seed) = variable("ROOTSPAN_SEED") {
        check(seed, true);
        return;
    }
    let runs = variable("ROOTSPAN_RUNS").unwrap_or(RUNS);
    let next = AtomicU64::new(0);
    let counts = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= runs {
                        break;
                    }
                    let of_run = check(seed, false);
                    counts.lock().expect("a failure ends the test").absorb(of_run);
                }
            });
        }
    });
    let counts = counts.into_inner().expect("a failure ends the test").by_name;
    // A simulation in which something never happens proves nothing about it.
    for name in [
        "drained",
        "cut off",
        "delivered",
        "sampled out",
        "heard: accepted",
        "heard: refused",
        "heard: went away",
        "heard: malformed",
        "heard: no memory",
        "heard: nothing",
        "refused: queue_full",
        "refused: memory_limit",
        "refused: unavailable",
        "refused: shutting_down",
        "refused: rejected_by_backend",
        "dropped: queue_full",
        "dropped: rejected_by_backend",
        "dropped: retry_timeout",
        "dropped: drain_deadline",
        "refused: disk_full",
        "recovered",
        "delivered again",
        "end: told to stop",
        "end: killed",
        "end: power lost",
        "end: power lost in an operation",
        "end: everything delivered",
    ] {
        assert!(runs < RUNS || counts.contains_key(name), "{name} never happened: {counts:?}");
    }
}

#[test]
fn what_was_wrong_once() {
    for (seed, _) in FORMERLY_WRONG {
        check(*seed, false);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..40 {
        assert_eq!(run(seed, false).digest, run(seed, false).digest, "seed {seed}");
    }
}
