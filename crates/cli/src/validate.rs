//! `rootspan validate`, `print-config` and `components`.

use std::process::ExitCode;

use rootspan_gateway::config::components::tables;
use rootspan_gateway::config::decode::Table;
use rootspan_gateway::plan::plan;

use crate::arguments::ConfigArguments;
use crate::output::{complain, say};
use crate::run::load;

/// Reports every problem at once; silent success is success.
pub(crate) fn validate(arguments: &ConfigArguments) -> anyhow::Result<ExitCode> {
    match load(arguments) {
        Ok(config) => {
            for warning in &config.warnings {
                complain!("warning: {warning}");
            }
            say!("valid");
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            complain!("{problems}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints what will run.
pub(crate) fn print_config(arguments: &ConfigArguments) -> anyhow::Result<ExitCode> {
    match load(arguments) {
        Ok(config) => {
            crate::output::print(format_args!("{}", plan(&config)));
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            complain!("{problems}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Lists the components with their keys, defaults and meaning.
#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
pub(crate) fn components() -> anyhow::Result<ExitCode> {
    for (name, table) in tables() {
        say!("{name}");
        if let Some(table) = table {
            print_keys(table, 1);
        }
    }
    Ok(ExitCode::SUCCESS)
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
