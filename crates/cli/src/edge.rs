//! `rootspan edge build` and `rootspan edge emulate`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rootspan_edge::build::{self, viewer_request};
use rootspan_edge::emulator::{Config, Delivery, Emulator, Functions};
use rootspan_edge::settings::Settings;

use crate::arguments::{EdgeBuildArguments, EdgeEmulateArguments};
use crate::output::{complain, say};
use crate::runtime::StopSignal;
use crate::{logging, runtime};

/// Writes the functions with the settings baked in.
pub(crate) fn build(arguments: &EdgeBuildArguments) -> anyhow::Result<ExitCode> {
    let settings = match &arguments.settings {
        None => Settings::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            match Settings::parse(&text) {
                Ok(settings) => settings,
                Err(problems) => {
                    for problem in problems {
                        complain!("{}:{problem}", path.display());
                    }
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    };
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    for function in build::all(&settings)? {
        let path = out.join(function.file_name);
        std::fs::write(&path, &function.code).with_context(|| format!("cannot write {}", path.display()))?;
        say!("{}  {} bytes  sha256 {}", path.display(), function.code.len(), function.sha256);
    }
    say!(
        "each file is named for the event it is attached to: .js for CloudFront Functions (runtime cloudfront-js-2.0),"
    );
    say!(".mjs for Lambda@Edge (Node.js 22); viewer-request.js is all that most distributions need");
    say!("let traceparent and tracestate through to the origin by an origin request policy");
    Ok(ExitCode::SUCCESS)
}

/// Runs a local CloudFront until it is told to stop.
pub(crate) fn emulate(arguments: &EdgeEmulateArguments) -> anyhow::Result<ExitCode> {
    logging::start_on_stderr("info")?;
    let function = match &arguments.function {
        None => viewer_request(&Settings::default())?.code,
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
    };
    let delivery = arguments.access_key.as_deref().map(|key| Delivery::to_endpoint(&arguments.firehose, key));
    if delivery.is_none() {
        say!("no --access-key: access logs are not delivered");
    }
    let config = Config {
        listen: arguments.listen,
        origin: arguments.origin.clone(),
        functions: Functions::viewer_request(function),
        deliveries: delivery.into_iter().collect(),
        ..Config::default()
    };
    runtime::start()?.block_on(async {
        let mut stop = StopSignal::listen()?;
        let emulator = Emulator::start(config).await?;
        say!("CloudFront listens on http://{} in front of {}", emulator.address, arguments.origin);
        stop.wait().await;
        let summary = emulator.shutdown().await;
        say!("{} requests", summary.ledger.len() as u64 + summary.forgotten);
        for counts in summary.deliveries {
            say!("{} log records written, {} delivered", counts.posted, counts.delivered);
            let lost = counts.failed + counts.dropped;
            if lost > 0 {
                bail!("{lost} log records could not be delivered to {}", arguments.firehose);
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
