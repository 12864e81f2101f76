//! `rootspan demo`: a local CloudFront, two services behind it, and everything that watches them, in one process.

mod folder;
mod nginx;
mod readback;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rootspan_demo::services::{self, Services};
use rootspan_demo::silent::Silent;
use rootspan_demo::traffic::{
    BLOCKED_PREFIX, DOWN_PREFIX, FORBIDDEN_PREFIX, REDIRECTED_PREFIX, RETRIED_PREFIX, SILENT_PREFIX, TIMEOUT_PREFIX,
    Traffic, UNREACHABLE_PREFIX,
};
use rootspan_edge::build::viewer_request;
use rootspan_edge::emulator::{
    self, Behavior, Delivery, Emulator, Functions, PROTOCOL_HEADER, ViewerProtocol, WafRule,
};
use rootspan_edge::settings::Settings;
use rootspan_gateway::config::values::Endpoint;
use rootspan_gateway::config::{self, CloudFrontSettings, DefaultSettings, Source};
use rootspan_gateway::runtime::StartError;
use rootspan_query::server;

use crate::app::App;
use crate::arguments::DemoArguments;
use crate::output::say;
use crate::runtime::StopSignal;
use crate::{logging, runtime};
use folder::DataFolder;
use nginx::Nginx;

/// Between the emulator and the receiver; both are in this process.
const ACCESS_KEY: &str = "demo";

/// From the edge location to the region of the origin and back, as between two cities of one continent.
const ORIGIN_ROUND_TRIP: Duration = Duration::from_millis(18);

/// How often ports are looked for: with every attempt of two demos at once one of them gets further.
const START_ATTEMPTS: usize = 8;

/// Runs the demo.
pub(crate) fn run(arguments: &DemoArguments) -> anyhow::Result<ExitCode> {
    logging::start_on_stderr("warn")?;
    let folder = DataFolder::new(arguments.data.as_deref())?;
    let outcome = runtime::start()?.block_on(play(arguments, &folder));
    folder.remove_if_temporary();
    outcome
}

/// Everything that runs.
struct Stage {
    app: App,
    services: Services,
    nginx: Option<Nginx>,
    cdn: emulator::Running,
    traffic: Traffic,
    /// Ends with the stage.
    _silent: Silent,
}

async fn play(arguments: &DemoArguments, folder: &DataFolder) -> anyhow::Result<ExitCode> {
    let mut stop = StopSignal::listen()?;
    let stage = Stage::start(arguments, folder).await?;
    stage.announce(arguments)?;
    // What a stop cuts off is cancel-safe: requests that nobody waits for any more.
    match (arguments.requests, arguments.exit) {
        (Some(count), true) => {
            let traffic = stage.traffic.clone();
            let compared = async {
                traffic.run_count(count).await?;
                stage.compare().await
            };
            tokio::select! {
                compared = compared => compared,
                () = stop.wait() => bail!("stopped before the traces could be compared"),
            }
        }
        (Some(count), false) => {
            tokio::select! {
                sent = stage.traffic.run_count(count) => {
                    sent?;
                    say!("{count} requests sent; Ctrl-C ends the demo");
                    stop.wait().await;
                }
                () = stop.wait() => {}
            }
            stage.stop().await
        }
        (None, _) => {
            let traffic = stage.traffic.clone();
            let rate = arguments.rate;
            let visitors = tokio::spawn(async move { traffic.run_steady(rate).await });
            stop.wait().await;
            say!("\nstopping");
            stage.traffic.stop();
            visitors.await.context("the traffic ended in a panic")?;
            stage.stop().await
        }
    }
}

impl Stage {
    async fn start(arguments: &DemoArguments, folder: &DataFolder) -> anyhow::Result<Self> {
        let app = moving(async || App::start(&configuration(arguments, folder)?).await).await?;
        let address = |component, protocol| {
            app.gateway.address(component, protocol).with_context(|| format!("{component} does not listen"))
        };
        let (otlp_grpc, otlp_http) = (address("otlp", "grpc")?, address("otlp", "http")?);
        let services = moving(async || {
            Services::start(services::Config {
                upstream: free(arguments, "upstream", arguments.upstream)?,
                downstream: free(arguments, "downstream", arguments.downstream)?,
                otlp_grpc: format!("http://{otlp_grpc}"),
                otlp_http: format!("http://{otlp_http}"),
                scenario: arguments.scenario,
            })
            .await
        })
        .await?;
        let nginx = match arguments.nginx {
            true => Some(Nginx::start(arguments, folder.path(), services.upstream, otlp_http).await?),
            false => None,
        };
        let origin = nginx.as_ref().map_or(services.upstream, Nginx::address);
        let firehose = address("cloudfront", "http")?;
        let silent = Silent::start().await?;
        let cdn = moving(async || {
            let config = distribution(arguments, origin, silent.address, firehose)?;
            Ok(Emulator::start(config).await?)
        })
        .await?;
        let traffic = Traffic::new(cdn.address, PROTOCOL_HEADER, nginx.is_some());
        Ok(Self { app, services, nginx, cdn, traffic, _silent: silent })
    }

