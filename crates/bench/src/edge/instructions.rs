//! Instructions, counted by valgrind: noise does not touch them. Not what a processor needs for them, and valgrind's
//! processor has no SHA instructions, so that a hash costs more there than here.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Instructions that a command executes in user space.
pub(super) fn of(command: &[&str]) -> anyhow::Result<u64> {
    let out = std::env::temp_dir().join(format!("rootspan-bench-callgrind-{}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={}", out.display())])
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context("valgrind cannot be started (Debian: apt-get install valgrind)")?;
    // Only its last line is of interest.
    let _removed = std::fs::remove_file(&out);
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {text}", command.join(" "));
    let (_, counted) = text.rsplit_once("Collected : ").with_context(|| format!("no count in {text}"))?;
    counted.split_whitespace().next().unwrap_or_default().parse().with_context(|| format!("no number in {counted}"))
}
