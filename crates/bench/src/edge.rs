//! `rootspan-bench edge`: what it costs to make a span of a log record, beside a widely used log parser; and what the edge
//! function costs for each request, beside AWS's published sample.
//!
//! Costs are CPU time of this thread (forms take turns, the median of all rounds counts) and instructions that valgrind
//! counts, which other programs on the machine do not change.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people, far below where the types end"
)]

mod convert;
mod forms;
mod functions;
mod instructions;
mod peer;
mod requests;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use convert::Subject;
use forms::Form;

const USAGE: &str = "\
usage: rootspan-bench edge ROOTSPAN [OPTION]…
  --aws-sample FILE  a viewer-request function to count beside ours; repeated: what runs after it for the same request
  --records N        records of each form (10000)
  --rounds N         measurements of each figure, of which the median counts (9)
  --only TEXT        only parts whose name contains TEXT: records, peer, import, functions; may be repeated";

/// Records under valgrind, which takes fifty times as long.
const COUNTED_RECORDS: u64 = 1_000;

/// What is asked for.
#[derive(Debug)]
struct Options {
    rootspan: PathBuf,
    sample: Vec<PathBuf>,
    records: u64,
    rounds: usize,
    only: Vec<String>,
}

impl Options {
    fn read(arguments: &[String]) -> anyhow::Result<Self> {
        let mut arguments = arguments.iter();
        let rootspan = arguments.next().filter(|first| !first.starts_with('-')).context(USAGE)?.into();
        let mut options = Self { rootspan, sample: Vec::new(), records: 10_000, rounds: 9, only: Vec::new() };
        while let Some(option) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{option} needs a value\n{USAGE}"))?;
            match option.as_str() {
                "--aws-sample" => options.sample.push(value.into()),
                "--records" => options.records = value.parse().context("--records takes a number")?,
                "--rounds" => options.rounds = value.parse().context("--rounds takes a number")?,
                "--only" => options.only.push(value.clone()),
                _ => bail!("{option} is no option\n{USAGE}"),
            }
        }
        anyhow::ensure!(options.records > 0 && options.rounds > 0, "--records and --rounds begin at 1");
        Ok(options)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| part.contains(only.as_str()))
    }
}

/// Measures and prints.
pub(crate) fn run(arguments: &[String], folder: &Path) -> anyhow::Result<()> {
    match arguments {
        [command, form, times] if command == "convert" => {
            let form = Form::ALL.into_iter().find(|known| known.name() == form).context("no such form")?;
            Subject::new(form, COUNTED_RECORDS).convert_times(times.parse()?)
        }
        [command, file] if command == "convert-file" => convert::file(Path::new(file)),
        _ => print(&Options::read(arguments)?, folder),
    }
}

fn print(options: &Options, folder: &Path) -> anyhow::Result<()> {
    if options.wants("records") {
        println!("{}", records(options)?);
    }
    if options.wants("peer") {
        println!("| CPU s for a million lines of standard logs, v1 | |\n|---|---|");
        for (name, seconds) in peer::run(options.rounds.div_ceil(3), folder)? {
            println!("| {name} | {seconds:.2} |");
        }
        println!();
    }
    if options.wants("import") {
        let (seconds, megabytes) = peer::import(&options.rootspan, options.rounds.div_ceil(3), folder)?;
        println!(
            "`rootspan import` of a .gz into a store: {seconds:.2} CPU s for a million lines of v1, {megabytes:.0} MB/s\n"
        );
    }
    if options.wants("functions") {
        println!("{}", functions::run(&options.rootspan, &options.sample, folder)?);
    }
    println!("load average {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    Ok(())
}

fn records(options: &Options) -> anyhow::Result<String> {
    let subjects: Vec<Subject> = Form::ALL.into_iter().map(|form| Subject::new(form, options.records)).collect();
    let mut micros = vec![Vec::new(); subjects.len()];
    for _ in 0..options.rounds {
        for (micros, subject) in micros.iter_mut().zip(&subjects) {
            micros.push(subject.measure()?);
        }
    }
    let mut table = "| a record → its span | bytes | OTLP bytes | CPU µs | least | instructions | aim |\n|---|---|---|---|---|---|---|\n".to_owned();
    for (subject, micros) in subjects.iter().zip(micros) {
        let (form, bytes, otlp) = (subject.form, subject.bytes_per_record(), subject.check()?);
        let least = micros.iter().copied().fold(f64::INFINITY, f64::min);
        let aim = form.aim_micros().map_or(String::new(), |aim| format!("≤ {aim}"));
        let instructions = counted(form)?;
        table += &format!(
            "| {} | {bytes:.0} | {otlp:.0} | {:.2} | {least:.2} | {instructions} | {aim} |\n",
            form.name(),
            median(micros)
        );
    }
    Ok(table)
}

/// Instructions of a record.
fn counted(form: Form) -> anyhow::Result<u64> {
    let itself = std::env::current_exe()?.display().to_string();
    let run = |times: &str| instructions::of(&[&itself, "edge", "convert", form.name(), times]);
    Ok(run("1")?.saturating_sub(run("0")?) / COUNTED_RECORDS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
