//! `GET /api/v1/edge/coverage`.

mod findings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::Uri;
use rootspan_analytics::coverage::{Counts, MINUTE_NANOS};
use rootspan_model::time::UnixNanos;
use rootspan_store::coverage::{CoverageAnswer, CoverageRequest, StepCoverage};
use rootspan_store::store::Store;
use rootspan_wire::cloudfront::observation::StatusClass;

use super::Shared;
use super::content::{AcceptsGzip, Content};
use super::parameters::Parameters;
use crate::answers::edge::{EdgeBehaviour, EdgeCounts, EdgeCoverageAnswer, EdgeDistribution, EdgeStep};
use crate::error::ApiError;
use crate::limits::{BACKEND_WAIT, COVERAGE_RANGE_DEFAULT, COVERAGE_STEPS};

/// Minutes of a step. Beyond a day it is as many days as needed.
const STEP_MINUTES: [u64; 6] = [1, 5, 15, 60, 360, 1440];

pub(super) async fn coverage(
    State(shared): State<Arc<Shared>>,
    accepts: AcceptsGzip,
    uri: Uri,
) -> Result<Content, ApiError> {
    let parameters = Parameters::of(&uri, &["start", "end", "distribution", "behaviour", "wait"])?;
    shared
        .queries
        .run(move |scope| {
            let (request, range) = request(&parameters, scope.store)?;
            let known = scope.store.coverage(&request, &scope.limits)?;
            Content::json(&answer(known, range, request.patience), accepts)
        })
        .await
}

/// The asked time in whole steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
    step: u64,
}

impl Range {
    /// Moves both ends outwards.
    fn covering(start: UnixNanos, end: UnixNanos) -> Self {
        // Moving both ends may add a step.
        let minutes = end.0.saturating_sub(start.0).div_ceil(MINUTE_NANOS);
        let wanted = minutes.div_ceil(COVERAGE_STEPS - 1);
        let step = STEP_MINUTES.into_iter().find(|step| *step >= wanted);
        let step = step.unwrap_or_else(|| wanted.next_multiple_of(1440)).saturating_mul(MINUTE_NANOS);
        let start = start.0 / step * step;
        // An empty range is the step that it lies in.
        let end = end.0.max(start.saturating_add(1)).div_ceil(step).saturating_mul(step);
        Self { start, end, step }
    }
}

fn request(parameters: &Parameters, store: &Store) -> Result<(CoverageRequest, Range), ApiError> {
    let end = parameters.time("end")?.unwrap_or_else(|| store.now());
    let range = u64::try_from(COVERAGE_RANGE_DEFAULT.as_nanos()).unwrap_or(u64::MAX);
    let start = parameters.time("start")?.unwrap_or(UnixNanos(end.0.saturating_sub(range)));
    if start > end {
        return Err(ApiError::bad_request("start is later than end"));
    }
    let patience = match parameters.get("wait") {
        None => BACKEND_WAIT,
        Some(text) => Duration::from_secs(text.parse::<u32>().map(u64::from).map_err(|_| {
            ApiError::bad_request(format!("wait={text:?} is not a number of seconds"))
                .hint("after so long a request to the origin without a back end's span counts; 600 if it is not given")
        })?),
    };
    let range = Range::covering(start, end);
    let request = CoverageRequest {
        start: UnixNanos(range.start),
        end: UnixNanos(range.end),
        step_minutes: u32::try_from(range.step / MINUTE_NANOS).unwrap_or(u32::MAX),
        distribution: parameters.get("distribution").map(str::to_owned),
        behaviour: parameters.get("behaviour").map(str::to_owned),
        patience,
    };
    Ok((request, range))
}

fn answer(known: CoverageAnswer, range: Range, patience: Duration) -> EdgeCoverageAnswer {
    let findings = findings::find(&known, patience);
    let mut distributions: BTreeMap<Box<str>, (StepCoverage, Vec<EdgeBehaviour>)> = BTreeMap::new();
    let mut totals = StepCoverage::default();
    for (key, of_key) in known.keys {
        let (of_distribution, behaviours) = distributions.entry(key.distribution).or_default();
        let mut sum = StepCoverage::default();
        let mut steps = Vec::with_capacity(of_key.steps.len());
        for (minute, step) in &of_key.steps {
            sum.merge(step);
            let start = u64::from(*minute) * MINUTE_NANOS;
            steps.push(EdgeStep { start_time_unix_nano: start.to_string(), counts: counts(step) });
        }
        of_distribution.merge(&sum);
        totals.merge(&sum);
        behaviours.push(EdgeBehaviour { behaviour: key.behaviour.into(), totals: counts(&sum), steps });
    }
    let distribution = |(name, (sum, mut behaviours)): (Box<str>, (StepCoverage, Vec<EdgeBehaviour>))| {
        behaviours.sort_by_key(|behaviour| std::cmp::Reverse(behaviour.totals.records));
        EdgeDistribution { distribution: name.into(), totals: counts(&sum), behaviours }
    };
    let mut distributions: Vec<EdgeDistribution> = distributions.into_iter().map(distribution).collect();
    distributions.sort_by_key(|distribution| std::cmp::Reverse(distribution.totals.records));
    EdgeCoverageAnswer {
        start_time_unix_nano: range.start.to_string(),
        end_time_unix_nano: range.end.to_string(),
        step_nanos: range.step,
        totals: counts(&totals),
        distributions,
        findings,
        partial: known.partial,
    }
}

fn counts(step: &StepCoverage) -> EdgeCounts {
    let counts: &Counts = &step.counts;
    let classes = StatusClass::ALL.iter().zip(counts.statuses);
    // Nothing answers with 1xx in the end, so that class is there only if something did.
    let classes = classes.filter(|(class, count)| **class != StatusClass::Informational || *count > 0);
    EdgeCounts {
        records: counts.records(),
        redelivered: counts.redelivered,
        result_types: counts.result_types.iter().map(|(name, count)| (name.to_string(), *count)).collect(),
        status_classes: classes.map(|(class, count)| (class.name().to_owned(), count)).collect(),
        sampled: counts.sampled,
        sampled_out: counts.sampled_out,
        kept: counts.kept,
        thinned: counts.thinned,
        derived: counts.derived(),
        unplaced: counts.unplaced,
        spans: counts.spans(),
        secondary: counts.secondary,
        delay_p50_nanos: counts.delay.quantile(0.5),
        delay_p99_nanos: counts.delay.quantile(0.99),
        duration_p50_nanos: counts.duration.quantile(0.5),
        duration_p99_nanos: counts.duration.quantile(0.99),
        bytes: counts.bytes,
        misses_expected: step.expected,
        misses_without_backend: step.without_backend,
    }
}

#[cfg(test)]
mod tests;
