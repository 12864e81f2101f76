//! Where an import reads from: files, folders, standard input.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// One thing to read.
#[derive(Debug)]
pub(super) enum Source {
    /// A file of so many bytes.
    File(PathBuf, u64),
    /// What is piped in.
    Stdin,
}

impl Source {
    /// As it is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path, _) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
        }
    }

    /// Its length, if that is known.
    pub(super) const fn bytes(&self) -> u64 {
        match self {
            Self::File(_, bytes) => *bytes,
            Self::Stdin => 0,
        }
    }

    /// Opens it.
    pub(super) fn open(&self) -> anyhow::Result<Box<dyn Read>> {
        Ok(match self {
            Self::File(path, _) => {
                Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
            }
            Self::Stdin => Box::new(std::io::stdin().lock()),
        })
    }
}

/// All files that are meant, those of a folder in the order of their names, which for logs is that of time.
pub(super) fn find(from: &[String]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for name in from {
        if name == "-" {
            sources.push(Source::Stdin);
        } else if name.starts_with("s3://") {
            bail!(
                "{name}: this build cannot read buckets; fetch it first: aws s3 sync {name} ./logs && rootspan import ./logs"
            );
        } else {
            let before = sources.len();
            add(Path::new(name), &mut sources)?;
            if sources.len() == before {
                bail!("{name}: there is no file in this folder");
            }
        }
    }
    Ok(sources)
}

fn add(path: &Path, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !metadata.is_dir() {
        sources.push(Source::File(path.to_owned(), metadata.len()));
        return Ok(());
    }
    let listing = std::fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
    let mut inside = Vec::new();
    for entry in listing {
        let entry = entry.with_context(|| format!("cannot list {}", path.display()))?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !is_hidden {
            inside.push(entry.path());
        }
    }
    inside.sort();
    inside.iter().try_for_each(|path| add(path, sources))
}
