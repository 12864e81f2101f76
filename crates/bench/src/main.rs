//! Measures the real binary from outside: OTLP/gRPC in, HTTP out, `/proc` for what it cost.
//!
//! `rootspan-bench BINARY [SPANS [PHASE]]` prints the store's table of docs/benchmarks.md, `rootspan-bench gateway BINARY`
//! the gateway's, `rootspan-bench edge BINARY` the edge's; `cargo xtask bench`, `cargo xtask bench gateway` and
//! `cargo xtask bench edge` build both first.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]
#![expect(clippy::disallowed_methods, reason = "it waits for another process and for the disk")]

mod ask;
mod disk;
mod edge;
mod gateway;
mod phases;
mod sender;
mod server;
mod workload;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use phases::Row;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = std::env::temp_dir().join(format!("rootspan-bench-{}", std::process::id()));
    match arguments.split_first() {
        Some((first, rest)) if first == "floor" => gateway::floor::run(rest),
        Some((first, rest)) if first == "gateway" => {
            let outcome = gateway::run(rest, &folder);
            let _removed = std::fs::remove_dir_all(&folder);
            outcome
        }
        Some((first, rest)) if first == "edge" => {
            let outcome = edge::run(rest, &folder);
            let _removed = std::fs::remove_dir_all(&folder);
            outcome
        }
        _ => store(&arguments, &folder),
    }
}

fn store(arguments: &[String], folder: &Path) -> anyhow::Result<()> {
    let mut arguments = arguments.iter();
    let binary: PathBuf = arguments.next().context("usage: rootspan-bench BINARY [SPANS [PHASE]]")?.into();
    let spans = arguments.next().map_or(Ok(1_000_000), |spans| spans.parse()).context("SPANS is a number")?;
    let only = arguments.next();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(phases::all(&binary, folder, spans, only.map(String::as_str)));
    // The folder is ours; a failure to remove it is no failure of the measurement.
    let _removed = std::fs::remove_dir_all(folder);
    print(&outcome?);
    Ok(())
}

fn print(rows: &[Row]) {
    println!("\n| | measured |\n|---|---|");
    for row in rows {
        println!("| {} | {} |", row.name, row.value);
    }
}
