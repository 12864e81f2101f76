//! Documents that must be true: what they name exists, and what must be there is.

use std::path::Path;

/// Files that a reader expects at these places.
const EXPECTED: [&str; 9] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "docs/life-of-a-span.md",
    "docs/benchmarks.md",
    "docs/reliability.md",
    ".ci/run",
];

/// Most files on the way of a span (ARCHITECTURE, "The way of a span").
const FILES_ON_THE_WAY: usize = 10;

/// Checks the documents.
pub(super) fn check(root: &Path, problems: &mut Vec<String>) -> anyhow::Result<()> {
    for path in EXPECTED.iter().filter(|path| !root.join(path).is_file()) {
        problems.push(format!("{path} is missing"));
    }
    let Ok(way) = std::fs::read_to_string(root.join("docs/life-of-a-span.md")) else { return Ok(()) };
    let mut files = Vec::new();
    for (path, function) in named(&way) {
        match std::fs::read_to_string(root.join(path)) {
            Err(_) => problems.push(format!("docs/life-of-a-span.md: {path} does not exist")),
            Ok(text) if !text.contains(&format!("fn {function}")) => {
                problems.push(format!("docs/life-of-a-span.md: {path} has no function {function}"));
            }
            Ok(_) if files.contains(&path) => {}
            Ok(_) => files.push(path),
        }
    }
    if files.is_empty() {
        problems.push("docs/life-of-a-span.md: names no file; a step is written `path::function`".to_owned());
    }
    if files.len() > FILES_ON_THE_WAY {
        problems.push(format!("docs/life-of-a-span.md: {} files are more than {FILES_ON_THE_WAY}", files.len()));
    }
    promises(root, problems);
    ci(root, problems)?;
    Ok(())
}

/// Each promise names tests that exist.
fn promises(root: &Path, problems: &mut Vec<String>) {
    const DOCUMENT: &str = "docs/reliability.md";
    let Ok(text) = std::fs::read_to_string(root.join(DOCUMENT)) else { return };
    let mut count = 0;
    for (path, function) in named(&text) {
        count += 1;
        match std::fs::read_to_string(root.join(path)) {
            Err(_) => problems.push(format!("{DOCUMENT}: {path} does not exist")),
            Ok(text) if !is_tested(&text, function) => {
                problems.push(format!("{DOCUMENT}: {path} has no test {function}"));
            }
            Ok(_) => {}
        }
    }
    if count == 0 {
        problems.push(format!("{DOCUMENT}: names no test; one is written `path::function`"));
    }
}

/// Whether there is a test of this name: an attribute stands above it, perhaps with others between.
fn is_tested(text: &str, function: &str) -> bool {
    let Some((before, _)) = text.split_once(&format!("fn {function}(")) else { return false };
    let Some((before, _)) = before.rsplit_once('\n') else { return false };
    let mut above =
        before.lines().rev().map(str::trim).take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    above.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

/// Steps are written `crates/…/file.rs::function` between back quotes.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| {
        let (path, function) = code.split_once(".rs::")?;
        let end = path.len() + ".rs".len();
        Some((code.get(..end)?, function))
    })
}

/// CI runs the README's test command and nothing else.
fn ci(root: &Path, problems: &mut Vec<String>) -> anyhow::Result<()> {
    let (Ok(ci), Ok(readme)) =
        (std::fs::read_to_string(root.join(".ci/run")), std::fs::read_to_string(root.join("README.md")))
    else {
        return Ok(());
    };
    let command = ci.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    if !readme.lines().any(|line| line.trim().starts_with(command)) {
        problems.push(format!(".ci/run: {command:?} is not a command of the README"));
    }
    Ok(())
}
