//! What the gateway tells of itself over HTTP: `/metrics` for Prometheus, `/debug/pipelines` for people, `/debug/ledger`
//! for tests and doubts. It has a port of its own: none of it is told to who sends data.

pub(crate) mod metrics;
mod pipelines;
pub(crate) mod rates;

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
                let response = respond(request.uri(), &sources);
                async move { response }
            };
            net_http::serve(accepted.stream, stop, Settings::default(), handle).await;
        }
    };
    tasks::start("own metrics", listener.run("own metrics connection", stop.clone(), serve))
}

fn respond(uri: &http::Uri, sources: &Sources) -> Answer {
    match uri.path() {
        "/metrics" => answer(StatusCode::OK, METRICS_TYPE, metrics::render(sources)),
        "/debug/ledger" => answer(StatusCode::OK, "application/json", sources.ledger.snapshot().to_json().to_string()),
        "/debug/pipelines" => pipelines::respond(uri.query(), sources),
        _ => text(StatusCode::NOT_FOUND, "not found: /metrics, /debug/pipelines and /debug/ledger are served here"),
    }
}

/// Looks at the accounts each second until told to stop, so that there are rates to tell.
pub(crate) fn watch(sources: Arc<Sources>, mut stop: Stop) -> Task {
    tasks::start("rates", async move {
        let mut looks = tokio::time::interval(rates::STEP);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            // Both branches are cancel-safe.
            tokio::select! {
                () = stop.stopped() => return,
                _ = looks.tick() => sources.rates.look(sources.health.now(), sources.ledger.snapshot()),
            }
        }
    })
}
