//! Answers a question about coverage from the tails and the files.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use rootspan_analytics::coverage::{Coverage, Key, MAX_KEYS, MINUTE_NANOS};
use rootspan_model::time::UnixNanos;
use rootspan_wire::cloudfront::observation::OTHER;

use super::backends::{self, Checked};
use super::file::{self, Content};
use super::gather::Miss;
use super::{CoverageAnswer, CoverageRequest, KeyCoverage};
use crate::reading::Reading;
use crate::shared::{LiveCoverage, Shared};
use crate::store::QueryError;

/// Traces without a back end that a behaviour shows.
const EXAMPLES: usize = 5;

/// Requests to the origin that one question looks up: some 10 MB, and a second or two of a large store. The latest count.
const MAX_MISSES: usize = 200_000;

/// The minute of a moment.
pub(crate) fn minute_of(time: UnixNanos) -> u32 {
    u32::try_from(time.0 / MINUTE_NANOS).unwrap_or(u32::MAX)
}

/// The second of a moment.
pub(crate) fn seconds_of(time: UnixNanos) -> u32 {
    u32::try_from(time.0 / 1_000_000_000).unwrap_or(u32::MAX)
}

/// See the module.
pub(super) fn coverage(
    reading: &Reading<'_>,
    shared: &Shared,
    request: &CoverageRequest,
) -> Result<CoverageAnswer, QueryError> {
    let mut sum = Sum::new(request);
    for tail in &reading.snapshot.tails {
        tail.gathered(|gathered| {
            for hour in gathered.hours.values() {
                sum.add(&hour.coverage, &hour.misses);
            }
        });
    }
    let mut reasons: Vec<String> = Vec::new();
    // The latest first: that is what a limit leaves.
    let (first, end) = (sum.first, sum.end);
    for live in reading.snapshot.coverage.iter().rev().filter(|live| live.entry.touches(first, end)) {
        match reading.guard.charge(live.entry.bytes) {
            Ok(()) => {}
            Err(error @ (QueryError::Deadline(_) | QueryError::Budget(_))) => {
                reasons.push(format!("older minutes are not counted: {error}"));
                break;
            }
            Err(error) => return Err(error),
        }
        match content(shared, live) {
            Ok(content) => sum.add(&content.coverage, &content.misses),
            // Retention removed it while this query ran.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !shared.has_coverage(live.entry.id) => {}
            Err(error) => {
                let path = live.entry.path();
                tracing::warn!(path, %error, "a file of coverage cannot be read, and what it counts is missing");
                reasons.push(format!("what {path} counts is missing: {error}"));
            }
        }
    }
    let misses = due(std::mem::take(&mut sum.misses), shared.now(), request.patience);
    let checked = backends::check(reading, shared, misses)?;
    if sum.has_more_misses {
        reasons.push(format!("back ends were looked for of the latest {MAX_MISSES} requests only"));
    }
    reasons.extend(checked.partial.clone());
    let mut answer = sum.answer(&checked);
    if sum.has_other {
        reasons.push(format!(
            "there are more than {MAX_KEYS} behaviours, or names longer than CloudFront's: the others are counted as {OTHER}"
        ));
    }
    let from = UnixNanos(u64::from(sum.first) * MINUTE_NANOS);
    reasons.extend(reading.missing(Some(from), Some(request.end)));
    answer.partial = (!reasons.is_empty()).then(|| reasons.join("; "));
    Ok(answer)
}

fn content(shared: &Shared, live: &LiveCoverage) -> io::Result<Arc<Content>> {
    shared.coverage_cache.get(live.entry.id, || {
        let content = file::read(shared.directory.as_ref(), &live.entry.path())?;
        let bytes = content.memory_bytes();
        Ok((content, bytes))
    })
}

/// What was added so far.
struct Sum<'r> {
    request: &'r CoverageRequest,
    /// Minutes from here …
    first: u32,
    /// … to before here.
    end: u32,
    /// Sums by the first minute of their steps.
    steps: Coverage,
    misses: Vec<(u32, Miss)>,
    /// There was no room for some.
    has_more_misses: bool,
    has_other: bool,
}

impl<'r> Sum<'r> {
    fn new(request: &'r CoverageRequest) -> Self {
        let end = u32::try_from(request.end.0.div_ceil(MINUTE_NANOS)).unwrap_or(u32::MAX);
        let first = minute_of(request.start);
        Self {
            request,
            first,
            end,
            steps: Coverage::default(),
            misses: Vec::new(),
            has_more_misses: false,
            has_other: false,
        }
    }

    fn is_wanted(&self, key: &Key) -> bool {
        let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
        is(&self.request.distribution, &key.distribution) && is(&self.request.behaviour, &key.behaviour)
    }

    fn step(&self, minute: u32) -> u32 {
        let width = self.request.step_minutes.max(1);
        minute / width * width
    }

    fn add(&mut self, coverage: &Coverage, misses: &[Miss]) {
        let range = self.first..self.end;
        for (key, minute, counts) in coverage.cells() {
            if range.contains(&minute) && self.is_wanted(key) {
                self.has_other |= &*key.distribution == OTHER || &*key.behaviour == OTHER;
                self.steps.add(key, self.step(minute), counts);
            }
        }
        for miss in misses.iter().filter(|miss| range.contains(&miss.minute)) {
            let Some(key) = coverage.keys().get(miss.key as usize).filter(|key| self.is_wanted(key)) else { continue };
            if self.misses.len() >= MAX_MISSES {
                self.has_more_misses = true;
                return;
            }
            let number = self.steps.key(&key.distribution, &key.behaviour);
            self.misses.push((number, *miss));
        }
    }

    fn answer(&self, checked: &Checked) -> CoverageAnswer {
        let mut keys: BTreeMap<Key, KeyCoverage> = BTreeMap::new();
        for (key, minute, counts) in self.steps.cells() {
            self.entry(&mut keys, key, minute).counts = counts.clone();
        }
        for (number, miss, has_backend) in &checked.misses {
            let Some(key) = self.steps.keys().get(*number as usize) else { continue };
            let step = self.entry(&mut keys, key, self.step(miss.minute));
            step.expected += 1;
            step.without_backend += u64::from(!has_backend);
            let Some(of_key) = keys.get_mut(key) else { continue };
            if !has_backend && of_key.without_backend.len() < EXAMPLES {
                of_key.without_backend.push(miss.trace_id);
            }
        }
        CoverageAnswer { keys, partial: None }
    }

    fn entry<'k>(
        &self,
        keys: &'k mut BTreeMap<Key, KeyCoverage>,
        key: &Key,
        minute: u32,
    ) -> &'k mut super::StepCoverage {
        keys.entry(key.clone()).or_default().steps.entry(minute).or_default()
    }
}

/// What of the misses may be looked up: those whose back ends have had time to tell.
fn due(misses: Vec<(u32, Miss)>, now: UnixNanos, patience: std::time::Duration) -> Vec<(u32, Miss)> {
    let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
    let until = seconds_of(UnixNanos(now.0.saturating_sub(patience)));
    let mut due: Vec<(u32, Miss)> = misses.into_iter().filter(|(_, miss)| miss.arrived <= until).collect();
    due.sort_unstable_by_key(|(_, miss)| std::cmp::Reverse((miss.minute, *miss.trace_id.as_bytes())));
    due
}
