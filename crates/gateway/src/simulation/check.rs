//! What must hold: at every moment of rest, and at the end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use rootspan_wire::otlp::payload::Signal;
use rootspan_wire::otlp::validate::{Limits, validate};

use super::backend::span_numbers;
use super::life::Ended;
use super::scenario::{Exporter, Flaw, Life};
use super::senders::{Heard, Sent, protobuf};
use super::{WALL_CLOCK, World, log, memory};
use crate::ack;
use crate::batch::Batch;
use crate::budget::Budget;
use crate::ledger::{
    DropReason, ExporterAccount, ExporterIndex, Ledger, PipelineIndex, ReceiverIndex, RefusalReason, Snapshot,
};
use crate::plan::{Plan, PlannedPipeline};
use crate::runtime::Running;
use crate::runtime::connect::build_chain;
use crate::runtime::pipeline::{Chain, Item};

thread_local! {
    static WATCHED: RefCell<Option<Watched>> = const { RefCell::new(None) };
}

/// What is looked at whenever the runtime rests.
struct Watched {
    ledger: Arc<Ledger>,
    budget: Arc<Budget>,
    /// By index of the exporter.
    most_spans: Vec<Option<u64>>,
}

/// Looks while it lives.
pub(super) struct Watch;

impl Watch {
    pub(super) fn begin(running: &Running, world: &World<'_>) -> Self {
        let arrivals = world.scenario.lives.iter().flat_map(|life| &life.arrivals).flatten();
        let longest = arrivals.map(|arrival| arrival.spans).max().unwrap_or(0);
        let most_spans = (0..world.plan.exporters.len()).map(|index| {
            let described = world.described(index);
            // An empty queue takes one request, however long; what was delivered and not recorded waits again.
            described.most_spans.filter(|_| !described.stored).map(|most| most.max(longest))
        });
        let (ledger, budget) = (running.ledger_handle(), Arc::clone(running.budget()));
        WATCHED.set(Some(Watched { ledger, budget, most_spans: most_spans.collect() }));
        Self
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.set(None);
    }
}

/// Nothing more can happen without time passing.
pub(super) fn at_rest() {
    WATCHED.with_borrow(|watched| {
        let Some(watched) = watched else { return };
        let snapshot = watched.ledger.snapshot();
        balances(&snapshot);
        for (account, most) in snapshot.exporters.iter().zip(&watched.most_spans) {
            if most.is_some_and(|most| account.queued > most) {
                log::fail(|| format!("{}: {} spans are more than {most:?}", account.id, account.queued));
            }
        }
        if let Err(wrong) = memory::check(&watched.budget) {
            log::fail(|| wrong);
        }
    });
}

fn balances(snapshot: &Snapshot) {
    let imbalances = snapshot.imbalances();
    if !imbalances.is_empty() {
        log::fail(|| format!("the ledgers do not balance: {imbalances:?}"));
    }
}

/// What happened, over many runs: tests look whether everything does.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) by_name: BTreeMap<String, u64>,
}

