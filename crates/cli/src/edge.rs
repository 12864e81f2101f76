//! `rootspan edge build`, `rootspan edge emulate` and `rootspan edge test`.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rootspan_edge::build::{self, BuiltFunction, Form, viewer_request};
use rootspan_edge::emulator::{
    Behavior, Bucket, CachePolicy, Config, Delivery, Destination, Emulator, ErrorPage, EventType, Function, Functions,
    LogForm, Mishaps, OriginRequestPolicy, Packing, Runtime, Selection, ViewerProtocol, WafRule, file, trial,
};
use rootspan_edge::settings::{Settings, report};

use crate::arguments::{EdgeBuildArguments, EdgeEmulateArguments, EdgeTestArguments, TestFormat};
use crate::output::{complain, say};
use crate::runtime::StopSignal;
use crate::{logging, runtime};

/// Where `rootspan edge emulate` listens if nothing says otherwise.
const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

/// Writes the functions with the settings baked in.
pub(crate) fn build(arguments: &EdgeBuildArguments) -> anyhow::Result<ExitCode> {
    let settings = match &arguments.settings {
        None => Settings::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            match Settings::parse(&text) {
                Ok(settings) => settings,
                Err(problems) => {
                    for line in report(path, &problems) {
                        complain!("{line}");
                    }
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    };
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let form = if arguments.readable { Form::Readable } else { Form::Minified };
    let write = |name: &str, text: &str| {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        anyhow::Ok(path)
    };
    for function in build::written(&settings, form)? {
        let path = write(function.file_name, &function.code)?;
        let map = format!("{}.map", function.file_name);
        match &function.source_map {
            Some(text) => write(&map, text).map(drop)?,
            // One of an earlier build would lead to wrong places.
            None => remove(&out.join(map))?,
        }
        say!("{}  {} bytes  sha256 {}", path.display(), function.code.len(), function.sha256);
        say!("    {}", attachment(&function));
    }
    say!("viewer-request.js is all that most distributions need; a behaviour takes either it or viewer-request.mjs");
    say!("let traceparent and tracestate through to the origin by an origin request policy");
    say!("the SHA-256 is of the code that `aws cloudfront get-function` gives back");
    Ok(ExitCode::SUCCESS)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What is done with a function.
fn attachment(function: &BuiltFunction) -> String {
    let runtime = function.runtime.name();
    let (event, rest) = function.file_name.split_once('.').unwrap_or((function.file_name, ""));
    match (function.runtime, rest.starts_with("module")) {
        (build::Runtime::CloudFront, false) => format!("CloudFront Functions ({runtime}): attach to {event}"),
        (build::Runtime::CloudFront, true) => {
            format!(
                "CloudFront Functions ({runtime}): paste into a {event} function of your own, which calls rootspan(event)"
            )
        }
        (build::Runtime::Lambda, false) => format!("Lambda@Edge ({runtime}): attach to {event}"),
        (build::Runtime::Lambda, true) => format!("Lambda@Edge ({runtime}): import into functions of your own"),
    }
}

/// Runs a local CloudFront until it is told to stop.
pub(crate) fn emulate(arguments: &EdgeEmulateArguments) -> anyhow::Result<ExitCode> {
    logging::start_on_stderr("info")?;
    let config = match &arguments.distribution {
        Some(path) => match read_distribution(path)? {
            Some(config) => config,
            None => return Ok(ExitCode::FAILURE),
        },
        None => configuration(arguments)?,
    };
    let config = above(arguments, config);
    if config.deliveries.is_empty() && arguments.distribution.is_some() {
        say!("the distribution has no logs: nothing is delivered");
    } else if config.deliveries.is_empty() {
        say!("no --access-key, --log-folder or --log-bucket: logs are not delivered");
    }
    let origin = config.origin.clone();
    runtime::start()?.block_on(async {
        let mut stop = StopSignal::listen()?;
        let emulator = Emulator::start(config).await?;
        say!("CloudFront listens on http://{} in front of {origin}", emulator.address);
        stop.wait().await;
        let summary = emulator.shutdown().await;
        say!("{} requests", summary.ledger.len() as u64 + summary.forgotten);
        for counts in summary.deliveries {
            say!("{} log records written, {} delivered", counts.posted, counts.delivered);
            let lost = counts.failed + counts.dropped;
            if lost > 0 {
                bail!("{lost} log records could not be delivered");
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What stands above a distribution file, and the port that people expect.
fn above(arguments: &EdgeEmulateArguments, mut config: Config) -> Config {
    if let Some(origin) = &arguments.origin {
        config.origin.clone_from(origin);
    }
    if let Some(node) = &arguments.node {
        config.node.clone_from(node);
    }
    let is_said = config.listen != Config::default().listen;
    config.listen = arguments.listen.unwrap_or(if is_said { config.listen } else { LISTEN });
    config
}

/// Reads a distribution's file and its functions' code; says what is wrong with them, each with its place.
fn read_distribution(path: &Path) -> anyhow::Result<Option<Config>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = match file::read(&text, &|name| std::env::var(name).ok()) {
        Ok(file) => file,
        Err(problems) => {
            for line in report(path, &problems) {
                complain!("{line}");
            }
            return Ok(None);
        }
    };
    let mut config = file.config;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut is_complete = true;
    for named in &file.functions {
        match read_function(&folder.join(&named.path), named.event) {
            Ok(function) => *config.functions.slot(named.event) = Some(function),
            Err(problem) => {
                complain!("{}:{}:{}: {problem:#}", path.display(), named.line, named.column);
                is_complete = false;
            }
        }
    }
    if file.functions.is_empty() {
        config.functions.viewer_request = Some(built_in()?);
    }
    Ok(is_complete.then_some(config))
}

/// The function that runs where none is named.
fn built_in() -> anyhow::Result<Function> {
    Ok(Function::cloudfront("viewer-request", viewer_request(&Settings::default())?.code))
}

fn configuration(arguments: &EdgeEmulateArguments) -> anyhow::Result<Config> {
    let of = |path: &Option<PathBuf>, event| path.as_deref().map(|path| read_function(path, event)).transpose();
    let viewer_request = match &arguments.function {
        Some(path) => read_function(path, EventType::ViewerRequest)?,
        None => built_in()?,
    };
    let origin_request = match &arguments.forward_headers {
        None => OriginRequestPolicy::default(),
        Some(names) => OriginRequestPolicy {
            headers: Selection::Listed(names.clone()),
            ..OriginRequestPolicy::all_viewer_except_host()
        },
    };
    let default_ttl = Duration::from_secs(arguments.default_ttl);
    let viewer_protocol =
        if arguments.redirect_to_https { ViewerProtocol::RedirectToHttps } else { ViewerProtocol::AllowAll };
    let page = |(status, path): &(u16, String)| ErrorPage {
        page: Some(path.clone()),
        ..ErrorPage::cached_for(*status, Duration::from_secs(10))
    };
    let block = |pattern: &String| WafRule { path_pattern: Some(pattern.clone()), ..WafRule::default() };
    Ok(Config {
        functions: Functions {
            viewer_request: Some(viewer_request),
            origin_request: of(&arguments.origin_request, EventType::OriginRequest)?,
            origin_response: of(&arguments.origin_response, EventType::OriginResponse)?,
            viewer_response: of(&arguments.viewer_response, EventType::ViewerResponse)?,
        },
        behaviors: vec![Behavior {
            viewer_protocol,
            cache: CachePolicy { default_ttl, ..CachePolicy::default() },
            origin_request,
            ..Behavior::default()
        }],
        error_pages: arguments.error_page.iter().map(page).collect(),
        waf: arguments.block.iter().map(block).collect(),
        deliveries: delivery(arguments)?.into_iter().collect(),
        ..Config::default()
    })
}

/// Where the log goes; nowhere without a place for it.
fn delivery(arguments: &EdgeEmulateArguments) -> anyhow::Result<Option<Delivery>> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("--log-bucket needs {name}"));
    let destination = match (&arguments.log_bucket, &arguments.log_folder, &arguments.access_key) {
        (Some(name), _, _) => Destination::Bucket(Bucket {
            endpoint: arguments.s3_endpoint.clone().unwrap_or_default(),
            name: name.clone(),
            prefix: String::new(),
            region: std::env::var("AWS_REGION").unwrap_or_else(|_| "us-east-1".to_owned()),
            access_key_id: variable("AWS_ACCESS_KEY_ID")?,
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?,
        }),
        (None, Some(folder), _) => Destination::Folder(folder.clone()),
        (None, None, Some(key)) => {
            Destination::Firehose { endpoint: arguments.firehose.clone(), access_key: key.clone() }
        }
        (None, None, None) => return Ok(None),
    };
    let form = match (arguments.log.clone(), arguments.log_fields.clone()) {
        (LogForm::RealTime { .. }, Some(fields)) => LogForm::RealTime { fields },
        (LogForm::StandardV2 { format, .. }, Some(fields)) => LogForm::StandardV2 { format, fields },
        (LogForm::StandardV1 | LogForm::Functions, Some(_)) => bail!("the fields of this log cannot be chosen"),
        (form, None) => form,
    };
    let mut delivery = Delivery::new(form, destination);
    if arguments.envelopes {
        delivery.packing = Packing::Envelopes { joined: true };
    }
    delivery.common_attributes.clone_from(&arguments.common_attribute);
    delivery.mishaps = Mishaps {
        delay: Duration::from_secs(arguments.log_delay),
        repeats: arguments.log_repeats,
        shuffle: arguments.log_shuffle,
    };
    Ok(Some(delivery))
}

/// A function by its file's ending.
fn read_function(path: &Path, event: EventType) -> anyhow::Result<Function> {
    let code = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let runtime = match path.extension().and_then(OsStr::to_str) {
        Some("js") => Runtime::CloudFront,
        Some("mjs") => Runtime::LambdaModule,
        Some("cjs") => Runtime::LambdaCommonJs,
        _ => bail!("{} must end in .js (CloudFront Functions), .mjs or .cjs (Lambda@Edge)", path.display()),
    };
    let stem = path.file_stem().and_then(OsStr::to_str);
    Ok(Function { runtime, name: stem.unwrap_or(event.name()).to_owned(), code })
}

/// Runs a function on events; fails if CloudFront would answer with an error because of it.
pub(crate) fn test(arguments: &EdgeTestArguments) -> anyhow::Result<ExitCode> {
    let path = &arguments.function;
    let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let named = EventType::ALL.into_iter().find(|event| event.name() == stem);
    let event = arguments.on.or(named).unwrap_or(EventType::ViewerRequest);
    let function = read_function(path, event)?;
    let mut events = Vec::new();
    for path in &arguments.event {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        match serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))? {
            serde_json::Value::Array(list) => events.extend(list),
            single => events.push(single),
        }
    }
    if events.is_empty() {
        events = trial::events(function.runtime, event);
    }
    let trials = runtime::start()?.block_on(trial::run(&function, event, &events))?;
    match arguments.format {
        TestFormat::Json => {
            let list: Vec<_> = trials.iter().map(trial::Trial::to_json).collect();
            say!("{}", serde_json::json!({"bytes": function.code.len(), "trials": list}));
        }
        TestFormat::Text => {
            say!("{}: {}", path.display(), trial::size_line(&function));
            for trial in &trials {
                say!();
                crate::output::print(format_args!("{trial}"));
            }
        }
    }
    let failures = trials.iter().filter(|trial| trial.is_failure()).count();
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
