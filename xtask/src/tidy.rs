//! `cargo xtask tidy`: the rules of `CONTRIBUTING.md` that neither compiler nor clippy knows.
//!
//! Every check collects sentences; all of them are printed before the command fails.

mod crates;
mod documents;
mod sources;

use anyhow::bail;

use crate::{reference, setup};

/// Runs every check.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = setup::root()?;
    let mut problems = Vec::new();
    sources::check(&root, &mut problems)?;
    crates::check(&root, &mut problems)?;
    documents::check(&root, &mut problems)?;
    reference::check(&root, &mut problems)?;
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} things are untidy", problems.len());
    }
    println!("tidy");
    Ok(())
}
