//! `rootspan edge test`: a function on given events, without a distribution around it. Says what CloudFront would do with
//! what the function returned, and why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Uri};
use rootspan_model::limits::{EDGE_FUNCTION_MAX_BYTES, LOG_CUSTOM_DATA_MAX_BYTES};
use serde_json::{Value, json};

use super::clock::{Stopwatch, unix_millis};
use super::config::{Config, Function, Runtime, StartError};
use super::event::{self, Verdict, ViewerRequest};
use super::headers::EventType;
use super::lambda::{Invoked, Lambda};
use super::lambda_event::{self, EdgeRequest, EdgeVerdict};
use super::random::Random;
use super::sandbox::{Called, FunctionCode, Invocation};

/// Events as CloudFront sends them, for both kinds of functions.
const CLOUDFRONT_EVENTS: &str = include_str!("../../../../testdata/cloudfront/function-events.json");
const LAMBDA_EVENTS: &str = include_str!("../../../../testdata/cloudfront/lambda-edge-events.json");

/// A CloudFront function runs this often; the shortest run counts, for a busy machine only makes runs longer.
const RUNS: usize = 20;

/// What a CloudFront function may take, as third parties say: AWS does not publish it.
const COMPUTE_LIMIT: Duration = Duration::from_millis(1);

/// What CloudFront would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdicts {
    /// The request, or the response, goes on.
    Continues,
    /// The viewer gets a response of the function.
    Responds {
        /// Its status.
        status: u16,
    },
    /// The viewer gets an error.
    Fails {
        /// 502 for what breaks a rule, 503 for what fails or takes too long.
        status: u16,
        /// Which rule, or which error.
        reason: String,
    },
}

/// One function on one event.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The event's kind.
    pub event: &'static str,
    /// Its request.
    pub request_id: String,
    /// What CloudFront would do.
    pub verdict: Verdicts,
    /// What the function changed: path in the event, before, after.
    pub changes: Vec<(String, Option<String>, Option<String>)>,
    /// The text for the access log.
    pub log_data: Option<String>,
    /// What goes to CloudWatch Logs.
    pub console: Vec<String>,
    /// How long it took here.
    pub elapsed: Duration,
    /// Share of CloudFront's compute limit, estimated from `elapsed`; for CloudFront Functions only.
    pub compute_percent: Option<u64>,
}

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The function does not load.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Not an event of CloudFront.
    #[error("event {index} is none for {event}: {problem}")]
    Event {
        /// Which of them.
        index: usize,
        /// What it should be.
        event: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The built-in events for a kind of function on an event.
#[must_use]
pub fn events(runtime: Runtime, event: EventType) -> Vec<Value> {
    let parse = |text: &str| serde_json::from_str::<Vec<Value>>(text).expect("the events are JSON");
    if runtime == Runtime::CloudFront {
        let is_of = |value: &Value| value["context"]["eventType"] == event.name();
        return parse(CLOUDFRONT_EVENTS).into_iter().filter(is_of).collect();
    }
    let near = if event.has_response() { EventType::OriginResponse } else { EventType::OriginRequest };
    let mut events = parse(LAMBDA_EVENTS);
    events.retain(|value| value["Records"][0]["cf"]["config"]["eventType"] == near.name());
    for value in &mut events {
        let cf = &mut value["Records"][0]["cf"];
        cf["config"]["eventType"] = event.name().into();
        if event.is_viewer()
            && let Some(request) = cf["request"].as_object_mut()
        {
            request.shift_remove("origin");
        }
    }
    events
}

/// Runs a function on events of one kind.
///
/// # Errors
///
/// If the function does not load or an event is none.
pub async fn run(function: &Function, event: EventType, events: &[Value]) -> Result<Vec<Trial>, TrialError> {
    let check = |(index, value): (usize, &Value)| match problem(function.runtime, event, value) {
        Some(problem) => Err(TrialError::Event { index, event: event.name(), problem }),
        None => Ok(()),
    };
    events.iter().enumerate().try_for_each(check)?;
    let mut trials = Vec::with_capacity(events.len());
    if function.runtime == Runtime::CloudFront {
        let code = FunctionCode::new(&function.code).map_err(|source| StartError::Function { event, source })?;
        trials.extend(events.iter().map(|value| on_cloudfront(&code, event, value)));
        return Ok(trials);
    }
    let random = Arc::new(Random::new(0, unix_millis()));
    let lambda = Lambda::start(function, event, &Config::default(), random).await;
    let lambda = Arc::new(lambda.map_err(|source| StartError::Lambda { event, source })?);
    for value in events {
        trials.push(on_lambda(&lambda, event, value).await);
    }
    Ok(trials)
}

/// Why a value is no event of its kind.
fn problem(runtime: Runtime, event: EventType, value: &Value) -> Option<&'static str> {
    let (kind, request, response) = if runtime == Runtime::CloudFront {
        (&value["context"]["eventType"], &value["request"], value.get("response"))
    } else {
        let cf = &value["Records"][0]["cf"];
        (&cf["config"]["eventType"], &cf["request"], cf.get("response"))
    };
    if kind != event.name() {
        return Some("it has another eventType, or the shape of the other kind of functions");
    }
    if !request["headers"].is_object() || !request["uri"].is_string() {
        return Some("its request has no headers or no uri");
    }
    (event.has_response() != response.is_some())
        .then_some("it has a response where there is none, or none where one is")
}

