//! `cargo xtask bench`: the figures of docs/benchmarks.md, measured on this machine.

use std::path::PathBuf;
use std::process::Command;

use crate::setup::{self, Program};
use crate::stage;

/// Builds the optimised binary and the driver, then measures the gateway; arguments go to `rootspan-bench gateway`.
pub(crate) fn gateway(arguments: &[String]) -> anyhow::Result<()> {
    let release = build()?;
    let mut command = Command::new(release.join("rootspan-bench"));
    stage::run(command.arg("gateway").arg(release.join("rootspan")).args(arguments))
}

const VALGRIND: Program = Program { name: "valgrind", package: "valgrind", purpose: "counts instructions" };

/// Knows CloudFront's logs by name.
const GOACCESS: Program =
    Program { name: "goaccess", package: "goaccess", purpose: "is the log parser that is compared with" };

/// Builds the optimised binary and the driver, then measures the edge; arguments go to `rootspan-bench edge`.
pub(crate) fn edge(arguments: &[String]) -> anyhow::Result<()> {
    setup::ensure(&[VALGRIND, GOACCESS, setup::NJS])?;
    let release = build()?;
    let mut command = Command::new(release.join("rootspan-bench"));
    stage::run(command.arg("edge").arg(release.join("rootspan")).args(arguments))
}

/// Builds the optimised binary and the driver, then measures the store; an argument is the number of spans.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let release = build()?;
    stage::run(Command::new(release.join("rootspan-bench")).arg(release.join("rootspan")).args(arguments))
}

fn build() -> anyhow::Result<PathBuf> {
    setup::ensure(&[setup::CC])?;
    let root = setup::root()?;
    stage::run(
        Command::new("cargo")
            .args(["build", "--release", "--package", "rootspan-cli", "--package", "rootspan-bench"])
            .current_dir(&root),
    )?;
    Ok(setup::target_folder(&root).join("release"))
}
