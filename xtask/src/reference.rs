//! `cargo xtask reference`: the page of the configuration's keys, printed by the program itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::{setup, stage, tidy};

/// The page.
const PAGE: &str = "docs/reference/configuration.md";

/// Writes the page.
pub(crate) fn write() -> anyhow::Result<()> {
    let root = setup::root()?;
    let path = root.join(PAGE);
    let folder = path.parent().map(Path::to_owned).unwrap_or_else(PathBuf::new);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::write(&path, printed(&mut built(&root))?).with_context(|| format!("cannot write {PAGE}"))?;
    println!("{PAGE}");
    Ok(())
}

/// Whether the page is what the program prints now; builds the program.
pub(crate) fn check(root: &Path, problems: &mut Vec<String>) -> anyhow::Result<()> {
    compare(root, &printed(&mut built(root))?, problems);
    Ok(())
}

/// The same with a program that is there.
pub(crate) fn check_with(binary: &str) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    compare(&setup::root()?, &printed(&mut Command::new(binary))?, &mut problems);
    tidy::report(&problems)
}

fn compare(root: &Path, printed: &str, problems: &mut Vec<String>) {
    if std::fs::read_to_string(root.join(PAGE)).unwrap_or_default() != printed {
        problems.push(format!("{PAGE} is stale: run `cargo xtask reference`"));
    }
}

/// The program as it is built fastest: every feature's keys are known without it.
fn built(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--package", "rootspan-cli", "--bin", "rootspan", "--"]).current_dir(root);
    command
}

fn printed(program: &mut Command) -> anyhow::Result<String> {
    stage::output(program.args(["components", "--reference"]))
}
