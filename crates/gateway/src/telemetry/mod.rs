//! What the gateway tells of itself over HTTP: `/metrics` for Prometheus, `/debug/ledger` for people and tests.

pub(crate) mod metrics;

use std::sync::Arc;

use http::StatusCode;

use crate::net::http::{self as net_http, Answer, Settings, answer, text};
use crate::net::listen::Listener;
use crate::net::stop::Stop;
use crate::net::stream::Accepted;
use crate::tasks::{self, Task};
use metrics::Sources;

/// The format's media type (Prometheus text exposition, version 0.0.4).
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers until told to stop.
pub(crate) fn start(listener: Listener, sources: Arc<Sources>, stop: &Stop) -> Task {
    let connection_stop = stop.clone();
    let serve = move |accepted: Accepted| {
        let (sources, stop) = (Arc::clone(&sources), connection_stop.clone());
        async move {
            let handle = |request: http::Request<hyper::body::Incoming>| {
                let response = respond(request.uri().path(), &sources);
                async move { response }
            };
            net_http::serve(accepted.stream, stop, Settings::default(), handle).await;
        }
    };
    tasks::start("own metrics", listener.run("own metrics connection", stop.clone(), serve))
}

fn respond(path: &str, sources: &Sources) -> Answer {
    match path {
        "/metrics" => answer(StatusCode::OK, METRICS_TYPE, metrics::render(sources)),
        "/debug/ledger" => answer(StatusCode::OK, "application/json", sources.ledger.snapshot().to_json().to_string()),
        _ => text(StatusCode::NOT_FOUND, "not found: /metrics and /debug/ledger are served here"),
    }
}
