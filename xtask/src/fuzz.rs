//! `cargo xtask fuzz`: the targets of `fuzz/`. Not optimised: overflows and broken assertions are what is looked for.

use std::process::Command;

use crate::{setup, stage};

/// Passes the arguments on; the program explains them.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--package", "rootspan-fuzz", "--"]).args(arguments);
    stage::run(command.current_dir(setup::root()?))
}
