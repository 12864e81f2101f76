//! `cargo xtask tidy`: the rules of `CONTRIBUTING.md` that neither compiler nor clippy knows.
//!
//! Every check collects sentences; all of them are printed before the command fails.

mod crates;
mod documents;
mod sources;

use std::path::Path;

use anyhow::bail;

use crate::{reference, setup};

/// Runs every check.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = setup::root()?;
    let mut problems = of_sources(&root)?;
    reference::check(&root, &mut problems)?;
    report(&problems)
}

/// Those that need no build.
pub(crate) fn sources() -> anyhow::Result<()> {
    report(&of_sources(&setup::root()?)?)
}

fn of_sources(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    sources::check(root, &mut problems)?;
    crates::check(root, &mut problems)?;
    documents::check(root, &mut problems)?;
    Ok(problems)
}

/// Prints what was found, and fails if there is anything.
pub(crate) fn report(problems: &[String]) -> anyhow::Result<()> {
    for problem in problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} things are untidy", problems.len());
    }
    println!("tidy");
    Ok(())
}