impl Counts {
    fn add(&mut self, name: impl Into<String>, count: u64) {
        if count > 0 {
            *self.by_name.entry(name.into()).or_default() += count;
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        for (name, count) in other.by_name {
            self.add(name, count);
        }
    }
}

/// The checks after each life and at the end, and what they must remember.
#[derive(Debug, Default)]
pub(super) struct Checks {
    counts: Counts,
    /// By exporter: dropped in all lives, for whatever reason.
    dropped: BTreeMap<usize, u64>,
    /// By exporter: rejected in requests that were delivered.
    rejected: BTreeMap<usize, u64>,
    /// By exporter: on disk at the end of the life before.
    stored: BTreeMap<usize, u64>,
    /// Some life did not end in order.
    killed: bool,
    /// Something may be sent twice: a life did not end in order, or a disk did not record what was delivered.
    may_repeat: bool,
    /// Exporters that sent requests in parts, not to their ends, and said so.
    repeated: BTreeSet<usize>,
}

impl Checks {
    /// A life has ended.
    pub(super) fn after_life(&mut self, world: &World<'_>, life: &Life, ended: &Ended) {
        let snapshot = &ended.ledger;
        balances(snapshot);
        if ended.in_order && snapshot.in_flight() > 0 {
            log::fail(|| format!("spans are not settled: {snapshot:?}"));
        }
        if ended.reserved > 0 {
            log::fail(|| format!("{} bytes are still reserved", ended.reserved));
        }
        receivers(world.plan, ended, &world.book.sent()[ended.first_request..], &mut self.counts);
        for (index, account) in snapshot.exporters.iter().enumerate() {
            self.exporter(world, ended, index, account);
        }
        for pipeline in &snapshot.pipelines {
            self.counts.add("sampled out", pipeline.sampled_out);
            for reason in RefusalReason::ALL {
                self.counts.add(format!("refused: {}", reason.name()), pipeline.refused.of(*reason));
            }
        }
        self.killed |= !ended.in_order;
        self.may_repeat |= !ended.in_order || ended.disk_failed;
        self.counts.add(life.end.name(), 1);
        self.counts.add(if ended.drained { "drained" } else { "cut off" }, u64::from(ended.in_order));
    }

    fn exporter(&mut self, world: &World<'_>, ended: &Ended, index: usize, account: &ExporterAccount) {
        let described = world.described(index);
        let state = world.backends[index].state();
        for complaint in &state.complaints {
            log::fail(|| complaint.clone());
        }
        let most = described.consumers.unwrap_or(u64::MAX);
        if state.most_on_the_way > most {
            log::fail(|| format!("{}: {} exports at once, not {most}", account.id, state.most_on_the_way));
        }
        let (taken, rejected) = (state.taken_in_life, state.rejected_in_life);
        // At a kill some answers are there that nobody has heard.
        if account.delivered > taken || ended.in_order && account.delivered != taken - rejected {
            log::fail(|| format!("{account:?}: the back end took {taken} spans but for {rejected}"));
        }
        let before = self.stored.insert(index, account.stored).unwrap_or(0);
        if account.repeated > 0 {
            self.repeated.insert(index);
        }
        let is_exact = !self.may_repeat;
        if account.recovered < before || is_exact && account.recovered != before {
            log::fail(|| format!("{account:?}: {before} spans were on disk"));
        }
        reasons(account, described, ended.drained, state.refused.len() as u64 + rejected);
        *self.dropped.entry(index).or_default() += account.dropped.total();
        *self.rejected.entry(index).or_default() += if ended.in_order { rejected } else { 0 };
        for reason in DropReason::ALL {
            self.counts.add(format!("dropped: {}", reason.name()), account.dropped.of(*reason));
        }
        for reason in RefusalReason::ALL {
            self.counts.add(format!("refused: {}", reason.name()), account.refused.of(*reason));
        }
        self.counts.add("delivered", account.delivered);
        self.counts.add("recovered", account.recovered);
    }

