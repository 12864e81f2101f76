//! Every decoder on bytes that nobody meant.
//!
//! A target is a body (what is tried with some bytes, and what must hold then), a corpus of sound inputs, and a
//! dictionary. A seed decides which input is taken and how it is changed ([`mutate`]), so a run can be repeated; nothing
//! but stable Rust is needed. Some seconds of it are in the tests; `cargo xtask fuzz [TARGET] [--seconds N]` takes as long
//! as one likes, and prints the target, the seed and the command that replays it when something breaks.
//!
//! What once broke lies in `regressions/TARGET/` and is tried in every test run.

pub mod mutate;
pub mod targets;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use mutate::Mutator;

/// One decoder, or several that read the same.
pub struct Target {
    /// As on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Sound inputs.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Words of its language.
    pub dictionary: &'static [&'static [u8]],
    /// Inputs that the normal tests try: about a second's work.
    pub usual_inputs: u64,
    /// Tries one input; what must hold is asserted.
    pub body: fn(&[u8]),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The target's name.
    pub target: &'static str,
    /// The seed, or the file.
    pub origin: String,
    /// The command that tries it again.
    pub replay: String,
    /// What the panic said.
    pub message: String,
    /// The input.
    pub input: Vec<u8>,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { target, origin, replay, message, input } = self;
        write!(f, "target {target}, {origin}: {message}\ninput of {} bytes; again: {replay}", input.len())
    }
}

/// A target with its corpus at hand.
#[derive(Debug)]
pub struct Fuzzer {
    target: &'static Target,
    corpus: Vec<Vec<u8>>,
}

impl Fuzzer {
    /// Reads the corpus.
    ///
    /// # Panics
    /// If the corpus is empty.
    #[must_use]
    pub fn new(target: &'static Target) -> Self {
        let corpus = (target.corpus)();
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        Self { target, corpus }
    }

    /// The input that `seed` stands for. The first seeds are the corpus as it is.
    #[must_use]
    pub fn input(&self, seed: u64) -> Vec<u8> {
        match usize::try_from(seed).ok().and_then(|index| self.corpus.get(index)) {
            Some(sound) => sound.clone(),
            None => Mutator::new(seed, &self.corpus, self.target.dictionary).input(),
        }
    }

    /// Tries one seed.
    ///
    /// # Errors
    /// [`Broken`]
    pub fn try_seed(&self, seed: u64) -> Result<(), Broken> {
        let replay = format!("cargo xtask fuzz {} --seed {seed}", self.target.name);
        self.try_input(self.input(seed), format!("seed {seed}"), replay)
    }

    /// Tries what once broke.
    ///
    /// # Errors
    /// [`Broken`], the first.
    pub fn try_regressions(&self) -> Result<(), Broken> {
        for path in regressions(self.target.name) {
            let Ok(input) = std::fs::read(&path) else { continue };
            let replay = format!("cargo test -p rootspan-fuzz {}", self.target.name);
            self.try_input(input, path.display().to_string(), replay)?;
        }
        Ok(())
    }

    fn try_input(&self, input: Vec<u8>, origin: String, replay: String) -> Result<(), Broken> {
        let body = self.target.body;
        let outcome = catch_unwind(AssertUnwindSafe(|| body(&input)));
        outcome.map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let message = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned();
            Broken { target: self.target.name, origin, replay, message, input }
        })
    }
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    targets::ALL.iter().find(|target| target.name == name)
}

/// The folder of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn regressions(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(name);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
