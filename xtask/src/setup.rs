//! What a fresh machine lacks: found, installed where that is possible, named with its command where it is not.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::stage;

/// A program from the system's package manager.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// What is looked for on the PATH.
    pub(crate) name: &'static str,
    /// Debian's package.
    pub(crate) package: &'static str,
    /// Why it is needed.
    pub(crate) purpose: &'static str,
}

/// A C compiler: zstd, SQLite and QuickJS are compiled from source.
pub(crate) const CC: Program =
    Program { name: "cc", package: "build-essential", purpose: "compiles zstd, SQLite and QuickJS" };
/// Node.
pub(crate) const NODE: Program = Program { name: "node", package: "nodejs", purpose: "builds the web UI" };
/// Its package manager.
pub(crate) const NPM: Program = Program { name: "npm", package: "npm", purpose: "installs the web UI's packages" };
/// nginx's JavaScript engine, the nearest relative of the one in CloudFront Functions.
pub(crate) const NJS: Program =
    Program { name: "njs", package: "njs", purpose: "runs the edge function in a CloudFront-like engine" };
/// The browser.
pub(crate) const CHROMIUM: Program =
    Program { name: "chromium", package: "chromium", purpose: "drives the web UI in tests" };

/// What released archives are built with, and tests: one set, or everything would be compiled twice.
pub(crate) const FEATURES: &str = "rootspan-cli/aws";

/// Python, with the module that makes environments.
pub(crate) const PYTHON: Program =
    Program { name: "python3", package: "python3-venv", purpose: "runs moto, an S3- and SQS-compatible server" };

/// The oldest Node that Vite 8 runs on.
const NODE_MAJOR: u32 = 20;

/// The repository's folder.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).context("xtask lies in the repository")
}

/// Makes sure that every one of `programs` can be started.
pub(crate) fn ensure(programs: &[Program]) -> anyhow::Result<()> {
    let missing: Vec<_> = programs.iter().filter(|program| !on_path(program.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for program in &missing {
        println!("missing: {} ({})", program.name, program.purpose);
    }
    let mut packages: Vec<_> = missing.iter().map(|program| program.package).collect();
    packages.sort_unstable();
    packages.dedup();
    install(&packages)
}

/// Installs packages of Debian's, or says how.
fn install(packages: &[&str]) -> anyhow::Result<()> {
    let install = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !on_path("apt-get") || !is_root()? {
        bail!("install what is missing and run this again: sudo {install}");
    }
    println!("installing: {install}");
    stage::run(Command::new("apt-get").args(["-o", "DPkg::Lock::Timeout=300", "update", "-qq"]))?;
    stage::run(
        Command::new("apt-get")
            .args(["-o", "DPkg::Lock::Timeout=300", "install", "-y", "-qq", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Installs Node packages of `folder` if the lock file is newer than the last installation.
pub(crate) fn node_packages(folder: &Path) -> anyhow::Result<()> {
    ensure(&[NODE, NPM])?;
    let version = stage::output(Command::new("node").arg("--version"))?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR) {
        bail!("Node {} is too old: the web UI is built with Node {NODE_MAJOR} or newer", version.trim());
    }
    let modified = |path: PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
    let installed = modified(folder.join("node_modules/.package-lock.json"));
    let wanted = modified(folder.join("package-lock.json"));
    if installed.is_some() && installed >= wanted {
        return Ok(());
    }
    println!("installing the Node packages of {}", folder.display());
    stage::run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder))
}

/// The versions of moto and of what it needs.
const MOTO: &str = "crates/cli/tests/moto/requirements.txt";

/// Installs an S3- and SQS-compatible server (moto) for the tests into `moto` in cargo's target folder, if that is not
/// there in the wanted versions.
pub(crate) fn moto() -> anyhow::Result<()> {
    ensure(&[PYTHON])?;
    let root = root()?;
    let (folder, wanted) = (target_folder(&root).join("moto"), root.join(MOTO));
    // Written last: what is there without it is half an installation.
    let installed = folder.join("installed.txt");
    let versions = std::fs::read(&wanted).with_context(|| format!("cannot read {MOTO}"))?;
    if std::fs::read(&installed).is_ok_and(|text| text == versions) {
        return Ok(());
    }
    println!("installing moto (an S3- and SQS-compatible server) into {}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    // Debian's Python has the module that makes environments in a package of its own.
    let has_venv = Command::new("python3").args(["-c", "import ensurepip, venv"]).output()?.status.success();
    if !has_venv {
        install(&["python3-venv"])?;
    }
    stage::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    stage::run(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--requirement"])
            .arg(&wanted),
    )?;
    std::fs::write(&installed, versions)?;
    Ok(())
}

/// Builds the web UI into `web/dist`, from where the binary embeds it.
pub(crate) fn web_ui() -> anyhow::Result<()> {
    let web = root()?.join("web");
    node_packages(&web)?;
    println!("building the web UI");
    stage::run(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&web))
}

fn on_path(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

fn is_root() -> anyhow::Result<bool> {
    Ok(stage::output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
