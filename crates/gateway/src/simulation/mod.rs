//! The gateway in a thread of its own with stepped time: the real ingress, pipelines, delivery, ledger and budget, wired
//! by the real planner from a random configuration, between senders that come and go and back ends that fail.
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
mod log;
pub(crate) mod memory;
mod scenario;
mod senders;
mod tests;

use std::sync::Arc;
use std::time::Duration;

use rootspan_model::time::UnixNanos;
use tokio::time::Instant;

use self::backend::Backend;
use self::scenario::Scenario;
use self::senders::Book;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::{Config, Source, load_with};
use crate::exporters::Exporter;
use crate::ledger::ExporterIndex;
use crate::net::stop;
use crate::plan::{Plan, plan};
use crate::runtime::delivery::Scatter;
use crate::runtime::ingress::Ingresses;
use crate::runtime::outlets::{self, Outlets};
use crate::runtime::{DrainReport, Running, new_ledger, start_pipelines};
use crate::tasks;

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
    memory::begin();
    let config = config(&scenario.yaml);
    let plan = plan(&config);
    let budget = Budget::new(scenario.budget);
    let backends: Vec<_> = (0..plan.exporters.len()).map(|index| backend(scenario, &plan, index)).collect();
    let book = Book::default();
    let running = start(scenario, &plan, &backends, &book, &budget);
    let watch = check::Watch::begin(&running, scenario, &plan);
    tokio::time::sleep(scenario.stop_at).await;
    log::event(|| "the gateway is told to stop".to_owned());
    let report: DrainReport = running.shutdown(scenario.drain_deadline).await;
    log::event(|| format!("it has stopped: {report:?}"));
    drop(watch);
    check::at_end(scenario, &plan, &report, &backends, &book, &budget)
}

fn config(yaml: &str) -> Config {
    let source = Source::Text { name: "simulation".to_owned(), text: yaml.to_owned() };
    load_with(&[source], &|_| None).unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
}

fn backend(scenario: &Scenario, plan: &Plan, index: usize) -> Backend {
    let id = plan.exporters[index].id.to_string();
    let described = scenario.exporters.iter().find(|exporter| exporter.id == id).expect("all are described");
    let feeding = plan.pipelines.iter().filter(|pipeline| pipeline.exporters.contains(&ExporterIndex(index)));
    Backend::new(described, feeding.count() == 1, scenario.seed.wrapping_add(index as u64 + 1))
}

/// Starts everything between the sockets, and receivers that need none.
fn start(scenario: &Scenario, plan: &Plan, backends: &[Backend], book: &Book, budget: &Arc<Budget>) -> Running {
    let ledger = Arc::new(new_ledger(plan));
    let clock = clock(&scenario.clock_jumps);
    let exporters = backends.iter().map(|backend| (Arc::new(backend.clone()) as Arc<dyn Exporter>, None)).collect();
    let scatter = Scatter::seeded(scenario.seed);
    let Outlets { tasks: deliveries, inputs: outputs, .. } = outlets::start(plan, exporters, budget, &scatter, &clock);
    let (pipelines, inputs) = start_pipelines(plan, &outputs, budget, &clock);
    let (stopper, stop) = stop::channel();
    let receivers = plan.receivers.iter().enumerate().map(|(index, planned)| {
        let ingresses = Ingresses::new(&planned.feeds, &inputs, &ledger, budget);
        let arrivals = scenario.arrivals[index].clone();
        tasks::start("receiver", senders::receive(index, ingresses, arrivals, book.clone(), stop.clone()))
    });
    let receivers = receivers.collect();
    Running::without_sockets(
        (Arc::clone(&ledger), Arc::clone(budget), clock),
        stopper,
        [receivers, pipelines, deliveries],
    )
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
