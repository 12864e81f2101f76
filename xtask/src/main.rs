//! The one list of this repository's commands: `cargo xtask COMMAND`.
//!
//! Every command does the set-up that it needs ([`setup`]) and says what it is doing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod bench;
mod browser;
mod collector;
mod demo;
mod dist;
mod fuzz;
mod nginx_bench;
mod nginx_module;
mod reference;
mod setup;
mod stage;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo [ARGS…]   build everything and start the demo; ARGS go to `rootspan demo` (--help lists them)
  test [STAGE…]  every check and test; with names, only those stages
  fuzz [TARGET] [--seconds N] [--seed N]
                 every decoder on bytes that nobody meant; without arguments, 10 s for each
  test --collector  rootspan beside the real OpenTelemetry Collector: --otelcol PATH, or it is built (minutes; needs Go)
  tidy           structure: file lengths, crate directions, documents that must be true
  reference      print docs/reference/configuration.md anew
  bench          measure the store on a million spans and print the table of docs/benchmarks.md
  bench gateway  what the gateway costs beside raw bytes and, with --otelcol PATH, the OpenTelemetry Collector; what it
                 does when the back end is dead and when it is killed (--rounds N, --kills N, --only TEXT)
  bench nginx    what the tracing module costs nginx, in CPU time for each request
  bench edge     log record to span in CPU time and instructions, beside GoAccess; the edge function's instructions under
                 njs, beside AWS's sample with --aws-sample FILE (--records N, --rounds N, --only records|peer|import|functions)
  nginx-module   the tracing module for the installed nginx; prints the path of the .so last
  dist           a self-contained archive of the binary, with the UI inside, in dist/
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match command.as_deref() {
        Some("demo") => demo::run(&rest),
        Some("test") if rest.first().is_some_and(|what| what == "--collector") => collector::test(&rest[1..]),
        Some("test") => test::run(&rest),
        Some("fuzz") => fuzz::run(&rest),
        Some("tidy") => tidy::run(),
        Some("reference") => reference::write(),
        Some("bench") if rest.first().is_some_and(|what| what == "nginx") => nginx_bench::run(),
        Some("bench") if rest.first().is_some_and(|what| what == "gateway") => bench::gateway(&rest[1..]),
        Some("bench") if rest.first().is_some_and(|what| what == "edge") => bench::edge(&rest[1..]),
        Some("bench") => bench::run(&rest),
        Some("nginx-module") => nginx_module::run(&rest),
        Some("dist") => dist::run(),
        Some("help" | "--help" | "-h") | None => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(anyhow::anyhow!("no command is called {other:?}\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
