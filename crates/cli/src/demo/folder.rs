//! Where the demo's store lies.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::output::complain;

/// The folder that the user named, or one of our own that goes away again.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    is_temporary: bool,
}

impl DataFolder {
    /// `given`, or a new temporary folder.
    pub(crate) fn new(given: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = given {
            return Ok(Self { path: path.to_owned(), is_temporary: false });
        }
        let path = std::env::temp_dir().join(format!("rootspan-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path, is_temporary: true })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, if it is ours; a failure is said and is no failure of the demo.
    pub(crate) fn remove_if_temporary(&self) {
        if self.is_temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            complain!("{} could not be removed: {error}", self.path.display());
        }
    }
}
