//! What is made of files (certificates, tokens, passwords) and made anew when they change. Files are looked at when what
//! is made of them is used, at most once in a period: nothing runs in the background, and nothing is read twice at once.
//! What cannot be made of changed files is said once, and the old goes on.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::config::values::Secret;
use crate::{files, tasks};

/// How often files are looked at if the configuration does not say.
pub(crate) const DEFAULT_PERIOD: Duration = Duration::from_secs(10);

/// Where text comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// A file. The key names it in messages.
    File { key: &'static str, path: PathBuf },
    /// The configuration itself.
    Inline { key: &'static str, text: Secret },
}

impl Source {
    /// For messages: the key, and the path if there is one. Never the content.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::File { key, path } => format!("{key} {}", path.display()),
            Self::Inline { key, .. } => (*key).to_owned(),
        }
    }

    /// The content.
    pub(crate) fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File { path, .. } => files::read_secret(path).map_err(|reason| format!("{}: {reason}", self.shown())),
            Self::Inline { text, .. } => Ok(text.reveal().as_bytes().to_vec()),
        }
    }
}

/// Makes the value from the contents of the sources, in their order; an error is one sentence.
type Make<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync>;

/// A value made of sources.
pub(crate) struct Reloading<T> {
    /// What it is, for the log.
    what: String,
    sources: Vec<Source>,
    make: Make<T>,
    /// `None` if no source is a file.
    period: Option<Duration>,
    current: RwLock<Arc<T>>,
    /// Whoever has it looks at the files; others go on with what is there.
    state: tokio::sync::Mutex<State>,
}

#[derive(Clone)]
struct State {
    next_look: Instant,
    /// Hash of the contents that were last looked at.
    seen: Option<[u8; 32]>,
    complaint: Option<String>,
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading").field("what", &self.what).field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Reloading<T> {
    /// Reads the sources and makes the first value; that it cannot is an error.
    pub(crate) fn load(
        what: impl Into<String>,
        sources: Vec<Source>,
        period: Duration,
        make: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, String> {
        let contents = read(&sources)?;
        let value = make(&contents)?;
        let has_files = sources.iter().any(|source| matches!(source, Source::File { .. }));
        let state = State { next_look: Instant::now() + period, seen: Some(hash(&contents)), complaint: None };
        Ok(Arc::new(Self {
            what: what.into(),
            sources,
            make: Box::new(make),
            period: has_files.then_some(period),
            current: RwLock::new(Arc::new(value)),
            state: tokio::sync::Mutex::new(state),
        }))
    }

    /// The value as it is now; looks at the files first if it is time.
    pub(crate) async fn current(self: &Arc<Self>) -> Arc<T> {
        if let Some(period) = self.period
            && let Ok(mut state) = self.state.try_lock()
            && state.next_look <= Instant::now()
        {
            let (reloading, seen) = (Arc::clone(self), state.seen);
            if let Some((new_hash, outcome)) = tasks::blocking("reload", move || reloading.look(seen)).await {
                self.note(&mut state, new_hash, outcome);
            }
            state.next_look = Instant::now() + period;
        }
        self.now()
    }

    /// The value as it is, without a look at the files.
    pub(crate) fn now(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The hash of the contents now, and the value made of them if they are not those of `seen`.
    fn look(&self, seen: Option<[u8; 32]>) -> (Option<[u8; 32]>, Result<Option<T>, String>) {
        let contents = match read(&self.sources) {
            Ok(contents) => contents,
            Err(reason) => return (None, Err(reason)),
        };
        let hash = Some(hash(&contents));
        if hash == seen {
            return (hash, Ok(None));
        }
        (hash, (self.make)(&contents).map(Some))
    }

    fn note(&self, state: &mut State, hash: Option<[u8; 32]>, outcome: Result<Option<T>, String>) {
        state.seen = hash;
        match outcome {
            Ok(Some(value)) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
                state.complaint = None;
                tracing::info!(what = self.what, "files changed: loaded anew");
            }
            Ok(None) => {}
            Err(reason) => {
                if state.complaint.as_ref() != Some(&reason) {
                    tracing::error!(what = self.what, "changed files cannot be used, the old ones stay: {reason}");
                    state.complaint = Some(reason);
                }
            }
        }
    }
}

fn read(sources: &[Source]) -> Result<Vec<Vec<u8>>, String> {
    sources.iter().map(Source::read).collect()
}

/// Of all contents, each with its length, so that no two lists have the same bytes.
fn hash(contents: &[Vec<u8>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for content in contents {
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
