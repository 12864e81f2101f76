use rootspan_wire::otlp::payload::Signal;

use super::*;

#[test]
fn reasons_have_distinct_names() {
    let names: std::collections::BTreeSet<_> = RefusalReason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), RefusalReason::ALL.len());
    let names: std::collections::BTreeSet<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), DropReason::ALL.len());
}

#[test]
fn the_json_names_what_occurred() {
    let named = |name: &str| [(name.to_owned(), Signal::Traces)];
    let ledger = Ledger::new(&named("otlp"), &named("traces"), &named("store"));
    ledger.rejected(ReceiverIndex(0), 2);
    ledger.received(ReceiverIndex(0), 5);
    ledger.entered(PipelineIndex(0), 5);
    ledger.fanned_out(PipelineIndex(0), &[Place::Exporter(ExporterIndex(0))], 5);
    ledger.settled(Place::Exporter(ExporterIndex(0)), 5, Settlement::Refused(RefusalReason::DiskFull));
    ledger.answered(ReceiverIndex(0), 5, Settlement::Refused(RefusalReason::DiskFull));
    ledger.refused_request(ReceiverIndex(0), RefusalReason::TooLarge);
    expect_test::expect![[r#"
        {"receivers":[{"id":"otlp","signal":"traces","received":7,"accepted":0,"rejected":2,"refused":{"disk_full":5},"pending":0,"refused_requests":{"too_large":1}}],"pipelines":[{"id":"traces","signal":"traces","in":5,"filtered":0,"sampled_out":0,"dropped":{},"refused":{},"out":5,"held":0}],"exporters":[{"id":"store","signal":"traces","enqueued":5,"recovered":0,"repeated":0,"delivered":0,"dropped":{},"refused":{"disk_full":5},"queued":0,"on_disk":0}],"imbalances":[]}
    "#]]
    .assert_eq(&format!("{}\n", ledger.snapshot().to_json()));
}
