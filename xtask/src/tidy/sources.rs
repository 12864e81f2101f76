//! Length of files, doors to files, and unfinished marks.

use std::path::Path;
use std::process::Command;

use crate::stage;

/// Longest source file, in lines: one sitting (CONTRIBUTING, "Size"). Tests lie in files of their own.
const FILE_LINES: usize = 500;

/// Endings of the files that are read as sources.
const ENDINGS: [&str; 5] = [".rs", ".ts", ".svelte", ".js", ".mjs"];

/// Checks every tracked source file.
pub(super) fn check(root: &Path, problems: &mut Vec<String>) -> anyhow::Result<()> {
    let tracked = stage::output(Command::new("git").args(["ls-files"]).current_dir(root))?;
    for path in tracked.lines().filter(|path| ENDINGS.iter().any(|ending| path.ends_with(ending))) {
        // A file may be tracked and deleted in the work tree.
        let Ok(text) = std::fs::read_to_string(root.join(path)) else { continue };
        length(path, &text, problems);
        if path.ends_with(".rs") {
            doors(path, &text, problems);
            tasks(path, &text, problems);
        }
        unfinished(path, &text, problems);
    }
    Ok(())
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("tests.rs") || path.contains("/test/") || path.contains(".test.")
}

fn length(path: &str, text: &str, problems: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > FILE_LINES && !is_test(path) {
        problems.push(format!("{path}: {lines} lines are more than {FILE_LINES}; split it"));
    }
}

/// Files are touched in one place of the workspace only (ARCHITECTURE, "Direction").
fn doors(path: &str, text: &str, problems: &mut Vec<String>) {
    let allowed = path.starts_with("crates/journal/src/directory/")
        || path.ends_with("/files.rs")
        || path.ends_with("build.rs")
        || path.ends_with("/testing.rs")
        || ["crates/cli/", "crates/testkit/", "crates/bench/", "fuzz/", "xtask/"]
            .iter()
            .any(|prefix| path.starts_with(prefix))
        || path.contains("/examples/")
        || is_test(path);
    for (number, line) in text.lines().enumerate().filter(|_| !allowed) {
        if line.contains("std::fs::") || line.contains("use std::fs;") || line.contains("tokio::fs::") {
            problems.push(format!("{path}:{}: files are touched in modules named files.rs only", number + 1));
        }
    }
}

/// Tasks are started where they get a name and an owner.
fn tasks(path: &str, text: &str, problems: &mut Vec<String>) {
    let allowed = is_test(path)
        || path.ends_with("/task.rs")
        || path.ends_with("/tasks.rs")
        || [
            "crates/bench/",
            "crates/cli/",
            "crates/demo/",
            "crates/edge/src/emulator/lambda.rs",
            "crates/edge/src/emulator/mod.rs",
            "crates/nginx-module/",
            "xtask/",
        ]
        .iter()
        .any(|prefix| path.starts_with(prefix));
    for (number, line) in text.lines().enumerate().filter(|_| !allowed) {
        if line.contains("tokio::spawn(") {
            problems.push(format!("{path}:{}: tasks are started by the crate's task helper", number + 1));
        }
    }
}

/// An unfinished mark needs an issue's number behind it.
fn unfinished(path: &str, text: &str, problems: &mut Vec<String>) {
    // Built here in pieces, so that this file does not accuse itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimpl", "emented!("), concat!("to", "do!(")];
    for (number, line) in text.lines().enumerate() {
        if marks.iter().any(|mark| line.contains(mark)) && !line.contains('#') {
            problems.push(format!("{path}:{}: an unfinished mark without an issue's number", number + 1));
        }
    }
}
