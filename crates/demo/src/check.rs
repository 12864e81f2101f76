//! The comparison that `rootspan demo --requests N --exit` stands or falls with: the CDN's own ledger of requests
//! against the traces read back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rootspan_model::ids::TraceId;

use crate::traffic::Class;
use crate::{downstream, upstream};

/// Name of the CDN's service in the traces.
pub const CDN: &str = "cloudfront";

/// Name of nginx's, if it is there.
pub const NGINX: &str = "nginx";

/// A request as the CDN remembers it.
#[derive(Clone, Debug)]
pub struct Request {
    /// `x-edge-request-id`
    pub request_id: String,
    /// The trace that it opened.
    pub trace_id: TraceId,
    /// Method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Whether the function sampled it.
    pub sampled: bool,
    /// Whether the origin was asked.
    pub origin_asked: bool,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended, as the CDN remembers it, or as its span says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The status; 0 if the visitor left before there was one.
    pub status: u16,
    /// CloudFront's result type.
    pub result: String,
}

impl Outcome {
    /// Whether the span must be an error: a server's, or a response that did not arrive.
    pub const fn is_error(&self) -> bool {
        self.status == 0 || self.status >= 500
    }
}

/// A trace as read back.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Service of every span without a parent in the trace.
    pub roots: Vec<String>,
    /// Services of all spans.
    pub services: BTreeSet<String>,
    /// Spans of a database client.
    pub database_spans: usize,
    /// What the CDN's span says, and whether it is an error.
    pub cdn: Option<(Outcome, bool)>,
    /// Whose span is under whose, where one of them is nginx's or the CDN's: `nginx server < cloudfront server`.
    pub edges: BTreeSet<String>,
    /// nginx's CLIENT spans, in order: `error.type`, empty for none.
    pub nginx_tries: Vec<String>,
}

/// What a class of requests must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    services: BTreeSet<&'static str>,
    database: bool,
    /// `error.type` of each try; `None` without nginx.
    nginx_tries: Option<Vec<&'static str>>,
}

fn expected(class: Class, origin_asked: bool, has_nginx: bool) -> Expected {
    let behind = |services: &[&'static str], database, tries: &[&'static str]| {
        let mut services = BTreeSet::from_iter(services.iter().copied());
        services.insert(CDN);
        if has_nginx {
            services.insert(NGINX);
        }
        Expected { services, database, nginx_tries: has_nginx.then(|| tries.to_vec()) }
    };
    let edge_alone = Expected { services: BTreeSet::from([CDN]), database: false, nginx_tries: None };
    if !origin_asked {
        return edge_alone;
    }
    match class {
        Class::Asset => behind(&[upstream::NAME], false, &[""]),
        // The client's side of 404 is an error, says the convention.
        Class::MissingAsset => behind(&[upstream::NAME], false, &["404"]),
        Class::Product => behind(&[upstream::NAME, downstream::NAME], false, &[""]),
        Class::BrokenProduct => behind(&[upstream::NAME, downstream::NAME], false, &["502"]),
        Class::Order | Class::Report => behind(&[upstream::NAME, downstream::NAME], true, &[""]),
        // Nothing behind the CDN makes a span: the edge answers, or the origin cannot be reached or does not answer.
        Class::Redirect | Class::Forbidden | Class::Unreachable | Class::Blocked | Class::Abandoned => edge_alone,
        Class::Retried => behind(&[upstream::NAME], false, &["connect_failed", "404"]),
        Class::Down => behind(&[], false, &["connect_failed"]),
        Class::TimedOut => behind(&[], false, &["timeout"]),
    }
}

