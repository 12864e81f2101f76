//! The gateway in a thread of its own with stepped time: the real ingress, pipelines, delivery, ledger and budget, wired
//! by the real planner from a random configuration, between senders that come and go and back ends that fail.
//!
//! Where queues are on disk, the disks are in memory and fail; the process is stopped, killed, or loses its power, and
//! lives again on what its disks have kept, until everything is delivered.
//!
//! A seed decides everything ([`scenario`]); the same seed is the same run. Whenever nothing more can happen without
//! time passing, the ledgers must balance and every reserved byte must be held ([`check`]); at the end everything must be
//! settled, and what senders heard must agree with what back ends took. A failure says its seed:
//!
//! ```text
//! ROOTSPAN_SEED=4711 cargo test -p rootspan-gateway --lib simulation -- --nocapture
//! ```
//!
//! prints that run, event by event. `ROOTSPAN_RUNS=1000000` makes more than the usual runs.

mod backend;
mod check;
mod life;
mod log;
pub(crate) mod memory;
mod scenario;
mod senders;
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rootspan_journal::directory::memory::MemoryDirectory;
use rootspan_model::time::UnixNanos;
use tokio::time::Instant;

use self::backend::Backend;
use self::scenario::Scenario;
use self::senders::Book;
use crate::clock::Clock;
use crate::config::{Config, Source, load_with};
use crate::ledger::ExporterIndex;
use crate::plan::{Plan, plan};

/// Where the wall clock of a run begins: 2026-09-14T08:00:00Z.
const WALL_CLOCK: u64 = 1_789_372_800_000_000_000;

/// What came of a run.
#[derive(Debug, Default)]
struct Report {
    /// What is wrong.
    failure: Option<String>,
    /// The same for two runs of one seed.
    digest: u64,
    counts: check::Counts,
}

/// One run.
fn run(seed: u64, prints: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_park(check::at_rest)
        .build()
        .expect("a runtime without sockets can be made");
    let scenario = Scenario::draw(seed);
    let counts = tracing::subscriber::with_default(log::Bugs, || runtime.block_on(simulate(&scenario, prints)));
    memory::end();
    let (failure, digest) = log::end();
    Report { failure, digest, counts }
}

async fn simulate(scenario: &Scenario, prints: bool) -> check::Counts {
    log::begin(prints);
    log::event(|| format!("{scenario:#?}"));
    let config = config(&scenario.yaml);
    let plan = plan(&config);
    let backends = (0..plan.exporters.len()).map(|index| backend(scenario, &plan, index)).collect();
    let clock = clock(&scenario.clock_jumps);
    let mut world = World { scenario, plan: &plan, clock, backends, book: Book::default(), disks: BTreeMap::new() };
    let mut checks = check::Checks::default();
    for life in &scenario.lives {
        let ended = life::live(&mut world, life).await;
        checks.after_life(&world, life, &ended);
    }
    checks.at_end(&world)
}

/// What outlives the gateway.
struct World<'a> {
    scenario: &'a Scenario,
    plan: &'a Plan,
    clock: Clock,
    /// By index of the plan's exporters, as everything here.
    backends: Vec<Backend>,
    book: Book,
    disks: BTreeMap<usize, MemoryDirectory>,
}

impl World<'_> {
    /// What the model knows of an exporter of the plan.
    fn described(&self, index: usize) -> &scenario::Exporter {
        let id = self.plan.exporters[index].id.to_string();
        self.scenario.exporters.iter().find(|exporter| exporter.id == id).expect("all are described")
    }

    /// The exporter of the plan that the scenario calls so.
    fn index_of(&self, exporter: usize) -> usize {
        let id = &self.scenario.exporters[exporter].id;
        self.plan.exporters.iter().position(|planned| planned.id.to_string() == *id).expect("all are planned")
    }
}

fn config(yaml: &str) -> Config {
    let source = Source::Text { name: "simulation".to_owned(), text: yaml.to_owned() };
    load_with(&[source], &|_| None).unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
}

fn backend(scenario: &Scenario, plan: &Plan, index: usize) -> Backend {
    let id = plan.exporters[index].id.to_string();
    let described = scenario.exporters.iter().find(|exporter| exporter.id == id).expect("all are described");
    // A pipeline behind a connector may get a span by several ways.
    let feeding = plan.pipelines.iter().filter(|pipeline| pipeline.exporters.contains(&ExporterIndex(index)));
    let ways = feeding.map(|pipeline| 1 + pipeline.connectors.len()).sum::<usize>();
    Backend::new(described, ways == 1, scenario.seed.wrapping_add(index as u64 + 1))
}

/// A wall clock that somebody sets.
fn clock(jumps: &[(Duration, i64)]) -> Clock {
    let (started, jumps) = (Instant::now(), jumps.to_vec());
    Arc::new(move || {
        let elapsed = started.elapsed();
        let jumped: i64 = jumps.iter().filter(|(at, _)| *at <= elapsed).map(|(_, by)| by).sum();
        let passed = WALL_CLOCK + u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        UnixNanos(passed.saturating_add_signed(jumped))
    })
}
