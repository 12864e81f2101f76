//! What must hold: at every moment of rest, and at the end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rootspan_wire::otlp::payload::Signal;
use rootspan_wire::otlp::validate::{Limits, validate};

use super::backend::{Backend, span_numbers};
use super::scenario::{Exporter, Flaw, Scenario};
use super::senders::{Book, Heard, Sent, sound_body};
use super::{WALL_CLOCK, log, memory};
use crate::ack;
use crate::batch::Batch;
use crate::budget::Budget;
use crate::ledger::{
    DropReason, ExporterAccount, ExporterIndex, Ledger, PipelineIndex, ReceiverIndex, RefusalReason, Snapshot,
};
use crate::plan::{Plan, PlannedPipeline};
use crate::runtime::pipeline::{Chain, Item};
use crate::runtime::{DrainReport, Running, build_chain};

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
    pub(super) fn begin(running: &Running, scenario: &Scenario, plan: &Plan) -> Self {
        let longest = scenario.arrivals.iter().flatten().map(|arrival| arrival.spans).max().unwrap_or(0);
        let most_spans = plan.exporters.iter().map(|planned| {
            let exporter = scenario.exporters.iter().find(|exporter| exporter.id == planned.id.to_string());
            // An empty queue takes one request, however long.
            exporter.and_then(|exporter| exporter.most_spans).map(|most| most.max(longest))
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

/// Everything is over.
pub(super) fn at_end(
    scenario: &Scenario,
    plan: &Plan,
    report: &DrainReport,
    backends: &[Backend],
    book: &Book,
    budget: &Budget,
) -> Counts {
    balances(&report.ledger);
    if report.ledger.in_flight() > 0 {
        log::fail(|| format!("spans are not settled: {:?}", report.ledger));
    }
    if budget.used() > 0 {
        log::fail(|| format!("{} bytes are still reserved", budget.used()));
    }
    let sent = book.sent();
    let mut counts = Counts::default();
    receivers(plan, report, &sent, &mut counts);
    let routes = Routes::of(plan, &sent);
    for (index, backend) in backends.iter().enumerate() {
        let account = &report.ledger.exporters[index];
        let described = scenario.exporters.iter().find(|exporter| exporter.id == account.id).expect("all are there");
        let state = backend.state();
        for complaint in &state.complaints {
            log::fail(|| complaint.clone());
        }
        let most = described.consumers.unwrap_or(u64::MAX);
        if state.most_on_the_way > most {
            log::fail(|| format!("{}: {} exports at once, not {most}", account.id, state.most_on_the_way));
        }
        let total: u64 = state.delivered.values().map(|times| u64::from(*times)).sum();
        if account.delivered != total - state.rejected {
            let rejected = state.rejected;
            log::fail(|| format!("{account:?}: the back end took {total} spans but for {rejected}"));
        }
        let lost = routes.check(ExporterIndex(index), &state.delivered, described, &sent);
        if lost + state.rejected > account.dropped.total() {
            log::fail(|| format!("{account:?}: {lost} accepted spans did not arrive, and are not counted"));
        }
        reasons(account, described, report.complete, state.refused.len() as u64 + state.rejected);
        for reason in DropReason::ALL {
            counts.add(format!("dropped: {}", reason.name()), account.dropped.of(*reason));
        }
        for reason in RefusalReason::ALL {
            counts.add(format!("refused: {}", reason.name()), account.refused.of(*reason));
        }
        counts.add("delivered", account.delivered);
    }
    for pipeline in &report.ledger.pipelines {
        counts.add("sampled out", pipeline.sampled_out);
        for reason in RefusalReason::ALL {
            counts.add(format!("refused: {}", reason.name()), pipeline.refused.of(*reason));
        }
    }
    counts.add("drained", u64::from(report.complete));
    counts.add("cut off", u64::from(!report.complete));
    counts
}

/// Every sender heard one thing, and the receivers' accounts say the same.
fn receivers(plan: &Plan, report: &DrainReport, sent: &[Sent], counts: &mut Counts) {
    let mut accepted = vec![0; plan.receivers.len()];
    for request in sent {
        match &request.heard {
            Heard::Nothing if report.complete => log::fail(|| format!("{request:?} was never answered")),
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
    for (account, accepted) in report.ledger.receivers.iter().zip(accepted) {
        // Some were accepted after their sender had gone.
        if account.accepted < accepted || account.pending > 0 {
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
            for pipeline in plan.receivers[request.receiver].feeds.iter().flat_map(|feed| &feed.pipelines) {
                for span in chains[pipeline.0].kept(request) {
                    for exporter in &plan.pipelines[pipeline.0].exporters {
                        *copies.entry((exporter.0, span)).or_default() += 1;
                    }
                }
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
        sent: &[Sent],
    ) -> u64 {
        let may_lose = described.takes_over || described.drops_when_full;
        let copies = |span: u64| self.copies.get(&(exporter.0, span)).copied().unwrap_or(0);
        for (span, times) in delivered {
            if *times > copies(*span) {
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

    fn kept(&mut self, request: &Sent) -> Vec<u64> {
        if !self.samples || request.spans.is_empty() {
            return request.spans.clone().collect();
        }
        let body = Bytes::from(sound_body(request));
        let reservation = self.budget.try_reserve(body.len() as u64).expect("there is no limit");
        let batch = validate(body, &Limits::default()).expect("it is sound").batch;
        let spans = batch.span_count() as u64;
        let (mut acks, _answer) = ack::begin(&self.ledger, ReceiverIndex(0), &[PipelineIndex(0)], spans);
        let item = Item { batch: Batch::new(batch, reservation), ack: acks.remove(0) };
        let kept = self.chain.process(item, rootspan_model::time::UnixNanos(WALL_CLOCK));
        kept.iter().flat_map(|item| span_numbers(&item.batch)).collect()
    }
}

/// Nothing is dropped but for a reason that somebody wrote down or a back end gave.
fn reasons(account: &ExporterAccount, described: &Exporter, drained: bool, refused: u64) {
    let dropped = |reason| account.dropped.of(reason);
    let wrong = [
        (dropped(DropReason::QueueFull) > 0 && !described.drops_when_full, DropReason::QueueFull),
        (dropped(DropReason::RetryTimeout) > 0 && !described.may_give_up, DropReason::RetryTimeout),
        (dropped(DropReason::DrainDeadline) > 0 && drained, DropReason::DrainDeadline),
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
