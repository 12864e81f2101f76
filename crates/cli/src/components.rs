//! `rootspan components`: what is built in.

use std::process::ExitCode;

use rootspan_gateway::config::components::{BuiltIn, built_in, tables};
use rootspan_gateway::config::decode::Table;
use rootspan_gateway::config::{reference, yaml};
use serde_json::{Map, Value, json};

use crate::arguments::{ComponentsArguments, ComponentsFormat};
use crate::output::{print, say};

/// How far the components of this version can be relied on, in the collector's words.
const STABILITY: &str = "Beta";

/// Lists the components.
pub(crate) fn components(arguments: &ComponentsArguments) -> anyhow::Result<ExitCode> {
    match arguments.format {
        _ if arguments.reference => print(format_args!("{}", reference::page())),
        _ if arguments.keys => print_tables(),
        ComponentsFormat::Text => built_in().into_iter().for_each(print_line),
        ComponentsFormat::Yaml => print(format_args!("{}", yaml::of_json(&as_the_collector()))),
        ComponentsFormat::Json => say!("{}", serde_json::to_string_pretty(&as_the_collector())?),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_line(component: &BuiltIn) {
    let also = match component.aliases {
        [] => String::new(),
        aliases => format!("  also {}", aliases.join(", ")),
    };
    let signals = if component.signals.is_empty() { "-".to_owned() } else { component.signal_names().join(" ") };
    say!("{:<36} {:<22} {}{also}", component.path, signals, STABILITY.to_lowercase());
}

/// The collector's form: a list for each section, with the stability of each signal.
fn as_the_collector() -> Value {
    let mut all = Map::new();
    let (command, version) = ("rootspan", env!("CARGO_PKG_VERSION"));
    let description = "Traces that begin at the CDN";
    all.insert("buildinfo".to_owned(), json!({"command": command, "description": description, "version": version}));
    for component in built_in() {
        let (section, kind) = component.section_and_kind();
        let signals = if section == "extensions" { vec!["extension"] } else { component.signal_names() };
        let stability: Map<_, _> = signals.iter().map(|signal| ((*signal).to_owned(), STABILITY.into())).collect();
        let list = all.entry(section).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(json!({"name": kind, "aliases": component.aliases, "stability": stability}));
        }
    }
    Value::Object(all)
}

fn print_tables() {
    for (name, table) in tables() {
        say!("{name}");
        if let Some(table) = table {
            print_keys(table, 1);
        }
    }
}

fn print_keys(table: &Table, depth: usize) {
    for key in table.keys {
        let default = key.default.map(|default| format!(" = {default}")).unwrap_or_default();
        let doc: Vec<_> = key.doc.iter().map(|line| line.trim()).collect();
        say!("{}{}{default}  {} ({})", "  ".repeat(depth), key.name, doc.join(" "), key.kind);
        if let Some(table) = key.table {
            print_keys(table, depth + 1);
        }
    }
}