    /// Everything is over.
    pub(super) fn at_end(mut self, world: &World<'_>) -> Counts {
        let sent = world.book.sent();
        let routes = Routes::of(world.plan, &sent);
        for (index, backend) in world.backends.iter().enumerate() {
            let described = world.described(index);
            let state = backend.state();
            let may_repeat = described.stored && (self.may_repeat || self.repeated.contains(&index));
            let lost = routes.check(ExporterIndex(index), &state.delivered, described, may_repeat, &sent);
            let (dropped, rejected) = (self.dropped[&index], self.rejected[&index]);
            // What waited in memory is lost with the process that is killed.
            let is_promised = described.stored || !self.killed;
            if is_promised && lost + if self.may_repeat { 0 } else { rejected } > dropped {
                let id = &described.id;
                log::fail(|| format!("{id}: {lost} accepted spans did not arrive, and {dropped} are counted"));
            }
            let repeated = state.delivered.values().filter(|times| **times > 1).count() as u64;
            self.counts.add("delivered again", repeated);
        }
        self.counts
    }
}

/// Every sender heard one thing, and the receivers' accounts say the same.
fn receivers(plan: &Plan, ended: &Ended, sent: &[Sent], counts: &mut Counts) {
    let mut accepted = vec![0; plan.receivers.len()];
    for request in sent {
        match &request.heard {
            Heard::Nothing if ended.drained => log::fail(|| format!("{request:?} was never answered")),
            Heard::Nothing => counts.add("heard: nothing", 1),
            Heard::WentAway => counts.add("heard: went away", 1),
            Heard::NoMemory => counts.add("heard: no memory", 1),
            Heard::Malformed => counts.add("heard: malformed", 1),
            Heard::Refused(_) => counts.add("heard: refused", 1),
            Heard::Accepted { rejected } => {
                counts.add("heard: accepted", 1);
                accepted[request.receiver] += request.spans.end - request.spans.start;
                let bad = if let Flaw::BadSpans(bad) = request.arrival.flaw { bad } else { 0 };
                if *rejected != bad {
                    log::fail(|| format!("{request:?}: {rejected} rejected, not {bad}"));
                }
            }
        }
        let is_malformed = request.arrival.flaw == Flaw::Malformed;
        if is_malformed != (request.heard == Heard::Malformed)
            && !matches!(request.heard, Heard::NoMemory | Heard::WentAway | Heard::Nothing | Heard::Refused(_))
        {
            log::fail(|| format!("{request:?} heard something else than it should"));
        }
    }
    for (account, accepted) in ended.ledger.receivers.iter().zip(accepted) {
        // Some were accepted after their sender had gone.
        if account.accepted < accepted || ended.in_order && account.pending > 0 {
            log::fail(|| format!("{account:?}: senders heard of {accepted} accepted spans"));
        }
    }
}

/// Where every span had to go: how many copies of it each exporter gets.
struct Routes {
    copies: BTreeMap<(usize, u64), u32>,
}

impl Routes {
    fn of(plan: &Plan, sent: &[Sent]) -> Self {
        let mut copies = BTreeMap::new();
        let mut chains: Vec<_> = plan.pipelines.iter().map(Scratch::new).collect();
        for request in sent.iter().filter(|request| request.arrival.flaw != Flaw::Malformed) {
            let feeds = plan.receivers[request.receiver].feeds.iter().flat_map(|feed| &feed.pipelines);
            let all = Kept { spans: request.spans.clone().collect(), batch: None };
            let mut ways: Vec<_> = feeds.map(|pipeline| (*pipeline, all.clone())).collect();
            while let Some((pipeline, kept)) = ways.pop() {
                let kept = chains[pipeline.0].keep(kept);
                for span in &kept.spans {
                    for exporter in &plan.pipelines[pipeline.0].exporters {
                        *copies.entry((exporter.0, *span)).or_default() += 1;
                    }
                }
                let next = &plan.pipelines[pipeline.0].pipelines;
                ways.extend(next.iter().map(|(_, next)| (*next, kept.clone())));
            }
        }
        Self { copies }
    }

