//! The binary `rootspan`. Each command is one module; this file lists them.

mod app;
mod arguments;
mod components;
mod coverage;
mod demo;
mod edge;
mod import;
mod logging;
mod nginx;
mod output;
mod queue;
mod run;
mod runtime;
mod search;
mod table;
mod validate;

use std::process::ExitCode;

use crate::arguments::{Arguments, Command, EdgeCommand, NginxCommand, QueueCommand};
use crate::output::complain;

fn main() -> ExitCode {
    let outcome = match Arguments::read().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Validate(arguments) => validate::validate(&arguments),
        Command::PrintConfig(arguments) => validate::print_config(&arguments),
        Command::Components(arguments) => components::components(&arguments),
        Command::Edge(EdgeCommand::Build(arguments)) => edge::build(&arguments),
        Command::Edge(EdgeCommand::Emulate(arguments)) => edge::emulate(&arguments),
        Command::Edge(EdgeCommand::Test(arguments)) => edge::test(&arguments),
        Command::Edge(EdgeCommand::Coverage(arguments)) => coverage::coverage(&arguments),
        Command::Import(arguments) => import::import(&arguments),
        Command::Queue(QueueCommand::Inspect(arguments)) => queue::inspect(&arguments),
        Command::Queue(QueueCommand::Export(arguments)) => queue::export(&arguments),
        Command::Nginx(NginxCommand::Config(arguments)) => nginx::config(&arguments),
        Command::Search(arguments) => search::search(&arguments),
        Command::Trace(arguments) => search::trace(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain!("rootspan: {error:#}");
            ExitCode::FAILURE
        }
    }
}
