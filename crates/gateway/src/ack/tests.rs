use rootspan_wire::otlp::payload::Signal;

use super::*;

const RECEIVER: ReceiverIndex = ReceiverIndex(0);

fn ledger() -> Arc<Ledger> {
    let named = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Signal::Traces)).collect::<Vec<_>>();
    Arc::new(Ledger::new(&named(&["otlp"]), &named(&["a", "b"]), &named(&["store", "debug"])))
}

#[track_caller]
fn check_balanced(ledger: &Ledger, in_flight: u64) {
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.imbalances(), Vec::<String>::new());
    assert_eq!(snapshot.in_flight(), in_flight);
}

#[test]
fn the_sender_hears_the_worst_outcome_once_all_copies_are_settled() {
    let ledger = ledger();
    let (acks, mut answer) = begin(&ledger, RECEIVER, &[PipelineIndex(0), PipelineIndex(1)], 10);
    check_balanced(&ledger, 20);
    let exporters = [ExporterIndex(0), ExporterIndex(1)].map(Place::Exporter);
    let mut copies: Vec<Ack> = acks.into_iter().flat_map(|ack| ack.fan_out(&exporters)).collect();
    check_balanced(&ledger, 40);

    let never = Outcome::Refused(Refusal::never(RefusalReason::RejectedByBackend, "no"));
    let retry = Outcome::Refused(Refusal::retry(RefusalReason::QueueFull, "later", Duration::from_secs(3)));
    for outcome in [Outcome::Delivered, retry.clone(), never] {
        copies.pop().expect("a copy is left").settle(outcome);
        assert!(answer.try_recv().is_err(), "a copy is still on its way");
        assert_eq!(ledger.snapshot().imbalances(), Vec::<String>::new());
    }
    drop(copies);
    assert_eq!(answer.try_recv().expect("all copies are settled"), retry);
    check_balanced(&ledger, 0);

    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.receivers[0].refused.of(RefusalReason::QueueFull), 10);
    assert_eq!(snapshot.exporters[0].refused.of(RefusalReason::ShuttingDown), 10, "the copy that was dropped");
    assert_eq!(snapshot.exporters[1].delivered, 10);
}

#[test]
fn the_worst_outcome_is_heard_across_a_connector() {
    let ledger = ledger();
    let (mut acks, mut answer) = begin(&ledger, RECEIVER, &[PipelineIndex(0)], 5);
    let places = [Place::Exporter(ExporterIndex(0)), Place::Pipeline(PipelineIndex(1))];
    let mut copies = acks.remove(0).fan_out(&places);
    check_balanced(&ledger, 10);
    let mut behind = copies.remove(1);
    behind.remove(2, Removal::Filtered);
    let behind = behind.fan_out(&[Place::Exporter(ExporterIndex(1))]).remove(0);
    check_balanced(&ledger, 8);
    copies.remove(0).settle(Outcome::Delivered);
    assert!(answer.try_recv().is_err(), "the copy behind the connector is on its way");
    let never = Outcome::Refused(Refusal::never(RefusalReason::RejectedByBackend, "no"));
    behind.settle(never.clone());
    assert_eq!(answer.try_recv(), Ok(never));
    check_balanced(&ledger, 0);
    let snapshot = ledger.snapshot();
    assert_eq!((snapshot.pipelines[1].entered, snapshot.pipelines[1].filtered), (5, 2));
    assert_eq!(snapshot.exporters[1].refused.of(RefusalReason::RejectedByBackend), 3);
}

#[test]
fn a_sender_that_went_away_changes_nothing() {
    let ledger = ledger();
    let (acks, answer) = begin(&ledger, RECEIVER, &[PipelineIndex(0)], 3);
    drop(answer);
    for ack in acks {
        for copy in ack.fan_out(&[Place::Exporter(ExporterIndex(0))]) {
            copy.settle(Outcome::Delivered);
        }
    }
    check_balanced(&ledger, 0);
    assert_eq!(ledger.snapshot().receivers[0].accepted, 3);
}
