//! `cargo xtask demo`: from a clone to traces in the browser.

use std::process::Command;

use crate::{setup, stage};

/// Builds the UI and the binary, then becomes `rootspan demo`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    setup::ensure(&[setup::CC])?;
    setup::web_ui()?;
    println!("building rootspan (optimised; a few minutes the first time)");
    let root = setup::root()?;
    stage::run(Command::new("cargo").args(["build", "--release", "--package", "rootspan-cli"]).current_dir(&root))?;
    let binary = setup::target_folder(&root).join("release/rootspan");
    stage::run(Command::new(binary).arg("demo").args(arguments).current_dir(&root))
}
