//! What decides whether a record becomes a span: what the edge function does on its path, rates by result, and what is kept
//! in spite of both.

use std::time::Duration;

use rootspan_model::ids::TraceId;
use rootspan_model::sampling::{Randomness, Threshold};

use super::record::{Field, Record};

/// What the edge function does with a `traceparent` that the viewer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trust {
    /// Begins a new trace: its id follows from the request id.
    #[default]
    Restart,
    /// Continues the viewer's trace: without the function's data only the viewer's headers tell which.
    Continue,
}

/// What the edge function does on the paths of a pattern. A record with the function's data says so itself; this is for the
/// others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// The paths.
    pub pattern: PathPattern,
    /// What becomes of the viewer's context.
    pub trust: Trust,
    /// The sampling threshold; `None` samples nothing.
    pub threshold: Option<Threshold>,
}

impl PathRule {
    /// What a function does by default: a new trace for every request.
    pub(crate) const DEFAULT: &'static Self =
        &Self { pattern: PathPattern(String::new()), trust: Trust::Restart, threshold: Some(Threshold::ALWAYS) };

    /// The first rule for a path.
    pub(crate) fn of<'r>(rules: &'r [Self], path: &str) -> &'r Self {
        rules.iter().find(|rule| rule.pattern.matches(path)).unwrap_or(Self::DEFAULT)
    }
}

/// A path pattern of a cache behaviour: `*` is any text, `?` any one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(String);

impl PathPattern {
    /// The pattern. CloudFront treats a missing slash at the front as if it were there.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(if pattern.starts_with(['/', '*']) { pattern.to_owned() } else { format!("/{pattern}") })
    }

    /// Whether a path is one of its.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let (pattern, path) = (self.0.as_bytes(), path.as_bytes());
        let (mut at_pattern, mut at_path) = (0, 0);
        // Where to go on if what follows the last `*` does not match: that star takes one character more.
        let mut retry: Option<(usize, usize)> = None;
        while at_path < path.len() {
            match pattern.get(at_pattern) {
                Some(b'*') => {
                    retry = Some((at_pattern, at_path));
                    at_pattern += 1;
                }
                Some(&expected) if expected == b'?' || expected == path[at_path] => {
                    at_pattern += 1;
                    at_path += 1;
                }
                Some(_) | None => {
                    let Some((star, taken)) = retry else { return false };
                    retry = Some((star, taken + 1));
                    (at_pattern, at_path) = (star + 1, taken + 1);
                }
            }
        }
        pattern[at_pattern..].iter().all(|rest| *rest == b'*')
    }
}

/// The share of requests that become spans, by `x-edge-result-type`: thins what has no backend, such as cache hits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(Vec<(String, Option<Threshold>)>);

impl Rates {
    /// The thresholds of result types, in any case; `None` keeps nothing.
    #[must_use]
    pub fn new(rates: impl IntoIterator<Item = (String, Option<Threshold>)>) -> Self {
        Self(rates.into_iter().collect())
    }

    fn of(&self, result_type: Option<&str>) -> Option<Threshold> {
        let rate = result_type.and_then(|name| self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)));
        rate.map_or(Some(Threshold::ALWAYS), |(_, threshold)| *threshold)
    }
}

/// Requests whose spans are kept although their traces are not sampled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Those that failed, and those that were answered with a status of 400 or more.
    pub errors: bool,
    /// Those that took longer.
    pub slower_than: Option<Duration>,
}

/// What was decided about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The trace is sampled, with this threshold.
    Sampled(Threshold),
    /// It is not, but the span is kept for this reason.
    Kept(&'static str),
    /// No span: the trace is not sampled.
    Out,
    /// No span: the trace is sampled, and the rate of the result type leaves it out.
    Thinned,
}

/// What a decision needs to know of the context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    pub(crate) trace_id: TraceId,
    pub(crate) random_value: Option<Randomness>,
    /// The edge's decision, with its threshold if it is known.
    pub(crate) is_sampled: bool,
    pub(crate) threshold: Option<Threshold>,
}

/// Decides by the edge's decision, the rates, and what is kept all the same.
pub(crate) fn decide(record: &Record<'_>, sampling: Sampling, rates: &Rates, keep: &Keep, is_error: bool) -> Decision {
    if sampling.is_sampled
        && let Some(rate) = rates.of(record.get(Field::ResultType))
    {
        let randomness = sampling.random_value.unwrap_or_else(|| Randomness::of_trace(sampling.trace_id));
        if rate.keeps(randomness) {
            return Decision::Sampled(sampling.threshold.unwrap_or(Threshold::ALWAYS).max(rate));
        }
    }
    let is_refusal = || record.number::<u16>(Field::Status).is_some_and(|status| (400..600).contains(&status));
    if keep.errors && (is_error || is_refusal()) {
        return Decision::Kept("error");
    }
    let is_slow =
        |limit: Duration| record.number::<f64>(Field::TimeTaken).is_some_and(|taken| taken > limit.as_secs_f64());
    if keep.slower_than.is_some_and(is_slow) {
        return Decision::Kept("slow");
    }
    if sampling.is_sampled { Decision::Thinned } else { Decision::Out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_cloudfront_does() {
        for (pattern, path, expected) in [
            ("*", "/", true),
            ("*", "", true),
            ("/api/*", "/api/", true),
            ("/api/*", "/api/items/1", true),
            ("/api/*", "/api", false),
            ("api/*", "/api/items", true),
            ("*.jpg", "/images/a.jpg", true),
            ("*.jpg", "/images/a.jpg.png", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/ac", false),
            ("/*/b*c", "/a/b/xbcc", true),
            ("/*/b*c", "/a/xbcd", false),
            ("/API/*", "/api/items", false),
            ("**a", "/bca", true),
            ("/exact", "/exact", true),
            ("/exact", "/exact/", false),
        ] {
            assert_eq!(PathPattern::new(pattern).matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        // Trying every way to spread the stars would never end.
        let pattern = PathPattern::new(&format!("{}c", "*a".repeat(60)));
        assert!(!pattern.matches(&"a".repeat(3_000)));
    }
}
