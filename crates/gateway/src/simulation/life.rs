//! One life of the gateway, from its start to whatever ends it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rootspan_journal::directory::Directory as _;
use rootspan_journal::directory::faulty::{Faults, FaultyDirectory};
use rootspan_journal::directory::memory::Survival;
use tokio::time::{Instant, sleep, sleep_until};

use super::scenario::{DiskFaultKind, End, Life};
use super::{World, check, log, memory, senders};
use crate::budget::Budget;
use crate::exporters::Exporter;
use crate::ledger::{ExporterIndex, Ledger, Snapshot};
use crate::net::stop;
use crate::runtime::connect::start_pipelines;
use crate::runtime::delivery::Scatter;
use crate::runtime::delivery::storage::{self, Hands, Storage};
use crate::runtime::ingress::Ingresses;
use crate::runtime::outlets::{self, Outlets};
use crate::runtime::{Running, accounts};
use crate::tasks;

/// More space than any run needs.
const ROOMY: u64 = 1 << 40;
/// How often to look whether the power has failed, or whether nothing waits any more.
const LOOK: Duration = Duration::from_millis(250);
/// Longest wait for a power loss in an operation; there may be none any more.
const LAST_OPERATION: Duration = Duration::from_secs(30);
/// By then everything is delivered to back ends that are well.
const EMPTY_BY: Duration = Duration::from_secs(6 * 3600);

/// A disk answers after that; much happens meanwhile.
const DISK_TIME: Duration = Duration::from_millis(20);

/// What a life left.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ledger: Snapshot,
    /// It was told to stop, and everything ended within the deadline.
    pub(super) drained: bool,
    /// It was told to stop.
    pub(super) in_order: bool,
    /// Some operation on a disk failed.
    pub(super) disk_failed: bool,
    /// Bytes that are still reserved.
    pub(super) reserved: u64,
    /// The first request of this life.
    pub(super) first_request: usize,
}

type Doors = BTreeMap<usize, FaultyDirectory>;

/// Lives one life.
pub(super) async fn live(world: &mut World<'_>, life: &Life) -> Ended {
    memory::begin();
    world.book.close(false);
    let first_request = world.book.sent().len();
    let budget = Budget::new(world.scenario.budget);
    let doors = doors(world);
    for backend in &world.backends {
        backend.state().begin_life();
        if matches!(life.end, End::WhenEmpty) {
            backend.state().get_well();
        }
    }
    let running = start(world, life, &doors, &budget);
    let watch = check::Watch::begin(&running, world);
    let disk_failed = befall(world, life, &doors, &running).await;
    log::event(|| format!("this life ends: {:?}", life.end));
    world.book.close(!matches!(life.end, End::Drain { .. } | End::WhenEmpty));
    let (ledger, drained) = match life.end {
        End::Drain { deadline, .. } => {
            let report = running.shutdown(deadline).await;
            (report.ledger, report.complete)
        }
        End::WhenEmpty => {
            let report = running.shutdown(EMPTY_BY).await;
            (report.ledger, report.complete)
        }
        End::Kill { .. } => {
            for (index, door) in &doors {
                world.disks.insert(*index, door.kill());
            }
            (running.kill().await, false)
        }
        End::PowerLoss { survival, .. } | End::PowerLossInOperation { survival, .. } => {
            for (index, door) in &doors {
                let survival = Survival::Random(survival.wrapping_add(*index as u64));
                world.disks.insert(*index, door.power_off(survival));
            }
            (running.kill().await, false)
        }
    };
    drop(watch);
    log::event(|| format!("it has ended: {ledger:?}"));
    let in_order = matches!(life.end, End::Drain { .. } | End::WhenEmpty);
    Ended { ledger, drained, in_order, disk_failed, reserved: budget.used(), first_request }
}

/// The disks, without faults yet.
fn doors(world: &mut World<'_>) -> Doors {
    let mut doors = Doors::new();
    for index in 0..world.plan.exporters.len() {
        if world.described(index).stored {
            let seed = world.scenario.seed.wrapping_mul(31).wrapping_add(index as u64);
            let disk = world.disks.entry(index).or_default();
            disk.set_capacity(ROOMY);
            doors.insert(index, FaultyDirectory::new(disk.clone(), Faults { seed, ..Faults::default() }));
        }
    }
    doors
}