fn on_cloudfront(code: &FunctionCode, event: EventType, value: &Value) -> Trial {
    let query = |(name, entry): (&String, &Value)| format!("{name}={}", entry["value"].as_str().unwrap_or_default());
    let query = value["request"]["querystring"].as_object().into_iter().flatten().map(query).collect::<Vec<_>>();
    let is_request = event == EventType::ViewerRequest;
    let edge_location = json!({"name": "FRA", "serverIp": "192.0.2.1", "region": "eu-central-1"}).to_string();
    let invocation = Invocation {
        event: value.to_string(),
        raw_query: query.join("&"),
        start_unix_millis: unix_millis(),
        edge_location: if is_request { edge_location } else { "{}".to_owned() },
        time_limit: Duration::from_secs(2),
    };
    let Called { result, log_data, console, mut elapsed } = code.call(&invocation);
    if result.is_ok() {
        for _ in 1..RUNS {
            elapsed = elapsed.min(code.call(&invocation).elapsed);
        }
    }
    let none = HeaderMap::new();
    let verdict = match &result {
        Err(error) => Verdicts::Fails { status: 503, reason: error.to_string() },
        Ok(returned) if is_request => {
            let seen = viewer(&none);
            match event::read_returned(&seen, value, returned.as_ref()) {
                Ok(Verdict::Forward(_)) => Verdicts::Continues,
                Ok(Verdict::Respond(response)) => Verdicts::Responds { status: response.status },
                Err(reason) => Verdicts::Fails { status: 502, reason },
            }
        }
        Ok(returned) => goes_on(event::read_response(&none, value, returned.as_ref()).map(drop)),
    };
    let before = if is_request { &value["request"] } else { &value["response"] };
    let after = result.ok().flatten().unwrap_or_default();
    let percent = elapsed.as_micros() * 100 / COMPUTE_LIMIT.as_micros();
    Trial {
        event: event.name(),
        request_id: value["context"]["requestId"].as_str().unwrap_or_default().to_owned(),
        verdict,
        changes: changes(before, &after),
        log_data: log_data.map(|text| text.chars().take(LOG_CUSTOM_DATA_MAX_BYTES).collect()),
        console,
        elapsed,
        compute_percent: Some(u64::try_from(percent).unwrap_or(u64::MAX)),
    }
}

/// What the rules need to know beside the event.
fn viewer(headers: &HeaderMap) -> ViewerRequest<'_> {
    ViewerRequest {
        method: "GET",
        path: "/",
        query: "",
        headers,
        viewer_ip: String::new(),
        request_id: "",
        distribution_id: "",
        distribution_domain: "",
    }
}

async fn on_lambda(lambda: &Arc<Lambda>, event: EventType, value: &Value) -> Trial {
    let started = Stopwatch::start();
    let Invoked { result, lines } = lambda.invoke(value.clone()).await;
    let elapsed = started.elapsed();
    let cf = &value["Records"][0]["cf"];
    let none = HeaderMap::new();
    let verdict = match &result {
        Err(error) => Verdicts::Fails { status: 503, reason: error.to_string() },
        Ok(returned) if event.has_response() => goes_on(lambda_event::read_response(event, value, returned).map(drop)),
        Ok(returned) => match lambda_event::read_request(&edge_request(event, &none), value, returned) {
            Ok(EdgeVerdict::Forward(..)) => Verdicts::Continues,
            Ok(EdgeVerdict::Respond(response)) => Verdicts::Responds { status: response.status },
            Err(reason) => Verdicts::Fails { status: 502, reason },
        },
    };
    let before = if event.has_response() { &cf["response"] } else { &cf["request"] };
    Trial {
        event: event.name(),
        request_id: cf["config"]["requestId"].as_str().unwrap_or_default().to_owned(),
        verdict,
        changes: changes(before, &result.unwrap_or_default()),
        log_data: None,
        console: lines.iter().map(|line| line.text.trim_end().to_owned()).collect(),
        elapsed,
        compute_percent: None,
    }
}

