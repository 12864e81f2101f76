//! Where an import reads from: files, folders, buckets, standard input.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::runtime::Handle;

#[cfg(feature = "aws")]
use super::bucket::{Listing, Object};
use crate::arguments::{Hour, ImportArguments};

/// One thing to read.
#[derive(Debug)]
pub(super) enum Source {
    /// A file of so many bytes.
    File(PathBuf, u64),
    /// What a bucket holds.
    #[cfg(feature = "aws")]
    Object(Object),
    /// What is piped in.
    Stdin,
}

impl Source {
    /// As it is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path, _) => path.display().to_string(),
            #[cfg(feature = "aws")]
            Self::Object(object) => object.url(),
            Self::Stdin => "standard input".to_owned(),
        }
    }

    /// Its length, if that is known.
    pub(super) const fn bytes(&self) -> u64 {
        match self {
            Self::File(_, bytes) => *bytes,
            #[cfg(feature = "aws")]
            Self::Object(object) => object.bytes,
            Self::Stdin => 0,
        }
    }

    /// Opens it.
    pub(super) fn open(&self) -> anyhow::Result<Box<dyn Read>> {
        Ok(match self {
            Self::File(path, _) => {
                Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
            }
            #[cfg(feature = "aws")]
            Self::Object(object) => Box::new(object.open()),
            Self::Stdin => Box::new(std::io::stdin().lock()),
        })
    }
}

/// The hours that are wanted, by the names of files.
#[derive(Clone, Debug, Default)]
pub(super) struct Range {
    pub(super) start: Option<String>,
    end: Option<String>,
}

impl Range {
    /// Whether a file of this name is wanted; one without an hour in its name is.
    pub(super) fn has(&self, name: &str) -> bool {
        let Some(hour) = hour_of(name) else { return true };
        self.start.as_deref().is_none_or(|start| hour >= start) && self.end.as_deref().is_none_or(|end| hour < end)
    }
}

/// `2026-09-14-10` of `E2EXAMPLE.2026-09-14-10.abcdef.gz`.
fn hour_of(name: &str) -> Option<&str> {
    let form = b"dddd-dd-dd-dd";
    let fits = |(byte, form): (u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == *form };
    name.split('.').find(|part| part.len() == form.len() && part.bytes().zip(form).all(fits))
}

/// Everything that is to be read, found as far as is needed: a bucket may hold millions of objects.
#[derive(Debug)]
pub(super) struct Sources {
    found: VecDeque<Source>,
    #[cfg(feature = "aws")]
    listings: VecDeque<Listing>,
}

impl Sources {
    /// Looks for what is named; what is not there is an error before anything is read. Files of a folder come in the order
    /// of their names, which for logs is that of time. Connections live on `runtime`.
    pub(super) fn find(arguments: &ImportArguments, runtime: &Handle) -> anyhow::Result<Self> {
        let hour = |hour: &Option<Hour>| hour.as_ref().map(|hour| hour.0.clone());
        let range = Range { start: hour(&arguments.start), end: hour(&arguments.end) };
        let mut sources = Self {
            found: VecDeque::new(),
            #[cfg(feature = "aws")]
            listings: VecDeque::new(),
        };
        for name in &arguments.from {
            if name == "-" {
                sources.found.push_back(Source::Stdin);
            } else if name.starts_with("s3://") {
                sources.add_bucket(name, arguments, &range, runtime)?;
            } else {
                let mut files = Vec::new();
                add(Path::new(name), &mut files)?;
                if files.is_empty() {
                    bail!("{name}: there is no file in this folder");
                }
                files.retain(|file| range.has(&file.name()));
                sources.found.extend(files);
            }
        }
        Ok(sources)
    }

    #[cfg(feature = "aws")]
    fn add_bucket(
        &mut self,
        url: &str,
        arguments: &ImportArguments,
        range: &Range,
        runtime: &Handle,
    ) -> anyhow::Result<()> {
        let mut listing = Listing::begin(url, arguments, range.clone(), runtime)?;
        self.found.extend(listing.next_objects()?.into_iter().flatten().map(Source::Object));
        self.listings.push_back(listing);
        Ok(())
    }

    #[cfg(not(feature = "aws"))]
    #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "as with the feature")]
    fn add_bucket(&mut self, url: &str, _: &ImportArguments, _: &Range, _: &Handle) -> anyhow::Result<()> {
        bail!(
            "{url}: this build has no S3 support (feature `aws`); the released archives have it. Or fetch it first: \
             aws s3 sync {url} ./logs && rootspan import ./logs"
        )
    }

    /// Bytes of what is found so far.
    pub(super) fn bytes(&self) -> u64 {
        self.found.iter().map(Source::bytes).sum()
    }

    /// How many are worth reading at once: a bucket answers slowly, and many requests as fast as one.
    pub(super) fn readers(&self) -> usize {
        #[cfg(feature = "aws")]
        if !self.listings.is_empty() {
            return super::bucket::READERS;
        }
        1
    }

    /// The next one. Bytes of what is found on the way are told to `more`.
    pub(super) fn next(&mut self, more: &mut dyn FnMut(u64)) -> anyhow::Result<Option<Source>> {
        #[cfg(feature = "aws")]
        while self.found.is_empty()
            && let Some(listing) = self.listings.front_mut()
        {
            match listing.next_objects()? {
                Some(objects) => {
                    more(objects.iter().map(|object| object.bytes).sum());
                    self.found.extend(objects.into_iter().map(Source::Object));
                }
                None => drop(self.listings.pop_front()),
            }
        }
        #[cfg(not(feature = "aws"))]
        let _nothing_is_found_later = more;
        Ok(self.found.pop_front())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_hour() {
        let range = |start: Option<&str>, end: Option<&str>| Range {
            start: start.map(str::to_owned),
            end: end.map(str::to_owned),
        };
        let name = "cf/E1.2026-09-14-10.abc.gz";
        for (start, end, is_in) in [
            (None, None, true),
            (Some("2026-09-14"), None, true),
            (Some("2026-09-14-10"), Some("2026-09-14-11"), true),
            (Some("2026-09-14-11"), None, false),
            (None, Some("2026-09-14-10"), false),
            (None, Some("2026-09-14"), false),
            (None, Some("2026-09-15"), true),
        ] {
            assert_eq!(range(start, end).has(name), is_in, "{start:?} to {end:?}");
        }
        assert!(range(Some("2030-01-01"), None).has("traces.json"), "no hour in its name");
    }
}
