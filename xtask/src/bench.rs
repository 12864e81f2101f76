//! `cargo xtask bench`: the figures of docs/benchmarks.md, measured on this machine.

use std::process::Command;

use crate::{setup, stage};

/// Builds the optimised binary and the driver, then measures; an argument is the number of spans.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    setup::ensure(&[setup::CC])?;
    let root = setup::root()?;
    stage::run(
        Command::new("cargo")
            .args(["build", "--release", "--package", "rootspan-cli", "--package", "rootspan-bench"])
            .current_dir(&root),
    )?;
    let release = setup::target_folder(&root).join("release");
    stage::run(Command::new(release.join("rootspan-bench")).arg(release.join("rootspan")).args(arguments))
}
