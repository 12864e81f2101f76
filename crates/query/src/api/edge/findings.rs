//! What in the counts wants somebody's attention, and what to check first.

use std::time::Duration;

use rootspan_analytics::coverage::{Counts, Key};
use rootspan_model::ids::TraceId;
use rootspan_store::coverage::{CoverageAnswer, StepCoverage};

use crate::answers::edge::{EdgeFinding, EdgeFindingKind as Kind};

/// Most findings in an answer.
const MAX_FINDINGS: usize = 100;
/// One in so many may be an accident: a back end that was restarted, a viewer that went away.
const ACCIDENTS: u64 = 20;
/// Standard logs are usually there within an hour, real-time logs within seconds (CloudFront's developer guide).
const LATE: Duration = Duration::from_hours(1);

/// The most urgent first.
pub(super) fn find(known: &CoverageAnswer, patience: Duration) -> Vec<EdgeFinding> {
    let mut findings = Vec::new();
    let mut total = StepCoverage::default();
    for (key, of_key) in &known.keys {
        let mut sum = StepCoverage::default();
        of_key.steps.values().for_each(|step| sum.merge(step));
        total.merge(&sum);
        find_in(key, &sum, &of_key.without_backend, patience, &mut findings);
    }
    let (secondary, records) = (total.counts.secondary, total.counts.records());
    if secondary > 0 && secondary == records {
        let nowhere = Key { distribution: "".into(), behaviour: "".into() };
        findings.push(finding(
            Kind::AllSecondary,
            &nowhere,
            (secondary, records),
            "Everything that came is of a log that is not authoritative, so there are no spans. If there are no access logs \
             beside a function's own, set authoritative_source: function_log in receivers.cloudfront; if only access logs \
             come, remove that setting."
                .to_owned(),
        ));
    }
    findings.sort_by_key(|finding| (finding.kind, std::cmp::Reverse(finding.count)));
    findings.truncate(MAX_FINDINGS);
    findings
}

fn find_in(key: &Key, sum: &StepCoverage, traces: &[TraceId], patience: Duration, findings: &mut Vec<EdgeFinding>) {
    let counts = &sum.counts;
    if sum.without_backend > 0 && sum.without_backend * ACCIDENTS >= sum.expected {
        let check = format!(
            "CloudFront sent these sampled requests to the origin, and within {} no span of a back end arrived below theirs. \
             First let traceparent and tracestate through to the origin by the behaviour's origin request policy; then look \
             whether the origin continues traces and exports its spans to here. An origin that is not traced, such as a bucket \
             of files, always looks like this.",
            minutes(patience)
        );
        let mut finding = finding(Kind::MissesWithoutBackend, key, (sum.without_backend, sum.expected), check);
        finding.traces = traces.iter().map(ToString::to_string).collect();
        findings.push(finding);
    }
    if counts.unplaced > 0 {
        let check = "These records do not tell which trace they belong to, or when they were. On a path that continues the \
                     viewers' traces the log must have the function's data: select viewer-request-log-data (or cs-headers) \
                     in the log's fields, with x-edge-request-id and a time.";
        findings.push(finding(Kind::Unplaced, key, (counts.unplaced, counts.records()), check.to_owned()));
    }
    if counts.derived() > unseen_by_function(counts) {
        let check = "The ids of these spans follow from the request id, because their records have no data of the edge \
                     function. Attach viewer-request.js to this behaviour, and select viewer-request-log-data in the log's \
                     fields; without it a back end's spans may be in other traces.";
        findings.push(finding(Kind::DerivedIds, key, (counts.derived(), counts.sampled), check.to_owned()));
    }
    let late = counts.delay.count_over(u64::try_from(LATE.as_nanos()).unwrap_or(u64::MAX));
    if late * 100 > counts.delay.count() {
        let check = "More than one in a hundred records was read later than an hour after its request, when logs are usually \
                     there. Either the delivery is slow (Firehose's retries and buffering, the bucket's notifications), or \
                     files were read later than they were written: those of an earlier day, or after a standstill. For \
                     incident work use real-time logs, which arrive in seconds.";
        findings.push(finding(Kind::Late, key, (late, counts.delay.count()), check.to_owned()));
    }
}

/// Records that an attached function may not have seen: a redirect to HTTPS and a request that WAF blocks end before it.
/// A block is an error like others in the log, so all errors are taken for one.
fn unseen_by_function(counts: &Counts) -> u64 {
    ["Redirect", "Error"].iter().filter_map(|name| counts.result_types.get(*name)).sum()
}

fn finding(kind: Kind, key: &Key, (count, of): (u64, u64), check: String) -> EdgeFinding {
    let (distribution, behaviour) = (key.distribution.to_string(), key.behaviour.to_string());
    EdgeFinding { kind, distribution, behaviour, count, of, check, traces: Vec::new() }
}

fn minutes(patience: Duration) -> String {
    match (patience.as_secs() / 60, patience.as_secs() % 60) {
        (0, seconds) => format!("{seconds} seconds"),
        (1, 0) => "a minute".to_owned(),
        (minutes, 0) => format!("{minutes} minutes"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}