fn edge_request(event: EventType, headers: &HeaderMap) -> EdgeRequest<'_> {
    let origin: Option<&Uri> = None;
    EdgeRequest {
        event,
        method: "GET",
        path: "/",
        query: "",
        headers,
        client_ip: "",
        request_id: "",
        distribution_id: "",
        distribution_domain: "",
        origin,
    }
}

fn goes_on(read: Result<(), String>) -> Verdicts {
    read.map_or_else(|reason| Verdicts::Fails { status: 502, reason }, |()| Verdicts::Continues)
}

/// What is different, leaf by leaf.
fn changes(before: &Value, after: &Value) -> Vec<(String, Option<String>, Option<String>)> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    leaves("", before, &mut old);
    leaves("", after, &mut new);
    let paths: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
    let change = |path: String| {
        let (before, after) = (old.get(&path).cloned(), new.get(&path).cloned());
        (before != after).then_some((path, before, after))
    };
    paths.into_iter().filter_map(change).collect()
}

fn leaves(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| leaves(&below(name), value, found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| leaves(&below(&index.to_string()), value, found));
        }
        Value::Null => {}
        Value::String(text) => {
            found.insert(path.to_owned(), text.clone());
        }
        Value::Bool(_) | Value::Number(_) => {
            found.insert(path.to_owned(), value.to_string());
        }
    }
}

impl Trial {
    /// Whether the viewer gets an error because of the function.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(self.verdict, Verdicts::Fails { .. })
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (outcome, status, reason) = match &self.verdict {
            Verdicts::Continues => ("continues", None, None),
            Verdicts::Responds { status } => ("responds", Some(*status), None),
            Verdicts::Fails { status, reason } => ("fails", Some(*status), Some(reason.as_str())),
        };
        let change = |(path, before, after): &(String, Option<String>, Option<String>)| json!({"path": path, "before": before, "after": after});
        json!({
            "event": self.event,
            "requestId": self.request_id,
            "outcome": outcome,
            "status": status,
            "reason": reason,
            "changes": self.changes.iter().map(change).collect::<Vec<_>>(),
            "logCustomData": self.log_data,
            "console": self.console,
            "elapsedMicroseconds": u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX),
            "computePercentEstimated": self.compute_percent,
        })
    }
}

/// For people.
impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}  request {}", self.event, self.request_id)?;
        match &self.verdict {
            Verdicts::Continues => writeln!(f, "  goes on")?,
            Verdicts::Responds { status } => writeln!(f, "  the viewer gets the function's own response, {status}")?,
            Verdicts::Fails { status, reason } => writeln!(f, "  CloudFront answers {status}: {reason}")?,
        }
        for (path, before, after) in &self.changes {
            match (before, after) {
                (None, Some(after)) => writeln!(f, "  + {path}: {after}")?,
                (Some(before), None) => writeln!(f, "  - {path}: {before}")?,
                (before, after) => {
                    let text = |value: &Option<String>| value.clone().unwrap_or_default();
                    writeln!(f, "  ~ {path}: {} → {}", text(before), text(after))?;
                }
            }
        }
        if let Some(text) = &self.log_data {
            writeln!(f, "  access log: {text} ({} of {LOG_CUSTOM_DATA_MAX_BYTES} bytes)", text.len())?;
        }
        for line in &self.console {
            writeln!(f, "  console: {line}")?;
        }
        let micros = self.elapsed.as_micros();
        match self.compute_percent {
            Some(percent) => writeln!(f, "  {micros} µs here: about {percent} of 100 of the compute limit, estimated"),
            None => writeln!(f, "  {micros} µs here"),
        }
    }
}

/// What a function's size is compared with, for people.
#[must_use]
pub fn size_line(function: &Function) -> String {
    let bytes = function.code.len();
    match function.runtime {
        Runtime::CloudFront => format!("{bytes} bytes of {EDGE_FUNCTION_MAX_BYTES}"),
        Runtime::LambdaModule | Runtime::LambdaCommonJs => {
            format!("{bytes} bytes; 1 MB packed on viewer events, 50 MB on origin events")
        }
    }
}

#[cfg(test)]
mod tests;
