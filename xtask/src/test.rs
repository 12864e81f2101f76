//! `cargo xtask test`: everything that must hold, in stages that can also be run by name.

use std::path::Path;
use std::process::Command;

use anyhow::bail;

use crate::{browser, nginx_module, reference, setup, stage, tidy};

/// A stage: its name, what it proves, and the body.
type Stage = (&'static str, &'static str, fn() -> anyhow::Result<()>);

/// In order of running. Cheap and frequent failures first; the binary is built once and shared by what follows.
const STAGES: &[Stage] = &[
    ("setup", "install what is missing", set_up),
    ("format", "rustfmt", format),
    ("tidy", "structure of the repository", tidy::sources),
    ("ui", "types, modules and build of the web UI", ui),
    ("clippy", "lints, warnings are errors", clippy),
    ("rust", "unit, property and process tests", rust),
    ("reference", "the page of the configuration's keys is what the program prints", reference),
    ("peers", "OpenTelemetry's SDKs for Node and, in Chromium, for browsers against the program", peers),
    ("nginx", "the tracing module in a real nginx", nginx_module::check),
    ("edge", "the edge functions: types of both runtimes, then under Node and njs", edge),
    ("pages", "the pages in Chromium against fixed data", pages),
    ("demo", "requests against traces, in every scenario", demo),
    ("browser", "the demo's traces in Chromium; makes the screenshots of the README", screenshots),
];

/// Runs the stages called `names`, or all.
pub(crate) fn run(names: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = names.iter().find(|name| !STAGES.iter().any(|(known, ..)| known == name)) {
        let known: Vec<_> = STAGES.iter().map(|(name, purpose, _)| format!("  {name:<8} {purpose}")).collect();
        bail!("no stage is called {unknown:?}; there are\n{}", known.join("\n"));
    }
    let chosen = STAGES.iter().filter(|(name, ..)| names.is_empty() || names.iter().any(|wanted| wanted == name));
    let mut timings = Vec::new();
    for (name, _, body) in chosen {
        match stage::timed(name, body) {
            Ok(timing) => timings.push(timing),
            Err(error) => {
                stage::print(&timings);
                println!("{} passed, 1 failed", timings.len());
                return Err(error);
            }
        }
    }
    stage::print(&timings);
    println!("{} passed, 0 failed", timings.len());
    Ok(())
}

fn set_up() -> anyhow::Result<()> {
    setup::ensure(&[
        setup::CC,
        setup::NODE,
        setup::NPM,
        setup::NJS,
        setup::CHROMIUM,
        setup::PYTHON,
        nginx_module::NGINX,
    ])?;
    setup::moto()
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    stage::run(Command::new("cargo").args(arguments).current_dir(setup::root()?))
}

fn npm(folder: &str, script: &str) -> anyhow::Result<()> {
    stage::run(Command::new("npm").args(["run", "--silent", script]).current_dir(setup::root()?.join(folder)))
}

fn format() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"])
}

fn ui() -> anyhow::Result<()> {
    setup::web_ui()?;
    npm("web", "check")?;
    npm("web", "test")
}

fn clippy() -> anyhow::Result<()> {
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        setup::FEATURES,
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ])
}

fn rust() -> anyhow::Result<()> {
    setup::moto()?;
    cargo(&["test", "--workspace", "--features", setup::FEATURES, "--quiet"])
}

fn peers() -> anyhow::Result<()> {
    setup::ensure(&[setup::CHROMIUM])?;
    let folder = setup::root()?.join("crates/cli/tests/node");
    setup::node_packages(&folder)?;
    let binary = binary()?;
    stage::run(Command::new("npm").args(["run", "--silent", "test"]).env("ROOTSPAN", binary).current_dir(folder))
}

fn edge() -> anyhow::Result<()> {
    for folder in ["types", "runtimes"] {
        setup::node_packages(&setup::root()?.join("edge-functions").join(folder))?;
    }
    let rootspan = binary()?;
    let root = setup::root()?;
    // All look at what the program builds, beside the sources.
    for (folder, script) in
        [("edge-functions/types", "check"), ("edge-functions", "test"), ("edge-functions/runtimes", "check")]
    {
        let mut command = Command::new("npm");
        command.args(["run", "--silent", script]).env("ROOTSPAN", &rootspan).current_dir(root.join(folder));
        stage::run(&mut command)?;
    }
    Ok(())
}

fn pages() -> anyhow::Result<()> {
    npm("web", "test:pages")
}

fn reference() -> anyhow::Result<()> {
    reference::check_with(&binary()?)
}

/// The binary that the tests built, without optimisation. Asked for in any other way it would be built anew: what is
/// compiled with which features depends on what is built with it.
pub(crate) fn binary() -> anyhow::Result<String> {
    cargo(&["test", "--quiet", "--workspace", "--features", setup::FEATURES, "--no-run"])?;
    Ok(setup::target_folder(&setup::root()?).join("debug/rootspan").to_string_lossy().into_owned())
}

fn demo() -> anyhow::Result<()> {
    let binary = binary()?;
    for scenario in ["steady", "slow-db", "downstream-errors"] {
        println!("rootspan demo --requests 500 --exit --scenario {scenario}");
        stage::run(Command::new(&binary).args(["demo", "--requests", "500", "--exit", "--scenario", scenario]))?;
    }
    Ok(())
}

fn screenshots() -> anyhow::Result<()> {
    browser::run(Path::new(&binary()?))
}
