//! `cargo xtask bench`: the figures of docs/benchmarks.md, measured on this machine.

use std::process::Command;

use crate::{setup, stage};

/// Builds the optimised benchmark and runs it; arguments are handed on.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    setup::ensure(&[setup::CC])?;
    let root = setup::root()?;
    stage::run(
        Command::new("cargo")
            .args(["run", "--release", "--package", "rootspan-bench", "--"])
            .args(arguments)
            .current_dir(&root),
    )
}
