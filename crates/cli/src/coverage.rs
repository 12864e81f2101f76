//! `rootspan edge coverage`: the same answer as the page "Edge", over HTTP.

use std::process::ExitCode;

use clap::Args;
use rootspan_query::answers::edge::{EdgeCounts, EdgeCoverageAnswer, EdgeFinding, EdgeFindingKind};
use rootspan_query::client::CoverageParameters;

use crate::arguments::{Format, SourceArguments};
use crate::output::{complain, print, say};
use crate::runtime;
use crate::search::{client, since, utc};
use crate::table::{Align, clean, duration, table};

#[derive(Debug, Args)]
pub(crate) struct CoverageArguments {
    #[command(flatten)]
    source: SourceArguments,
    /// How far back, e.g. 30m, 2h; an hour if nothing is said
    #[arg(long, value_name = "DURATION", conflicts_with = "start")]
    since: Option<String>,
    /// From when, in Unix seconds or nanoseconds
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Until when, in Unix seconds or nanoseconds
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// Only this distribution
    #[arg(long, value_name = "NAME")]
    distribution: Option<String>,
    /// Only this behaviour, by its path pattern
    #[arg(long, value_name = "PATTERN")]
    behaviour: Option<String>,
    /// A request to the origin of which no back end tells within so many seconds is counted
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u32,
}

/// Shows what became of all logged requests.
pub(crate) fn coverage(arguments: &CoverageArguments) -> anyhow::Result<ExitCode> {
    let start = match &arguments.since {
        Some(text) => Some(since(text)?),
        None => arguments.start.clone(),
    };
    let parameters = CoverageParameters {
        start,
        end: arguments.end.clone(),
        distribution: arguments.distribution.clone(),
        behaviour: arguments.behaviour.clone(),
        wait_seconds: Some(u64::from(arguments.wait)),
    };
    let client = client(&arguments.source)?;
    let answer = runtime::start()?.block_on(client.edge_coverage(&parameters))?;
    match arguments.source.format {
        Format::Json => say!("{}", serde_json::to_string_pretty(&answer)?),
        Format::Table => print_answer(&answer),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_answer(answer: &EdgeCoverageAnswer) {
    let time = |nanos: &str| utc(nanos.parse().unwrap_or_default());
    say!("from {} to {}\n", time(&answer.start_time_unix_nano), time(&answer.end_time_unix_nano));
    if answer.totals.records == 0 && answer.totals.redelivered == 0 {
        say!("no access-log record; is the time range right, and are logs delivered to a cloudfront receiver?");
    } else {
        print_counts(answer);
    }
    for finding in &answer.findings {
        print_finding(finding);
    }
    if let Some(reason) = &answer.partial {
        complain!("the answer is incomplete: {}", clean(reason));
    }
}

fn print_counts(answer: &EdgeCoverageAnswer) {
    let header = [
        ("distribution", Align::Left),
        ("behaviour", Align::Left),
        ("records", Align::Right),
        ("hits", Align::Right),
        ("5xx", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
        ("spans", Align::Right),
        ("sampled out", Align::Right),
        ("thinned", Align::Right),
        ("derived", Align::Right),
        ("unplaced", Align::Right),
        ("delay p99", Align::Right),
        ("no backend", Align::Right),
    ];
    let mut rows = Vec::new();
    for distribution in &answer.distributions {
        for behaviour in &distribution.behaviours {
            rows.push(row(&distribution.distribution, &behaviour.behaviour, &behaviour.totals));
        }
    }
    if rows.len() > 1 {
        rows.push(row("all", "", &answer.totals));
    }
    print(format_args!("{}", table(&header, &rows)));
}

fn row(distribution: &str, behaviour: &str, counts: &EdgeCounts) -> Vec<String> {
    let named = |text: &str| if text.is_empty() { "-".to_owned() } else { clean(text) };
    let time = |nanos: Option<u64>| nanos.map_or_else(|| "-".to_owned(), duration);
    let hits = ["Hit", "RefreshHit"].iter().filter_map(|name| counts.result_types.get(*name)).sum::<u64>();
    vec![
        named(distribution),
        named(behaviour),
        counts.records.to_string(),
        hits.to_string(),
        counts.status_classes.get("5xx").copied().unwrap_or(0).to_string(),
        time(counts.duration_p50_nanos),
        time(counts.duration_p99_nanos),
        counts.spans.to_string(),
        counts.sampled_out.to_string(),
        counts.thinned.to_string(),
        counts.derived.to_string(),
        counts.unplaced.to_string(),
        time(counts.delay_p99_nanos),
        format!("{} of {}", counts.misses_without_backend, counts.misses_expected),
    ]
}

/// Where a finding is; legacy logs and functions' own logs do not name all of it.
fn place(finding: &EdgeFinding) -> String {
    if finding.kind == EdgeFindingKind::AllSecondary {
        return "everywhere".to_owned();
    }
    let named = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { clean(text) };
    let distribution = named(&finding.distribution, "a distribution that the log does not name");
    format!("{distribution}, {}", named(&finding.behaviour, "behaviour not logged"))
}

fn print_finding(finding: &EdgeFinding) {
    let what = match finding.kind {
        EdgeFindingKind::AllSecondary => "records are of a log that is not authoritative",
        EdgeFindingKind::MissesWithoutBackend => "requests to the origin have no span of a back end",
        EdgeFindingKind::Unplaced => "records could not be placed",
        EdgeFindingKind::DerivedIds => "sampled records have derived ids",
        EdgeFindingKind::Late => "records came late",
    };
    say!("\n{}: {} of {} {what}", place(finding), finding.count, finding.of);
    say!("  {}", clean(&finding.check));
    if !finding.traces.is_empty() {
        say!("  for example {}", clean(&finding.traces.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_has_a_place() {
        let of = |kind, distribution: &str, behaviour: &str| {
            let (distribution, behaviour) = (distribution.to_owned(), behaviour.to_owned());
            place(&EdgeFinding {
                kind,
                distribution,
                behaviour,
                count: 3,
                of: 3,
                check: String::new(),
                traces: Vec::new(),
            })
        };
        let kind = EdgeFindingKind::DerivedIds;
        assert_eq!(of(kind, "d1.cloudfront.net", "/api/*"), "d1.cloudfront.net, /api/*");
        assert_eq!(of(kind, "", ""), "a distribution that the log does not name, behaviour not logged");
        assert_eq!(of(EdgeFindingKind::AllSecondary, "", ""), "everywhere");
    }
}
