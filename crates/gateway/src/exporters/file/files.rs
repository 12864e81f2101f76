//! The files of one `file` exporter: the one that is written, and those that were set aside.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rootspan_model::time::UnixNanos;

use super::{FileConfig, RotationConfig};
use crate::clock::Clock;

/// Files that were set aside have their time in the name, to the millisecond.
const MILLISECOND: u64 = 1_000_000;
const DAY: u64 = 86_400_000_000_000;

/// The file that is written.
pub(super) struct Files {
    path: PathBuf,
    file: File,
    length: u64,
    rotation: Option<RotationConfig>,
    clock: Clock,
    /// The time in the newest name: names sort by age, also if the clock goes back.
    last: UnixNanos,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("path", &self.path).field("length", &self.length).finish_non_exhaustive()
    }
}

impl Files {
    pub(super) fn open(config: &FileConfig, clock: Clock) -> io::Result<Self> {
        let path = PathBuf::from(&config.path);
        if config.create_directory
            && let Some(folder) = path.parent()
        {
            std::fs::create_dir_all(folder)?;
        }
        let continues = config.append || config.rotation.is_some();
        let file = open(&path, continues)?;
        let length = file.metadata()?.len();
        Ok(Self { path, file, length, rotation: config.rotation.clone(), clock, last: UnixNanos(0) })
    }

    /// Appends a record as a whole, or not at all.
    pub(super) fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let limit = self.rotation.as_ref().map(|rotation| rotation.max_megabytes.saturating_mul(1_000_000));
        if self.length > 0 && limit.is_some_and(|limit| self.length + record.len() as u64 > limit) {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(record) {
            // A part of it would make what follows unreadable.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += record.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut time = (self.clock)().max(UnixNanos(self.last.0 + MILLISECOND));
        let mut aside = self.aside(time);
        // Two within a millisecond must not replace each other.
        while aside.try_exists()? {
            time = UnixNanos(time.0 + MILLISECOND);
            aside = self.aside(time);
        }
        std::fs::rename(&self.path, &aside)?;
        self.last = time;
        self.file = open(&self.path, true)?;
        self.length = 0;
        self.remove_oldest(&aside)
    }

    /// `traces.json` → `traces-2026-09-14T10-15-30.295.json`, as the collector names it.
    fn aside(&self, time: UnixNanos) -> PathBuf {
        self.path.with_file_name(self.aside_name(time))
    }

    fn aside_name(&self, time: UnixNanos) -> String {
        let time = time.utc().to_string().trim_end_matches('Z').replace(':', "-");
        let (stem, extension) = self.name();
        format!("{stem}-{time}{extension}")
    }

    /// Name without and with its extension.
    fn name(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let extension = text(self.path.extension());
        (text(self.path.file_stem()), if extension.is_empty() { extension } else { format!(".{extension}") })
    }

    /// Removes what is too much, but never `newest`, whatever the clock said of it.
    fn remove_oldest(&self, newest: &Path) -> io::Result<()> {
        let (keep, days) = self.rotation.as_ref().map_or((0, 0), |rotation| (rotation.max_backups, rotation.max_days));
        if keep == 0 && days == 0 {
            return Ok(());
        }
        let (stem, extension) = self.name();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let time = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&extension));
            if time.is_some_and(is_time) {
                names.push(name);
            }
        }
        // The time in the name sorts as text.
        names.sort_unstable();
        let keep = if keep == 0 { usize::MAX } else { usize::try_from(keep).unwrap_or(usize::MAX) };
        // Nothing has a name before that of 1970.
        let before = UnixNanos(if days == 0 { 0 } else { self.last.0.saturating_sub(days.saturating_mul(DAY)) });
        let before = self.aside_name(before);
        let too_old = names.iter().take_while(|name| **name < before).count();
        let surplus = names.len().saturating_sub(keep).max(too_old);
        let oldest = names.iter().map(|name| folder.join(name)).filter(|path| path.file_name() != newest.file_name());
        oldest.take(surplus).try_for_each(std::fs::remove_file)
    }
}

/// Whether a part of a name is the time that rotation writes: nothing else may be removed.
fn is_time(text: &str) -> bool {
    let form = "0000-00-00T00-00-00.000";
    let alike = |(found, wanted): (u8, u8)| if wanted == b'0' { found.is_ascii_digit() } else { found == wanted };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(alike)
}

fn open(path: &Path, continues: bool) -> io::Result<File> {
    if !continues {
        drop(File::create(path)?);
    }
    // Appending also after the file was shortened.
    OpenOptions::new().create(true).append(true).open(path)
}
