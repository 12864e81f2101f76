//! The direction of dependencies between the crates (ARCHITECTURE, "Direction").

use std::path::Path;

/// Each crate with the crates of ours that it may use. What is not listed is refused.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &["model"]),
    ("journal", &[]),
    ("traceql", &["model", "wire"]),
    ("analytics", &["model", "wire", "traceql"]),
    ("store", &["model", "wire", "journal", "traceql", "analytics"]),
    ("gateway", &["model", "wire", "journal", "store"]),
    ("query", &["model", "wire", "journal", "traceql", "analytics", "store"]),
    ("edge", &["model", "wire"]),
    ("demo", &["model"]),
    ("nginx-module", &["model", "wire"]),
    ("testkit", &["model", "wire"]),
    ("cli", &["model", "wire", "journal", "traceql", "analytics", "store", "gateway", "query", "edge", "demo"]),
    ("bench", &["model", "wire", "journal", "traceql", "analytics", "store", "testkit", "query", "edge"]),
];

/// Reads every manifest in `crates/`.
pub(super) fn check(root: &Path, problems: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(root.join("crates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Ok(manifest) = std::fs::read_to_string(root.join("crates").join(&name).join("Cargo.toml")) else {
            continue;
        };
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            problems.push(format!("crates/{name}: not in the list of crates (xtask/src/tidy/crates.rs)"));
            continue;
        };
        for used in dependencies(&manifest) {
            if !allowed.contains(&used) {
                problems.push(format!(
                    "crates/{name}/Cargo.toml: {name} must not use {used} (ARCHITECTURE, \"Direction\")"
                ));
            }
        }
    }
    Ok(())
}

/// Our crates in `[dependencies]`; tests may use what they like.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let section = manifest.split("\n[").find(|section| section.starts_with("dependencies]")).unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("rootspan-"))
        .map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default())
}
