//! The reference page of the configuration, printed from the tables of keys.

use super::components::{BuiltIn, built_in};
use super::decode::{Decode as _, Table};
use super::service::TelemetryConfig;
use crate::extensions::retired;

/// Above everything.
const HEAD: &str = "\
# Configuration reference

Printed by `cargo xtask reference` from the tables that the program reads its configuration with; do not edit. The file's
form is the OpenTelemetry Collector's: `receivers`, `processors`, `exporters`, `connectors`, `extensions`, `service`.

`rootspan validate --config FILE` names every mistake with its place; `rootspan print-config --config FILE` prints what is
in effect, defaults included. Durations are written `500ms`, `5s`, `1h30m`, sizes `512KiB`, `10GiB`. A component without
settings (`debug:`) has its defaults. `${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}` and `${yaml:TEXT}` stand for
values, `$$` for a dollar. `kill -HUP` reloads the configuration.
";

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut section = "";
    for component in built_in() {
        let (of, _) = component.section_and_kind();
        if of != section {
            page += &format!("\n## {of}\n");
            section = of;
        }
        page += &component_page(component);
    }
    page += "\n### Extensions that are accepted without effect\n\n";
    for (name, reason) in retired::REASONS {
        page += &format!("- `{name}`: {reason}\n");
    }
    page += "\n## service\n";
    page += "\n`extensions` lists what runs, `pipelines` connects components: `traces`, `metrics`, `logs` or `traces/name`, each with ";
    page += "`receivers`, `processors` (in order) and `exporters`.\n";
    if let Some(table) = TelemetryConfig::TABLE {
        page += &format!("\n### service.telemetry\n\n{}\n", paragraph(table.doc));
        page += &keys("telemetry", table);
    }
    page
}

fn component_page(component: &BuiltIn) -> String {
    let (_, kind) = component.section_and_kind();
    let mut page = format!("\n### {}\n", component.path);
    if let Some(table) = component.table {
        page += &format!("\n{}\n", paragraph(table.doc));
    }
    let mut facts = Vec::new();
    if !component.aliases.is_empty() {
        facts.push(format!("Also called `{}`.", component.aliases.join("`, `")));
    }
    if !component.signals.is_empty() {
        facts.push(format!("Carries {}.", component.signal_names().join(", ")));
    }
    if !facts.is_empty() {
        page += &format!("\n{}\n", facts.join(" "));
    }
    page += &format!("\n```yaml\n{}\n```\n", component.example.trim_end());
    if let Some(table) = component.table {
        page += &keys(kind, table);
    }
    page
}

/// The table of a section's keys, then those of the sections below it.
fn keys(path: &str, table: &Table) -> String {
    let mut page = String::new();
    if !table.keys.is_empty() || !table.ignored.is_empty() {
        page.push_str("\n| key | value | default | |\n|---|---|---|---|\n");
    }
    for key in table.keys {
        let default = match key.default {
            Some("") | None => String::new(),
            Some(text) => format!("`{text}`"),
        };
        let unit = key.unit.map(|unit| format!(" ({unit})")).unwrap_or_default();
        let doc = paragraph(key.doc).replace('|', "\\|");
        page += &format!("| `{}` | {}{unit} | {default} | {doc} |\n", key.name, key.kind);
    }
    for (name, reason) in table.ignored {
        page += &format!("| `{name}` | accepted, no effect | | {reason} |\n");
    }
    if !table.known.is_empty() {
        page += &format!("\nNot supported yet: `{}`.\n", table.known.join("`, `"));
    }
    for key in table.keys {
        if let Some(below) = key.table {
            let path = if key.list { format!("{path}.{}[]", key.name) } else { format!("{path}.{}", key.name) };
            page += &format!("\n#### {path}\n\n{}\n", paragraph(below.doc));
            page += &keys(&path, below);
        }
    }
    page
}

fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