    /// The default ports that others have, one line each.
    fn announce_moved(&self, arguments: &DemoArguments, ui: SocketAddr) {
        let of = |component, protocol| self.app.gateway.address(component, protocol);
        let used = [
            ("ui", arguments.ui, Some(ui)),
            ("cdn", arguments.cdn, Some(self.cdn.address)),
            ("upstream", arguments.upstream, Some(self.services.upstream)),
            ("downstream", arguments.downstream, Some(self.services.downstream)),
            ("otlp-grpc", arguments.otlp_grpc, of("otlp", "grpc")),
            ("otlp-http", arguments.otlp_http, of("otlp", "http")),
            ("firehose", arguments.firehose, of("cloudfront", "http")),
            ("health", arguments.health, of("health_check", "http")),
            ("metrics", arguments.metrics, of("metrics", "http")),
        ];
        let mut has_moved = false;
        for (option, wanted, used) in used {
            if let Some(used) = used.filter(|used| wanted.port() != 0 && used.port() != wanted.port()) {
                say!("  port {} is taken by another program: --{option} is {used} instead", wanted.port());
                has_moved = true;
            }
        }
        if has_moved {
            say!();
        }
    }

    fn announce(&self, arguments: &DemoArguments) -> anyhow::Result<()> {
        let ui = self.app.ui_address().context("the built-in configuration has a UI")?;
        say!("rootspan demo, scenario {}: {}", arguments.scenario.name(), arguments.scenario.description());
        say!();
        say!("  traces      http://{ui}/");
        say!("  CloudFront  http://{}/  (local; try curl http://{}/products/20)", self.cdn.address, self.cdn.address);
        if let Some(nginx) = &self.nginx {
            say!("  nginx       http://{}/", nginx.address());
        }
        say!("  upstream    http://{}/", self.services.upstream);
        say!("  downstream  http://{}/", self.services.downstream);
        for address in self.app.gateway.addresses() {
            say!("  {:<11} {} ({})", address.component, address.address, address.protocol);
        }
        say!();
        self.announce_moved(arguments, ui);
        if self.app.ui.as_ref().is_some_and(|ui| !ui.has_user_interface()) {
            say!("this binary was built without the web UI: the page says how to build it");
        }
        Ok(())
    }

    /// Stops in the order of the requests' way, so that nothing is cut off.
    async fn stop(self) -> anyhow::Result<ExitCode> {
        self.services.stop().await?;
        self.cdn.shutdown().await;
        if let Some(nginx) = self.nginx {
            nginx.stop().await?;
        }
        self.app.stop().await?;
        Ok(ExitCode::SUCCESS)
    }

