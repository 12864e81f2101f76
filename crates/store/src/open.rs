//! Opening: manifest → blocks → what of the journal is not in blocks yet, to the tail.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use rootspan_journal::directory::{Directory, Entry, checksum, create_folder_durably, join};
use rootspan_journal::journal::{self, Codec, Journal, JournalError, Sequence};
use rootspan_wire::otlp::batch::TraceBatch;

use crate::block::entry::{BlockEntry, DAMAGED, ENDING, FOLDER, UNFINISHED};
use crate::block::{Block, set_aside};
use crate::coverage;
use crate::coverage::gather::{MARK, gather};
use crate::coverage::seen::Seen;
use crate::manifest::{Contents, Manifest};
use crate::shared::Shared;
use crate::store::{OpenError, OpenReport, Options};
use crate::tail::Placement;

const JOURNAL_FOLDER: &str = "journal";
/// Small segments, because only whole ones are removed and the newest stays: a sealed tail takes some 5 MB.
const JOURNAL_SEGMENT_BYTES: u64 = 4 << 20;

/// An opened store, before its threads run.
pub(crate) struct Opened {
    pub(crate) shared: Shared,
    pub(crate) journal: Journal,
    pub(crate) manifest: Manifest,
    pub(crate) next_id: u64,
    pub(crate) applied_through: Sequence,
    /// The records that were counted.
    pub(crate) seen: Seen,
    pub(crate) report: OpenReport,
}

/// Opens or creates a store in `directory`, whose lock is held.
pub(crate) fn open(directory: Arc<dyn Directory>, options: Options) -> Result<Opened, OpenError> {
    let mut report = OpenReport::default();
    create_folder_durably(directory.as_ref(), FOLDER).map_err(folder_error("created"))?;
    let (manifest, mut contents, recovery) = Manifest::open(Arc::clone(&directory))?;
    let is_damaged = !recovery.damaged.is_empty();
    report.repairs.extend(recovery.damaged);
    let files = BlockFiles::list(directory.as_ref())?;
    let mut manifest = manifest;
    // A manifest with a hole may miss blocks, too; taking those for leftovers would delete them.
    let is_lost = !files.blocks.is_empty() && (manifest.is_empty() || is_damaged);
    if is_lost {
        contents = adopt(directory.as_ref(), &files, contents.applied_through, &mut report);
    }
    let counts = coverage::open::reconcile(directory.as_ref(), &mut contents.coverage, is_lost, &mut report)
        .map_err(folder_error("used"))?;
    if is_lost {
        manifest.rewrite(&contents)?;
    } else if manifest.is_empty() {
        // So that from now on an empty manifest is a lost one.
        manifest.rewrite(&contents)?;
    }
    let shared = Shared::new(Arc::clone(&directory), options);
    let (lost, mut aside) = clean(directory.as_ref(), &files, &mut contents, is_lost, &mut report)?;
    aside.extend(&files.damaged);
    if !lost.is_empty() || !counts.gone.is_empty() {
        manifest.remove(lost.into_iter().chain(counts.gone).collect())?;
    }
    shared.counters.damaged_blocks.store(aside.len() as u64, std::sync::atomic::Ordering::Relaxed);
    aside.into_iter().for_each(|hour| shared.add_set_aside(hour));
    let next_id = contents.next_id.max(files.next_id).max(counts.next_id);
    let applied_through = contents.applied_through;
    let blocks = contents.blocks.into_values().map(|entry| Block::new(Arc::clone(&directory), entry)).collect();
    shared.replace_tail(None, blocks, contents.coverage.into_values().collect());

    let (journal, seen) = replay(&shared, directory, applied_through, &mut report)?;
    shared.counters.journal_bytes.store(journal.bytes_on_disk(), std::sync::atomic::Ordering::Relaxed);
    shared.counters.manifest_bytes.store(manifest.bytes_on_disk(), std::sync::atomic::Ordering::Relaxed);
    Ok(Opened { shared, journal, manifest, next_id, applied_through, seen, report })
}

/// Puts what the journal holds and no block does into the tail.
fn replay(
    shared: &Shared,
    directory: Arc<dyn Directory>,
    applied_through: Sequence,
    report: &mut OpenReport,
) -> Result<(Journal, Seen), OpenError> {
    let options =
        journal::Options { segment_bytes: JOURNAL_SEGMENT_BYTES, codec: Codec::Zstd, ..journal::Options::default() };
    let received = shared.now();
    let placement = Placement::new(received, shared.options.retention);
    let tail = shared.active_tail();
    let mut replayed = 0;
    let mut seen = Seen::default();
    let mut insert = |sequence: Sequence, payload: bytes::Bytes| {
        let invalid = |reason: String| JournalError::Replay { sequence: sequence.0, reason };
        if payload.first() == Some(&MARK) {
            gather(shared, &tail, &mut seen, &payload, placement).map_err(|error| invalid(error.to_string()))?;
            tail.gathered_through(sequence, received);
            return Ok(());
        }
        let batch = TraceBatch::from_trusted(payload).map_err(|error| invalid(error.to_string()))?;
        if batch.is_empty() {
            return Ok(());
        }
        replayed += batch.span_count() as u64;
        tail.insert(batch, sequence, received, placement);
        Ok(())
    };
    let (journal, recovery) = Journal::open(directory, JOURNAL_FOLDER, options, applied_through, &mut insert)?;
    report.replayed_spans = replayed;
    report.repairs.extend(recovery.damaged);
    Ok((journal, seen))
}

