//! A widely used log parser beside the conversion: GoAccess, which knows CloudFront's standard logs by name. Both read the
//! same file. They do not do the same: GoAccess takes a line apart and counts it in some twenty reports in memory; the
//! conversion makes a span of it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::forms::Form;
use crate::server::children_cpu;

/// Lines of the file: CPU time of a process is told in steps of 10 ms, which should not matter.
const LINES: u64 = 500_000;

/// CPU seconds for a million lines: (name, seconds).
pub(super) fn run(rounds: usize, folder: &Path) -> anyhow::Result<Vec<(&'static str, f64)>> {
    std::fs::create_dir_all(folder)?;
    let (log, report) = (folder.join("v1.log"), folder.join("report.json"));
    std::fs::write(&log, Form::V1.deliveries(LINES).concat())?;
    let itself = std::env::current_exe()?;
    let mut seconds = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let mut convert = Command::new(&itself);
        seconds[0].push(cpu_of(convert.args(["edge", "convert-file"]).arg(&log))?);
        let mut goaccess = Command::new("goaccess");
        goaccess.arg(&log).args(["--no-global-config", "--log-format=CLOUDFRONT", "--no-progress", "-o"]).arg(&report);
        seconds[1].push(cpu_of(&mut goaccess)?);
        check(&report)?;
    }
    let millions = LINES as f64 / 1e6;
    let names = ["rootspan: file → OTLP spans", "GoAccess: file → reports"];
    let medians = seconds.map(|seconds| super::median(seconds) / millions);
    Ok(names.into_iter().zip(medians).collect())
}

/// `rootspan import` of a log that is packed, into a store on disk: CPU seconds for a million lines, and megabytes of log
/// (unpacked) for each second of CPU.
pub(super) fn import(rootspan: &Path, rounds: usize, folder: &Path) -> anyhow::Result<(f64, f64)> {
    std::fs::create_dir_all(folder)?;
    let (log, data) = (folder.join("v1.log.gz"), folder.join("data"));
    let plain = Form::V1.deliveries(LINES).concat();
    std::fs::write(&log, super::forms::gzip(&plain))?;
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let mut import = Command::new(rootspan);
        seconds.push(cpu_of(import.arg("import").arg("--data").arg(&data).arg(&log))?);
        std::fs::remove_dir_all(&data)?;
    }
    let seconds = super::median(seconds);
    Ok((seconds / (LINES as f64 / 1e6), plain.len() as f64 / 1e6 / seconds))
}

/// A parser that skipped the lines is no comparison.
fn check(report: &Path) -> anyhow::Result<()> {
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report)?)?;
    let valid = report.pointer("/general/valid_requests").and_then(serde_json::Value::as_u64).context("no report")?;
    ensure!(valid >= LINES * 9 / 10, "GoAccess took {valid} of {LINES} lines");
    Ok(())
}

/// User and system time of a command.
fn cpu_of(command: &mut Command) -> anyhow::Result<f64> {
    let before = children_cpu()?;
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(children_cpu()?.saturating_sub(before).as_secs_f64())
}
