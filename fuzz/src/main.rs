//! `cargo xtask fuzz [TARGET] [--seconds N] [--seed N]`: as long as one likes.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use rootspan_fuzz::{Broken, Fuzzer, Target, root, targets};

const USAGE: &str = "usage: cargo xtask fuzz [TARGET] [--seconds N] [--seed N]";

/// For each target, where nothing is said.
const SECONDS: u64 = 10;

#[derive(Debug, Default)]
struct Arguments {
    target: Option<String>,
    seconds: Option<u64>,
    seed: Option<u64>,
}

fn arguments() -> Option<Arguments> {
    let mut arguments = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => arguments.seconds = Some(words.next()?.parse().ok()?),
            "--seed" => arguments.seed = Some(words.next()?.parse().ok()?),
            name if !name.starts_with('-') && arguments.target.is_none() => arguments.target = Some(name.to_owned()),
            _ => return None,
        }
    }
    Some(arguments)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}\n");
        for target in targets::ALL {
            eprintln!("  {:<14} {}", target.name, target.about);
        }
        return ExitCode::FAILURE;
    };
    let is_meant = |target: &&Target| arguments.target.as_ref().is_none_or(|name| name == target.name);
    let chosen: Vec<_> = targets::ALL.iter().filter(is_meant).collect();
    if chosen.is_empty() {
        let names: Vec<_> = targets::ALL.iter().map(|target| target.name).collect();
        eprintln!("no target is called {:?}; there are {}", arguments.target.unwrap_or_default(), names.join(", "));
        return ExitCode::FAILURE;
    }
    for target in chosen {
        if let Err(broken) = run(target, &arguments) {
            eprintln!("{broken}");
            save(&broken);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run(target: &'static Target, arguments: &Arguments) -> Result<(), Broken> {
    let fuzzer = Fuzzer::new(target);
    if let Some(seed) = arguments.seed {
        fuzzer.try_seed(seed)?;
        println!("{}: seed {seed} holds", target.name);
        return Ok(());
    }
    fuzzer.try_regressions()?;
    let (began, time) = (Instant::now(), Duration::from_secs(arguments.seconds.unwrap_or(SECONDS)));
    let mut seed = 0;
    while began.elapsed() < time {
        fuzzer.try_seed(seed)?;
        seed += 1;
    }
    println!("{}: {seed} inputs", target.name);
    Ok(())
}

/// The input is kept, so that it becomes a regression when it is mended.
fn save(broken: &Broken) {
    let folder = root().join("fuzz/regressions").join(broken.target);
    let path = folder.join(broken.origin.replace([' ', '/'], "-"));
    match std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &broken.input)) {
        Ok(()) => eprintln!("the input is in {}", path.display()),
        Err(error) => eprintln!("the input cannot be written to {}: {error}", path.display()),
    }
}