/// What lies in the blocks' folder.
struct BlockFiles {
    /// Length by name, sidecars apart.
    blocks: BTreeMap<String, u64>,
    sidecars: BTreeMap<String, u64>,
    unfinished: Vec<String>,
    /// The hour of each that was set aside, if its name says it.
    damaged: Vec<Option<u64>>,
    /// Above every id that a name mentions.
    next_id: u64,
}

impl BlockFiles {
    fn list(directory: &dyn Directory) -> Result<Self, OpenError> {
        let mut files = Self {
            blocks: BTreeMap::new(),
            sidecars: BTreeMap::new(),
            unfinished: Vec::new(),
            damaged: Vec::new(),
            next_id: 0,
        };
        for Entry { name, length, is_folder } in directory.list(FOLDER).map_err(folder_error("read"))? {
            if is_folder {
                continue;
            }
            if let Some(id) = id_of(&name) {
                files.next_id = files.next_id.max(id + 1);
            }
            if name.contains(UNFINISHED) {
                files.unfinished.push(name);
            } else if name.ends_with(DAMAGED) {
                files.damaged.push(hour_of(&name));
            } else if let Some(block) = name.strip_suffix(checksum::SIDECAR_ENDING) {
                files.sidecars.insert(block.to_owned(), length);
            } else if name.ends_with(ENDING) {
                files.blocks.insert(name, length);
            }
        }
        Ok(files)
    }
}

/// The id in a name `HOUR-ID.parquet…`.
fn id_of(name: &str) -> Option<u64> {
    let (_, behind) = name.split_once('-')?;
    behind.split('.').next()?.parse().ok()
}

/// The hour in such a name.
fn hour_of(name: &str) -> Option<u64> {
    name.split_once('-')?.0.parse().ok()
}

/// The manifest is lost or damaged: believes the footers of the blocks.
fn adopt(
    directory: &dyn Directory,
    files: &BlockFiles,
    applied_through: Sequence,
    report: &mut OpenReport,
) -> Contents {
    let mut contents = Contents::default();
    let mut seals: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    for (name, length) in &files.blocks {
        let path = join(FOLDER, name);
        match Block::read_entry(directory, &path) {
            Ok(entry) if entry.path() == path => {
                let found = seals.entry(entry.seal.applied_through).or_insert((0, entry.seal.blocks));
                found.0 += 1;
                let bytes = length + files.sidecars.get(name).copied().unwrap_or(0);
                contents.next_id = contents.next_id.max(entry.id + 1);
                contents.blocks.insert(entry.id, BlockEntry { bytes, ..entry });
            }
            // `clean` sets aside what is not in the contents and cannot be read.
            Ok(_) | Err(_) => {}
        }
    }
    // A seal some of whose blocks are missing (it was cut short, or retention took them) may have frames in the
    // journal that are in no block: replaying them again is safe, skipping them is not.
    let complete = seals.iter().filter(|(_, (found, expected))| found >= expected);
    let through = complete.map(|(through, _)| Sequence(*through)).max().unwrap_or_default();
    contents.applied_through = through.max(applied_through);
    report.repairs.push(format!(
        "the manifest is lost or damaged; it was rebuilt from the footers of {} blocks",
        contents.blocks.len()
    ));
    contents
}

/// Removes leftovers of interrupted seals and removals, and sets aside blocks whose files are not what the manifest
/// says. Returns the ids of blocks that are gone, and the hours of those that are damaged or missing.
fn clean(
    directory: &dyn Directory,
    files: &BlockFiles,
    contents: &mut Contents,
    is_lost: bool,
    report: &mut OpenReport,
) -> Result<(BTreeSet<u64>, Vec<Option<u64>>), OpenError> {
    let mut aside = Vec::new();
    let known: BTreeMap<String, u64> = contents.blocks.values().map(|entry| (entry.path(), entry.id)).collect();
    for name in &files.unfinished {
        remove(directory, &join(FOLDER, name))?;
    }
    for name in files.blocks.keys() {
        let path = join(FOLDER, name);
        if known.contains_key(&path) {
            continue;
        }
        if is_lost {
            set_aside(directory, &path).map_err(folder_error("written"))?;
            report.repairs.push(format!("block {path} cannot be read; it was set aside as {path}{DAMAGED}"));
            aside.push(hour_of(name));
        } else {
            // Its seal was cut short, and the journal has its spans, or it has expired.
            checksum::remove(directory, &path).map_err(folder_error("written"))?;
        }
    }
    for name in files.sidecars.keys().filter(|name| !files.blocks.contains_key(*name)) {
        remove(directory, &checksum::sidecar(&join(FOLDER, name)))?;
    }
    let mut lost = BTreeSet::new();
    for (path, id) in known {
        let name = path.rsplit('/').next().unwrap_or_default();
        let found = files.blocks.get(name).map(|length| length + files.sidecars.get(name).copied().unwrap_or(0));
        let expected = contents.blocks.get(&id).map(|entry| entry.bytes);
        if found == expected {
            continue;
        }
        match found {
            None => report.repairs.push(format!("block {path} is missing; its spans are lost")),
            Some(_) => {
                set_aside(directory, &path).map_err(folder_error("written"))?;
                let reason = if files.sidecars.contains_key(name) {
                    "has the wrong length".to_owned()
                } else {
                    format!("cannot be checked: its checksums ({}) are missing", checksum::sidecar(&path))
                };
                report.repairs.push(format!("block {path} {reason}; it was set aside as {path}{DAMAGED}"));
            }
        }
        aside.push(hour_of(name));
        contents.blocks.remove(&id);
        lost.insert(id);
    }
    Ok((lost, aside))
}

fn remove(directory: &dyn Directory, path: &str) -> Result<(), OpenError> {
    match directory.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(folder_error("written")(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn folder_error(operation: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Folder { path: FOLDER.to_owned(), operation, source }
}
