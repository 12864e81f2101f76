//! A gateway, a CloudFront in front of an origin that delivers its logs to it, and what became of requests.

use rootspan_edge::build;
use rootspan_edge::emulator::{Config, Delivery, Emulator, Functions, LedgerEntry, Running};
use rootspan_edge::settings::Settings;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::api;
use crate::edge_table::stage::{Arrivals, Seen, start_origin};
use crate::http::{self, Answer};
use crate::process::{ACCESS_KEY, Process, Setup, Site};

/// A gateway, a CloudFront that delivers to it, and an origin.
pub(super) struct Edge {
    gateway: Process,
    runtime: Runtime,
    running: Running,
    arrivals: Arrivals,
    sent: u64,
    _site: Site,
}

impl Edge {
    /// With the functions of these settings.
    pub(super) fn start(settings: &str) -> Self {
        Self::with("", |config| config.functions = Functions::viewer_request(built(settings, "viewer-request.js")))
    }

    /// With more keys of the receiver, and anything else of the emulator.
    pub(super) fn with(receiver: &'static str, change: impl FnOnce(&mut Config)) -> Self {
        let site = Site::new(Setup { cloudfront: true, cloudfront_keys: receiver, ..Setup::default() });
        Self::of(site, |config, _| change(config))
    }

    /// With any gateway.
    pub(super) fn of(site: Site, change: impl FnOnce(&mut Config, &Process)) -> Self {
        let gateway = site.start();
        let (origin, arrivals) = start_origin();
        let endpoint = format!("http://{}/", gateway.address("cloudfront", "http"));
        let mut config = Config {
            origin: format!("http://{origin}"),
            deliveries: vec![Delivery::to_endpoint(&endpoint, ACCESS_KEY)],
            ..Config::default()
        };
        change(&mut config, &gateway);
        let runtime = Runtime::new().expect("a runtime can be made");
        let running = runtime.block_on(Emulator::start(config)).expect("the emulator starts");
        Self { gateway, runtime, running, arrivals, sent: 0, _site: site }
    }

    pub(super) fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = http::send(self.running.address, "GET", target, headers, b"");
        self.sent += 1;
        self.runtime.block_on(self.running.ended(self.sent));
        answer
    }

    /// Everything is delivered: the ledger, what the origin got, and the gateway to be asked.
    pub(super) fn end(self) -> Ended {
        let summary = self.runtime.block_on(self.running.shutdown());
        let delivered = summary.deliveries.iter().all(|counts| counts.delivered == counts.posted);
        assert!(delivered, "{:?}", summary.deliveries);
        let seen = self.arrivals.0.lock().expect("not poisoned").clone();
        Ended { ledger: summary.ledger, seen, gateway: self.gateway, _site: self._site }
    }
}

pub(super) struct Ended {
    pub(super) ledger: Vec<LedgerEntry>,
    pub(super) seen: Vec<Seen>,
    pub(super) gateway: Process,
    _site: Site,
}

impl Ended {
    pub(super) fn spans(&self, entry: &LedgerEntry) -> Vec<Value> {
        api::trace(self.gateway.ui(), &entry.trace_id.to_string()).unwrap_or_default()
    }

    /// The only span of a request's trace.
    pub(super) fn span(&self, entry: &LedgerEntry) -> Value {
        let spans = self.spans(entry);
        assert_eq!(spans.len(), 1, "{}: {spans:?}", entry.path);
        spans[0]["span"].clone()
    }
}

/// The code of a file that `rootspan edge build` would write.
pub(super) fn built(settings: &str, file: &str) -> String {
    let settings = Settings::parse(settings).expect("valid settings");
    let functions = build::all(&settings).expect("within the limits");
    let function = functions.into_iter().find(|function| function.file_name == file);
    function.unwrap_or_else(|| panic!("{file} is built")).code
}
