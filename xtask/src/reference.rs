//! `cargo xtask reference`: the page of the configuration's keys, printed by the program itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::{setup, stage};

/// The page.
const PAGE: &str = "docs/reference/configuration.md";

/// Writes the page.
pub(crate) fn write() -> anyhow::Result<()> {
    let root = setup::root()?;
    let path = root.join(PAGE);
    let folder = path.parent().map(Path::to_owned).unwrap_or_else(PathBuf::new);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::write(&path, printed(&root)?).with_context(|| format!("cannot write {PAGE}"))?;
    println!("{PAGE}");
    Ok(())
}

/// Whether the page is what the program prints now.
pub(crate) fn check(root: &Path, problems: &mut Vec<String>) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    if page != printed(root)? {
        problems.push(format!("{PAGE} is stale: run `cargo xtask reference`"));
    }
    Ok(())
}

fn printed(root: &Path) -> anyhow::Result<String> {
    let build = ["run", "--quiet", "--package", "rootspan-cli", "--features", setup::FEATURES, "--bin", "rootspan"];
    stage::output(Command::new("cargo").args(build).args(["--", "components", "--reference"]).current_dir(root))
}