    /// Nothing arrives that was not sent, nothing more often than sent; what its sender was told is delivered did
    /// arrive. Gives the number of copies of accepted spans that did not arrive.
    fn check(
        &self,
        exporter: ExporterIndex,
        delivered: &BTreeMap<u64, u32>,
        described: &Exporter,
        may_repeat: bool,
        sent: &[Sent],
    ) -> u64 {
        let may_lose = described.takes_over || described.drops_when_full;
        let copies = |span: u64| self.copies.get(&(exporter.0, span)).copied().unwrap_or(0);
        for (span, times) in delivered {
            let most = copies(*span);
            if *times > most && !(may_repeat && most > 0) {
                log::fail(|| format!("exporter {exporter:?}: span {span} was delivered {times} times"));
            }
        }
        let mut lost = 0;
        for request in sent.iter().filter(|request| matches!(request.heard, Heard::Accepted { .. })) {
            for span in request.spans.clone() {
                let missing = u64::from(copies(span).saturating_sub(delivered.get(&span).copied().unwrap_or(0)));
                lost += missing;
                if missing > 0 && !may_lose {
                    log::fail(|| format!("exporter {exporter:?}: {request:?}: span {span} is not there"));
                }
            }
        }
        lost
    }
}

/// The processors of a pipeline, run again beside the simulation: they are functions of what they are given.
struct Scratch {
    chain: Chain,
    ledger: Arc<Ledger>,
    budget: Arc<Budget>,
    samples: bool,
}

impl Scratch {
    fn new(planned: &PlannedPipeline) -> Self {
        let budget = Budget::new(u64::MAX);
        let one = [("one".to_owned(), Signal::Traces)];
        let samples = planned.passes.iter().flatten().any(|(id, _)| id.to_string().starts_with("probabilistic"));
        Self { chain: build_chain(planned, &budget), ledger: Arc::new(Ledger::new(&one, &one, &one)), budget, samples }
    }

    /// What of it comes out.
    fn keep(&mut self, kept: Kept) -> Kept {
        if !self.samples || kept.spans.is_empty() {
            return kept;
        }
        let batch = kept.batch.unwrap_or_else(|| {
            let body = Bytes::from(protobuf(kept.spans.into_iter(), 0, 0));
            let reservation = self.budget.try_reserve(body.len() as u64).expect("there is no limit");
            Batch::new(validate(body, &Limits::default()).expect("it is sound").batch, reservation)
        });
        let (mut acks, _answer) = ack::begin(&self.ledger, ReceiverIndex(0), &[PipelineIndex(0)], batch.items());
        let item = Item { batch, ack: acks.remove(0) };
        let mut kept = self.chain.process(item, rootspan_model::time::UnixNanos(WALL_CLOCK));
        assert!(kept.len() <= 1, "stateless processors give one batch for one");
        let batch = kept.pop().map(|item| item.batch);
        Kept { spans: batch.as_ref().map(span_numbers).unwrap_or_default(), batch }
    }
}

/// What of a request is left behind a pipeline. Once a sampler has seen it, also its bytes: samplers leave notes for those
/// behind them.
#[derive(Clone, Debug)]
struct Kept {
    spans: Vec<u64>,
    batch: Option<Batch>,
}

/// Nothing is dropped but for a reason that somebody wrote down or a back end gave.
fn reasons(account: &ExporterAccount, described: &Exporter, drained: bool, refused: u64) {
    let dropped = |reason| account.dropped.of(reason);
    let wrong = [
        (dropped(DropReason::QueueFull) > 0 && !described.drops_when_full, DropReason::QueueFull),
        (dropped(DropReason::RetryTimeout) > 0 && !described.may_give_up, DropReason::RetryTimeout),
        (dropped(DropReason::DrainDeadline) > 0 && (drained || described.stored), DropReason::DrainDeadline),
        // Disks lose and tear what was not synced; what was synced they keep.
        (dropped(DropReason::StorageCorrupt) > 0, DropReason::StorageCorrupt),
        (dropped(DropReason::RejectedByBackend) > refused * 3, DropReason::RejectedByBackend),
    ];
    for (_, reason) in wrong.iter().filter(|(is_wrong, _)| *is_wrong) {
        log::fail(|| format!("{account:?}: nothing gives a reason for {}", reason.name()));
    }
    if !described.takes_over {
        let lost = account.dropped.total()
            - account.dropped.of(DropReason::RejectedByBackend)
            - account.dropped.of(DropReason::QueueFull);
        if lost > 0 {
            log::fail(|| format!("{account:?}: senders still have what is not taken over"));
        }
    }
}
