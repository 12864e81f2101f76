//! Running programs, and saying how long a stage took.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Runs `command` with the terminal's own streams; its failure is an error that names it.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = display(command);
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// Runs `command` and gives its standard output.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = display(command);
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed no UTF-8"))
}

fn display(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Wall and CPU time of one stage.
#[derive(Debug)]
pub(crate) struct Timing {
    pub(crate) name: &'static str,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// Runs `body` under a headline and measures it.
pub(crate) fn timed(name: &'static str, body: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Timing> {
    println!("\n=== {name}");
    let (started, cpu) = (Instant::now(), children_cpu());
    body().with_context(|| format!("stage {name}"))?;
    Ok(Timing { name, wall: started.elapsed(), cpu: children_cpu().saturating_sub(cpu) })
}

/// Prints the table of all stages.
pub(crate) fn print(timings: &[Timing]) {
    println!("\n{:<12} {:>9} {:>9}", "stage", "wall s", "CPU s");
    for timing in timings {
        println!("{:<12} {:>9.1} {:>9.1}", timing.name, timing.wall.as_secs_f64(), timing.cpu.as_secs_f64());
    }
    let wall: Duration = timings.iter().map(|timing| timing.wall).sum();
    let cpu: Duration = timings.iter().map(|timing| timing.cpu).sum();
    println!("{:<12} {:>9.1} {:>9.1}", "all", wall.as_secs_f64(), cpu.as_secs_f64());
}

/// User and system time of every child that has ended, from `/proc/self/stat` (fields 16 and 17, in clock ticks of
/// 10 ms on every Linux that Rust supports); zero where there is no such file.
fn children_cpu() -> Duration {
    let ticks = || -> Option<u64> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in brackets and may contain spaces.
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ').skip(13);
        Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
    };
    Duration::from_millis(ticks().unwrap_or_default() * 10)
}