/// The outcome.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests, by class.
    pub requests: BTreeMap<Class, u64>,
    /// Requests, by CloudFront's result type and the status.
    pub outcomes: BTreeMap<(String, u16), u64>,
    /// Requests answered without the origin.
    pub without_origin: u64,
    /// Requests that the function did not sample.
    pub unsampled: u64,
    /// Traces that are as they must be.
    pub agreeing: u64,
    /// One sentence for every disagreement.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether everything agrees.
    pub fn agrees(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Compares all `requests` with all `traces`. `has_nginx`: it stands between the CDN and the services.
pub fn compare(requests: &[Request], traces: &BTreeMap<TraceId, Trace>, has_nginx: bool) -> Report {
    let mut report = Report::default();
    let mut known = BTreeSet::new();
    for request in requests {
        known.insert(request.trace_id);
        let Some(class) = Class::of(&request.method, &request.path) else {
            report.problems.push(format!("{} {}: no class of the demo's", request.method, request.path));
            continue;
        };
        *report.requests.entry(class).or_default() += 1;
        let outcome = (request.outcome.result.clone(), request.outcome.status);
        *report.outcomes.entry(outcome).or_default() += 1;
        report.without_origin += u64::from(!request.origin_asked);
        report.unsampled += u64::from(!request.sampled);
        match (request.sampled, traces.get(&request.trace_id)) {
            (false, None) => report.agreeing += 1,
            (false, Some(_)) => report.problems.push(complaint(request, class, "was not sampled, but has a trace")),
            (true, None) => report.problems.push(complaint(request, class, "has no trace")),
            (true, Some(trace)) => {
                match disagreement(&expected(class, request.origin_asked, has_nginx), request, trace) {
                    None => report.agreeing += 1,
                    Some(problem) => report.problems.push(complaint(request, class, &problem)),
                }
            }
        }
    }
    for id in traces.keys().filter(|id| !known.contains(id)) {
        report.problems.push(format!("trace {id} belongs to no request of the CDN's ledger"));
    }
    report
}

fn disagreement(expected: &Expected, request: &Request, trace: &Trace) -> Option<String> {
    if trace.roots.len() != 1 || trace.roots[0] != CDN {
        return Some(format!("has the roots {:?}, not the CDN's one", trace.roots));
    }
    if !trace.services.iter().map(String::as_str).eq(expected.services.iter().copied()) {
        return Some(format!("has spans of {:?}, not of {:?}", trace.services, expected.services));
    }
    if trace.cdn.as_ref() != Some(&(request.outcome.clone(), request.outcome.is_error())) {
        return Some(format!("ended as {:?}, but its span says {:?}", request.outcome, trace.cdn));
    }
    if expected.database && trace.database_spans == 0 {
        return Some("has no span of the database".to_owned());
    }
    expected.nginx_tries.as_ref().and_then(|tries| nginx_disagreement(tries, expected, trace))
}

/// The way through nginx: under the CDN's span its SERVER span, under that a CLIENT span for each try, under the last the service.
fn nginx_disagreement(tries: &[&str], expected: &Expected, trace: &Trace) -> Option<String> {
    let mut edges = BTreeSet::from(["nginx server < cloudfront server", "nginx client < nginx server"]);
    if expected.services.contains(upstream::NAME) {
        edges.insert("upstream server < nginx client");
    }
    if !trace.edges.iter().map(String::as_str).eq(edges.iter().copied()) {
        return Some(format!("has {:?} at nginx, not {edges:?}", trace.edges));
    }
    // A load that fails on purpose (the scenario) shows in the status of the last try.
    let is_fault = |found: &str| tries == [""] && found == "502";
    let agrees = trace.nginx_tries.len() == tries.len()
        && trace.nginx_tries.iter().zip(tries).all(|(found, wanted)| found == wanted || is_fault(found));
    (!agrees).then(|| format!("has nginx's tries {:?}, not {tries:?}", trace.nginx_tries))
}

fn complaint(request: &Request, class: Class, problem: &str) -> String {
    format!("{} (request {}, trace {}) {problem}", class.name(), request.request_id, request.trace_id)
}

/// The summary that a person reads.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.requests.values().sum();
        writeln!(
            f,
            "{total} requests, {} of them answered at the edge, {} unsampled",
            self.without_origin, self.unsampled
        )?;
        for (class, count) in &self.requests {
            writeln!(f, "  {count:>6}  {}", class.name())?;
        }
        writeln!(f, "ended as")?;
        for ((result, status), count) in &self.outcomes {
            writeln!(f, "  {count:>6}  {result} {status:03}")?;
        }
        writeln!(f, "{} agree with the traces read back, {} do not", self.agreeing, self.problems.len())?;
        for problem in self.problems.iter().take(20) {
            writeln!(f, "  - {problem}")?;
        }
        if self.problems.len() > 20 {
            writeln!(f, "  … and {} more", self.problems.len() - 20)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
