//! `rootspan validate` and `print-config`.

use std::process::ExitCode;

use rootspan_gateway::config::effective::to_json;
use rootspan_gateway::config::load_effective;
use rootspan_gateway::config::yaml::to_yaml;
use rootspan_gateway::plan::plan;

use crate::arguments::{ConfigArguments, Notation, PrintConfigArguments};
use crate::output::{complain, print, say};
use crate::run::{load, sources};

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

/// Prints what is in effect, or what will run.
pub(crate) fn print_config(arguments: &PrintConfigArguments) -> anyhow::Result<ExitCode> {
    let (config, effective) = match load_effective(&sources(&arguments.config)) {
        Ok(loaded) => loaded,
        Err(problems) => {
            complain!("{problems}");
            return Ok(ExitCode::FAILURE);
        }
    };
    match arguments.format {
        _ if arguments.plan => print(format_args!("{}", plan(&config))),
        Notation::Yaml => print(format_args!("{}", to_yaml(&effective))),
        Notation::Json => say!("{}", serde_json::to_string_pretty(&to_json(&effective))?),
    }
    Ok(ExitCode::SUCCESS)
}