/// Waits for the end of this life, and lets happen what befalls the disks. Whether anything did.
async fn befall(world: &World<'_>, life: &Life, doors: &Doors, running: &Running) -> bool {
    let begun = Instant::now();
    let at = match life.end {
        End::Drain { at, .. } | End::Kill { at } | End::PowerLoss { at, .. } | End::PowerLossInOperation { at, .. } => {
            at
        }
        End::WhenEmpty => Duration::ZERO,
    };
    let mut befell = false;
    for fault in life.disk_faults.iter().filter(|fault| fault.at < at) {
        sleep_until(begun + fault.at).await;
        log::event(|| format!("{fault:?}"));
        let Some(door) = doors.get(&world.index_of(fault.exporter)) else { continue };
        befell = true;
        match fault.kind {
            DiskFaultKind::Failing(count) => door.fail_next(count),
            DiskFaultKind::Full(bytes) => {
                let used = door.disk().space().map_or(0, |space| space.total - space.free);
                door.disk().set_capacity(used + bytes);
            }
            DiskFaultKind::Roomy => door.disk().set_capacity(ROOMY),
        }
    }
    sleep_until(begun + at).await;
    match life.end {
        End::Drain { .. } | End::Kill { .. } | End::PowerLoss { .. } => {}
        End::PowerLossInOperation { operations, .. } => {
            doors.values().for_each(|door| door.fail_power_after(operations));
            let give_up = Instant::now() + LAST_OPERATION;
            while doors.values().all(FaultyDirectory::has_power) && Instant::now() < give_up {
                sleep(LOOK).await;
            }
        }
        End::WhenEmpty => {
            while !is_empty(&running.ledger()) {
                if begun.elapsed() > EMPTY_BY {
                    log::fail(|| format!("not everything is delivered in the end: {:?}", running.ledger()));
                    break;
                }
                sleep(LOOK).await;
            }
        }
    }
    befell
}

fn is_empty(ledger: &Snapshot) -> bool {
    ledger.exporters.iter().all(|account| account.queued == 0) && ledger.in_flight() == 0
}

/// Starts everything between the sockets, and receivers that need none.
fn start(world: &World<'_>, life: &Life, doors: &Doors, budget: &Arc<Budget>) -> Running {
    let plan = world.plan;
    let ledger = Arc::new(Ledger::new(&[], &[], &[]));
    let accounts = accounts(&ledger, plan);
    let exporter = |(index, backend): (usize, &super::backend::Backend)| {
        let storage = doors.get(&index).map(|door| open(world, index, door, &ledger));
        (Arc::new(backend.clone()) as Arc<dyn Exporter>, storage)
    };
    let exporters = world.backends.iter().enumerate().map(exporter).collect();
    let scatter = Scatter::seeded(world.scenario.seed);
    let outlets = outlets::start(plan, exporters, budget, &scatter, &world.clock);
    let Outlets { tasks: deliveries, inputs: outputs, .. } = outlets;
    let kept = plan.pipelines.iter().map(|_| None).collect();
    let connected = start_pipelines(plan, &accounts, kept, &outputs, (budget, &world.clock));
    let (inputs, pipelines): (Vec<_>, Vec<_>) = connected.into_iter().unzip();
    let pipelines = pipelines.into_iter().flatten().collect();
    let (stopper, stop) = stop::channel();
    let receivers = plan.receivers.iter().enumerate().map(|(index, planned)| {
        let ingresses = Ingresses::new(&planned.feeds, &inputs, &accounts, &ledger, budget);
        let arrivals = life.arrivals[index].clone();
        tasks::start("receiver", senders::receive(index, ingresses, arrivals, world.book.clone(), stop.clone()))
    });
    let receivers = receivers.collect();
    let shared = (Arc::clone(&ledger), Arc::clone(budget), Arc::clone(&world.clock));
    Running::without_sockets(shared, stopper, [receivers, pipelines, deliveries])
}

fn open(world: &World<'_>, index: usize, door: &FaultyDirectory, ledger: &Arc<Ledger>) -> Storage {
    let config = outlets::file_storage(world.plan, &world.plan.exporters[index]).expect("its queue is on disk");
    let settings = storage::Settings { hands: Hands::Slow(DISK_TIME), ..storage::Settings::of(config) };
    let account = (Arc::clone(ledger), ExporterIndex(index));
    let opened = Storage::open(Arc::new(door.clone()), settings, account, Arc::clone(&world.clock));
    opened.unwrap_or_else(|error| panic!("a sound disk cannot be opened: {error}"))
}
