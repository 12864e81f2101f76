//! The files of coverage when the store is opened.

use std::collections::BTreeMap;
use std::io;

use rootspan_journal::directory::{Directory, Entry, checksum, create_folder_durably, join};

use super::entry::{CoverageEntry, ENDING, FOLDER};
use super::file;
use crate::block::entry::{DAMAGED, UNFINISHED};
use crate::store::OpenReport;

/// What was found.
pub(crate) struct Reconciled {
    /// The manifest's files that are not there.
    pub(crate) gone: Vec<u64>,
    /// Above every id that a name mentions.
    pub(crate) next_id: u64,
}

/// Makes `entries`, the manifest's, and the files agree: leftovers are removed, and what is missing or has another length is
/// reported and left out. If the manifest is lost, the files themselves say what they are.
pub(crate) fn reconcile(
    directory: &dyn Directory,
    entries: &mut BTreeMap<u64, CoverageEntry>,
    is_lost: bool,
    report: &mut OpenReport,
) -> io::Result<Reconciled> {
    create_folder_durably(directory, FOLDER)?;
    let mut lengths: BTreeMap<String, u64> = BTreeMap::new();
    let mut next_id = 0;
    for Entry { name, length, is_folder } in directory.list(FOLDER)? {
        next_id = next_id.max(id_of(&name).map_or(0, |id| id + 1));
        if is_folder || name.ends_with(DAMAGED) {
            continue;
        }
        if name.contains(UNFINISHED) {
            remove(directory, &join(FOLDER, &name))?;
        } else {
            lengths.insert(name, length);
        }
    }
    let files: Vec<String> = lengths.keys().filter(|name| name.ends_with(ENDING)).cloned().collect();
    for name in files {
        let path = join(FOLDER, &name);
        let length_of = |name: &str| lengths.get(name).copied().unwrap_or(0);
        let bytes = length_of(&name) + length_of(&checksum::sidecar(&name));
        if entries.values().any(|entry| entry.path() == path) {
            continue;
        }
        if !is_lost {
            // Its seal was cut short, and the journal has what it counts, or it has expired.
            checksum::remove(directory, &path)?;
            continue;
        }
        match adopted(directory, &name, bytes) {
            Some(entry) => drop(entries.insert(entry.id, entry)),
            None => {
                directory.rename(&path, &format!("{path}{DAMAGED}"))?;
                report.repairs.push(format!("coverage {path} cannot be read; it was set aside as {path}{DAMAGED}"));
            }
        }
    }
    for name in lengths.keys() {
        let is_left_over = |file: &str| !lengths.contains_key(file);
        if name.strip_suffix(checksum::SIDECAR_ENDING).is_some_and(is_left_over) {
            remove(directory, &join(FOLDER, name))?;
        }
    }
    let mut gone = Vec::new();
    for entry in entries.values() {
        let name = entry.path();
        let name = name.rsplit('/').next().unwrap_or_default();
        let found =
            lengths.get(name).map(|length| length + lengths.get(&checksum::sidecar(name)).copied().unwrap_or(0));
        if found != Some(entry.bytes) {
            report
                .repairs
                .push(format!("coverage {} is missing or has the wrong length; what it counts is lost", entry.path()));
            gone.push(entry.id);
        }
    }
    for id in &gone {
        entries.remove(id);
    }
    Ok(Reconciled { gone, next_id })
}

/// The id in a name `HOUR-ID.coverage…`.
fn id_of(name: &str) -> Option<u64> {
    let (_, behind) = name.split_once('-')?;
    behind.split('.').next()?.parse().ok()
}

fn adopted(directory: &dyn Directory, name: &str, bytes: u64) -> Option<CoverageEntry> {
    let (hour, id) = name.strip_suffix(ENDING)?.split_once('-')?;
    let content = file::read(directory, &join(FOLDER, name)).ok()?;
    let (min_minute, max_minute) = content.minutes().unwrap_or_default();
    let entry = CoverageEntry { id: id.parse().ok()?, hour: hour.parse().ok()?, min_minute, max_minute, bytes };
    (entry.path() == join(FOLDER, name)).then_some(entry)
}

fn remove(directory: &dyn Directory, path: &str) -> io::Result<()> {
    match directory.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
