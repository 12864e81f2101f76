//! `cargo xtask test --collector`: rootspan beside the real OpenTelemetry Collector, built by its own builder from the Go
//! module proxy if no path of one is given.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{setup, stage};

/// The release that answers are recorded from; its providers are numbered apart.
const VERSION: &str = "v0.158.0";
const PROVIDERS: &str = "v1.64.0";
const BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder";

const USAGE: &str = "usage: cargo xtask test --collector [--otelcol PATH] [--record]";

/// Compares, or with `--record` writes what the collector answers into testdata/collector.
pub(crate) fn test(arguments: &[String]) -> anyhow::Result<()> {
    let (mut otelcol, mut is_recording) = (None, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--otelcol" => otelcol = Some(PathBuf::from(arguments.next().context(USAGE)?)),
            "--record" => is_recording = true,
            _ => bail!("{USAGE}"),
        }
    }
    let root = setup::root()?;
    let otelcol = match otelcol {
        Some(path) => std::path::absolute(path)?,
        None => build(&root)?,
    };
    let mut command = Command::new("cargo");
    command
        .args(["test", "--package", "rootspan-cli", "--features", "collector", "--test", "it", "collector::"])
        .env("OTELCOL", otelcol)
        .current_dir(&root);
    if is_recording {
        command.env("RECORD", "1");
    }
    stage::run(&mut command)
}

/// Builds it, unless it was built before.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = setup::target_folder(root).join("otelcol").join(VERSION);
    let binary = folder.join("dist/otelcol");
    if binary.is_file() {
        return Ok(binary);
    }
    println!(
        "building the OpenTelemetry Collector {VERSION} with its own builder: five to ten minutes, 1 GB of downloads"
    );
    let go = go()?;
    std::fs::create_dir_all(&folder)?;
    let manifest = std::fs::read_to_string(root.join("testdata/collector/manifest.yaml"))?;
    let output = folder.join("dist");
    let manifest = manifest
        .replace("VERSION", VERSION)
        .replace("PROVIDERS", PROVIDERS)
        .replace("OUTPUT", &output.to_string_lossy());
    std::fs::write(folder.join("manifest.yaml"), manifest)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = go.parent().map(Path::to_path_buf).into_iter().chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders)?;
    let with_go = |command: &mut Command| {
        command.env("PATH", &path).env("CGO_ENABLED", "0").env("GOBIN", &folder);
    };
    let mut install = Command::new(&go);
    install.args(["install", &format!("{BUILDER}@{VERSION}")]);
    with_go(&mut install);
    stage::run(&mut install)?;
    let mut builder = Command::new(folder.join("builder"));
    builder.arg("--config").arg(folder.join("manifest.yaml"));
    with_go(&mut builder);
    stage::run(&mut builder)?;
    Ok(binary)
}

/// Go, from the PATH or from where its own archive is unpacked.
fn go() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/local/go/bin")]);
    let found = folders.map(|folder| folder.join("go")).find(|candidate| candidate.is_file());
    found.context(
        "the collector is built with Go (https://go.dev/dl/): install it, or give a collector with --otelcol PATH",
    )
}