    /// Reads every trace back and compares it with the CDN's ledger.
    async fn compare(self) -> anyhow::Result<ExitCode> {
        let sent = self.traffic.sent();
        let ui = self.app.ui_address().context("the built-in configuration has a UI")?;
        self.services.stop().await?;
        let summary = self.cdn.shutdown().await;
        let has_nginx = self.nginx.is_some();
        if let Some(nginx) = self.nginx {
            nginx.stop().await?;
        }
        say!("{sent} requests sent; reading their traces back from http://{ui}/");
        let report = readback::compare(ui, &summary, has_nginx).await?;
        crate::output::print(format_args!("{report}"));
        self.app.stop().await?;
        Ok(if report.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The built-in configuration with the demo's ports and folder.
fn configuration(arguments: &DemoArguments, folder: &DataFolder) -> anyhow::Result<config::Config> {
    let settings = DefaultSettings {
        otlp_grpc: endpoint(arguments, "otlp-grpc", arguments.otlp_grpc)?,
        otlp_http: endpoint(arguments, "otlp-http", arguments.otlp_http)?,
        cloudfront: Some(CloudFrontSettings {
            endpoint: endpoint(arguments, "firehose", arguments.firehose)?,
            access_key: ACCESS_KEY.to_owned(),
        }),
        ui: endpoint(arguments, "ui", arguments.ui)?,
        health_check: endpoint(arguments, "health", arguments.health)?,
        metrics: endpoint(arguments, "metrics", arguments.metrics)?,
        directory: folder.path().to_owned(),
    };
    config::load(&[Source::built_in(&settings)]).map_err(|problems| anyhow::anyhow!("{problems}"))
}

/// The local CloudFront: a distribution with the behaviours that the traffic needs.
fn distribution(
    arguments: &DemoArguments,
    origin: SocketAddr,
    silent: SocketAddr,
    firehose: SocketAddr,
) -> anyhow::Result<emulator::Config> {
    let settings = Settings::parse(&format!("probability: {}", arguments.sampling_rate))
        .map_err(|problems| anyhow::anyhow!("--sampling-rate: {}", problems[0].message))?;
    let behavior = |prefix: &str| Behavior { path_pattern: format!("{prefix}*"), ..Behavior::default() };
    let redirected = Behavior { viewer_protocol: ViewerProtocol::RedirectToHttps, ..behavior(REDIRECTED_PREFIX) };
    let forbidden = Behavior { viewer_protocol: ViewerProtocol::HttpsOnly, ..behavior(FORBIDDEN_PREFIX) };
    // Port 9 is "discard": nobody listens on it.
    let unreachable = Behavior { origin: Some("http://127.0.0.1:9".to_owned()), ..behavior(UNREACHABLE_PREFIX) };
    let unanswered = Behavior { origin: Some(format!("http://{silent}")), ..behavior(SILENT_PREFIX) };
    let blocked = WafRule { path_pattern: Some(format!("{BLOCKED_PREFIX}*")), ..WafRule::default() };
    let mut behaviors = vec![redirected, forbidden, unreachable, unanswered];
    let served = ["/assets/", "/products/", "/orders/", "/reports/", RETRIED_PREFIX, DOWN_PREFIX, TIMEOUT_PREFIX];
    behaviors.extend(served.map(behavior));
    Ok(emulator::Config {
        listen: free(arguments, "cdn", arguments.cdn)?,
        origin: format!("http://{origin}"),
        functions: Functions::viewer_request(viewer_request(&settings)?.code),
        behaviors,
        waf: vec![blocked],
        origin_round_trip: ORIGIN_ROUND_TRIP,
        deliveries: vec![Delivery {
            // A person is looking at the page; Firehose's own shortest interval is a minute.
            interval: Duration::from_millis(500),
            ..Delivery::to_endpoint(&format!("http://{firehose}/"), ACCESS_KEY)
        }],
        ..emulator::Config::default()
    })
}

fn endpoint(arguments: &DemoArguments, option: &str, address: SocketAddr) -> anyhow::Result<Endpoint> {
    let address = free(arguments, option, address)?;
    Ok(Endpoint { host: address.ip().to_string(), port: address.port() })
}

/// `address`, or a free port beside it if somebody listens there: a local Jaeger holds 16686, a collector 4317. An
/// address that the user gave does not move.
fn free(arguments: &DemoArguments, option: &str, address: SocketAddr) -> anyhow::Result<SocketAddr> {
    match std::net::TcpListener::bind(address) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            if arguments.given.iter().any(|given| given == option) {
                bail!("{address} is in use by another program; stop it or give --{option} another address");
            }
            Ok(SocketAddr::new(address.ip(), 0))
        }
        // Any other failure is reported by whoever binds it for good.
        Ok(_) | Err(_) => Ok(address),
    }
}

/// Starts something that listens on [`free`] addresses. Between the look at a port and its use another program may take
/// it, a second demo above all; then it looks again.
async fn moving<T>(start: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 1..START_ATTEMPTS {
        match start().await {
            Err(error) if is_port_in_use(&error) => {}
            started => return started,
        }
    }
    start().await
}

fn is_port_in_use(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        io == Some(std::io::ErrorKind::AddrInUse)
            || cause.downcast_ref().is_some_and(StartError::is_address_in_use)
            || matches!(cause.downcast_ref(), Some(server::StartError::PortInUse(_)))
    })
}
