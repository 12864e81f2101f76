//! `rootspan run`: from the first signal to the last.

use std::process::ExitCode;

use rootspan_gateway::config::problems::{Problem, Problems};
use rootspan_gateway::config::service::{LogEncoding, LogLevel};
use rootspan_gateway::config::values::Endpoint;
use rootspan_gateway::config::{self, CloudFrontSettings, Config, DefaultSettings, Source};

use crate::app::App;
use crate::arguments::{ConfigArguments, RunArguments};
use crate::output::complain;
use crate::runtime::{ReloadSignal, StopSignal};
use crate::{logging, runtime};

/// Turns the built-in CloudFront receiver on: it is never open without a key.
const ACCESS_KEY_VARIABLE: &str = "FIREHOSE_ACCESS_KEY";

/// Where Firehose delivers.
const CLOUDFRONT_PORT: u16 = 4433;

/// Runs until SIGTERM or SIGINT; SIGHUP reloads the configuration.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let config = match load(&arguments.config) {
        Ok(config) => config,
        Err(problems) => {
            complain!("{problems}");
            return Ok(ExitCode::FAILURE);
        }
    };
    start_logging(&config)?;
    runtime::start()?.block_on(async {
        let (mut stop, mut hang_up) = (StopSignal::listen()?, ReloadSignal::listen()?);
        let mut app = App::start(&config).await?;
        announce(&app);
        loop {
            // Both branches are cancel-safe.
            tokio::select! {
                () = stop.wait() => break,
                () = hang_up.wait() => reload(&mut app, arguments).await,
            }
        }
        tracing::info!("stopping: what was taken is being stored");
        app.stop().await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Reads the same sources again. What is wrong with them is logged, and what ran before runs on.
async fn reload(app: &mut App, arguments: &RunArguments) {
    tracing::info!("SIGHUP: reading the configuration again");
    let outcome = match load(&arguments.config) {
        Ok(config) => app.reload(config).await.map_err(|error| vec![format!("{error:#}")]),
        Err(problems) => {
            app.gateway.reload_rejected();
            Err(problems.errors().iter().map(ToString::to_string).collect())
        }
    };
    match outcome {
        Ok(()) => {
            tracing::info!("the configuration was reloaded");
            announce(app);
        }
        Err(problems) => {
            for problem in &problems {
                tracing::error!("{problem}");
            }
            tracing::error!(
                problems = problems.len(),
                "the configuration was not reloaded: what ran before runs on; put it right and send SIGHUP again"
            );
        }
    }
}

/// Reads what the arguments name. What is only to be said is among the warnings.
pub(crate) fn load(arguments: &ConfigArguments) -> Result<Config, Problems> {
    let mut config = config::load(&sources(arguments))?;
    let gates = arguments.feature_gates.iter().flat_map(|gates| config::feature_gate_warnings(gates));
    config.warnings.extend(gates.map(|message| Problem { position: None, message }));
    Ok(config)
}

/// What the arguments name, or the built-in configuration, and what `--set` lays over it.
pub(crate) fn sources(arguments: &ConfigArguments) -> Vec<Source> {
    let mut sources: Vec<Source> = arguments.config.iter().map(|argument| Source::from_argument(argument)).collect();
    if sources.is_empty() {
        sources.push(built_in());
    }
    sources.extend(arguments.set.iter().cloned());
    sources
}

fn built_in() -> Source {
    let cloudfront = std::env::var(ACCESS_KEY_VARIABLE).ok().filter(|key| !key.is_empty()).map(|access_key| {
        CloudFrontSettings { endpoint: Endpoint { host: "127.0.0.1".to_owned(), port: CLOUDFRONT_PORT }, access_key }
    });
    Source::built_in(&DefaultSettings { cloudfront, ..DefaultSettings::default() })
}

/// Logs as `service.telemetry.logs` says.
pub(crate) fn start_logging(config: &Config) -> anyhow::Result<()> {
    let logs = &config.service.telemetry.logs;
    let encoding = match logs.encoding {
        LogEncoding::Console => logging::Encoding::Console,
        LogEncoding::Json => logging::Encoding::Json,
    };
    let level = match logs.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    logging::start(level, encoding, &logs.output_paths)
}

fn announce(app: &App) {
    for address in app.gateway.addresses() {
        tracing::info!(component = %address.component, protocol = address.protocol, address = %address.address, "listening");
    }
    if let Some(address) = app.ui_address() {
        let is_encrypted = app.ui.as_ref().is_some_and(rootspan_query::server::Running::is_encrypted);
        let scheme = if is_encrypted { "https" } else { "http" };
        tracing::info!("web UI on {scheme}://{address}/");
        if app.ui.as_ref().is_some_and(|ui| !ui.has_user_interface()) {
            tracing::warn!("this binary was built without the web UI; the page says how to build it");
        }
    }
}
