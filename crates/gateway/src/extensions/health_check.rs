//! `health_check`: answers whether the gateway takes spans, for load balancers and orchestrators.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use super::auth::{AuthConfig, Authenticator};
use crate::clock::Clock;
use crate::config;
use crate::config::decode::Decode as _;
use crate::config::node::Entry;
use crate::config::problems::Problems;
use crate::config::values::Endpoint;
use crate::net::http::{self as net_http, Answer, Settings, answer, text};
use crate::net::listen::Listener;
use crate::net::stop::Stop;
use crate::net::stream::Accepted;
use crate::net::tls::ServerTlsConfig;
use crate::tasks::{self, Task};
use rootspan_model::time::UnixNanos;
use serde_json::{Value, json};

config! {
    /// Answers whether the gateway takes spans: 200 if so, 503 while it stops.
    pub struct HealthCheckConfig {
        /// Address to listen on.
        endpoint: Endpoint = "localhost:13133",
        /// Path that answers.
        path: String = "/",
        /// What it answers with instead of the status as JSON.
        response_body: Option<ResponseBody>,
        /// Encryption; without it there is none.
        tls: Option<ServerTlsConfig>,
        /// Who may ask; without it everybody who can connect.
        auth: Option<AuthConfig>,
    }
    known { "cors" }
    ignored { "check_collector_pipeline": "the collector documents that it does not work" }
}

config! {
    /// Bodies of the answer.
    pub struct ResponseBody {
        /// While spans are taken.
        healthy: String = "",
        /// While they are not.
        unhealthy: String = "",
    }
}

impl HealthCheckConfig {
    /// Decodes and checks what belongs together.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if let Some(tls) = &config.tls {
            tls.check(&entry.position, problems);
        }
        Some(config)
    }
}

/// Whether the gateway takes spans; shared by everything that tells.
#[derive(Debug)]
pub(crate) struct Health {
    accepting: AtomicBool,
    started: UnixNanos,
    clock: ClockHandle,
    reload: Mutex<Reloads>,
}

/// What became of reloads of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reloads {
    /// Those that were applied.
    pub(crate) applied: u64,
    /// Those that were refused: what ran before runs on.
    pub(crate) rejected: u64,
    /// When the last one was, and whether it was applied.
    pub(crate) last: Option<(UnixNanos, bool)>,
}

/// A clock that can be printed.
struct ClockHandle(Clock);

impl std::fmt::Debug for ClockHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Health {
    /// Not accepting yet.
    pub(crate) fn new(clock: Clock) -> Self {
        let (started, reload) = (clock(), Mutex::default());
        Self { accepting: AtomicBool::new(false), started, clock: ClockHandle(clock), reload }
    }

    /// The configuration was read again, and applied or not.
    pub(crate) fn reloaded(&self, is_applied: bool) {
        let mut reloads = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        *if is_applied { &mut reloads.applied } else { &mut reloads.rejected } += 1;
        reloads.last = Some((self.now(), is_applied));
    }

    /// What became of reloads so far.
    pub(crate) fn reloads(&self) -> Reloads {
        *self.reload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last reload as JSON; null if there was none.
    pub(crate) fn reload_json(&self) -> Value {
        let reloads = self.reloads();
        reloads.last.map_or(Value::Null, |(at, is_applied)| {
            let seconds_ago = self.now().nanos_since(at) / 1_000_000_000;
            let outcome = if is_applied { "applied" } else { "rejected; the earlier configuration runs on" };
            json!({
                "outcome": outcome, "seconds_ago": seconds_ago,
                "applied": reloads.applied, "rejected": reloads.rejected,
            })
        })
    }

    /// The time.
    pub(crate) fn now(&self) -> UnixNanos {
        (self.clock.0)()
    }

    /// Says whether spans are taken from now on.
    pub(crate) fn set_accepting(&self, accepting: bool) {
        self.accepting.store(accepting, Ordering::Release);
    }

    /// Nanoseconds since start.
    pub(crate) fn uptime_nanos(&self) -> u64 {
        (self.clock.0)().nanos_since(self.started)
    }

    /// Whether spans are taken now.
    pub(crate) fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::Acquire)
    }
}

/// Answers until told to stop.
pub(crate) fn start(
    listener: Listener,
    config: HealthCheckConfig,
    auth: Option<Arc<Authenticator>>,
    health: Arc<Health>,
    stop: &Stop,
) -> Task {
    let config = Arc::new(config);
    let connection_stop = stop.clone();
    let serve = move |accepted: Accepted| {
        let (config, health, stop) = (Arc::clone(&config), Arc::clone(&health), connection_stop.clone());
        let auth = auth.clone();
        async move {
            let handle = |request: http::Request<hyper::body::Incoming>| {
                let response = respond(request.uri().path(), &config, &health);
                let auth = auth.clone();
                async move {
                    match &auth {
                        Some(auth) => guarded(auth, request.headers(), response).await,
                        None => response,
                    }
                }
            };
            net_http::serve(accepted.stream, stop, Settings::default(), handle).await;
        }
    };
    tasks::start("health check", listener.run("health check connection", stop.clone(), serve))
}

/// `response` for who may have it.
async fn guarded(auth: &Authenticator, headers: &http::HeaderMap, response: Answer) -> Answer {
    match auth.authenticate(headers).await {
        Ok(_) => response,
        Err(denied) => {
            let mut refusal = text(StatusCode::UNAUTHORIZED, denied.message());
            refusal.headers_mut().insert(http::header::WWW_AUTHENTICATE, auth.challenge());
            refusal
        }
    }
}

fn respond(path: &str, config: &HealthCheckConfig, health: &Health) -> Answer {
    if path != config.path {
        return text(StatusCode::NOT_FOUND, "not found");
    }
    let accepting = health.is_accepting();
    let status = if accepting { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if let Some(bodies) = &config.response_body {
        let body = if accepting { &bodies.healthy } else { &bodies.unhealthy };
        return text(status, body.clone());
    }
    let words = if accepting { "Server available" } else { "Server not available" };
    let mut body = json!({"status": words, "uptimeSeconds": health.uptime_nanos() / 1_000_000_000});
    let reload = health.reload_json();
    if !reload.is_null() {
        body["lastReload"] = reload;
    }
    answer(status, "application/json", body.to_string())
}
