//! The journal against a model.

use std::sync::Arc;

use bytes::Bytes;

use crate::directory::Directory;
use crate::directory::files::FilesDirectory;
use crate::directory::memory::{MemoryDirectory, Survival};
use crate::journal::{Codec, Journal, JournalError, Options, Recovery, Sequence};

pub(super) type Frames = Vec<(u64, Vec<u8>)>;

pub(super) fn options(codec: Codec) -> Options {
    Options { segment_bytes: 400, codec, ..Options::default() }
}

/// Opens the journal in `log` and returns it with what it replayed.
pub(super) fn open(
    directory: &Arc<dyn Directory>,
    options: Options,
    after: u64,
) -> Result<(Journal, Frames, Recovery), JournalError> {
    let mut frames = Vec::new();
    let mut take = |sequence: Sequence, payload: Bytes| {
        frames.push((sequence.0, payload.to_vec()));
        Ok(())
    };
    let (journal, recovery) = Journal::open(Arc::clone(directory), "log", options, Sequence(after), &mut take)?;
    Ok((journal, frames, recovery))
}

fn payload(number: u64) -> Vec<u8> {
    format!("frame number {number} ").repeat(number as usize % 7 + 1).into_bytes()
}

fn append_and_sync(journal: &mut Journal, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let sequence = journal.append(&payload(number)).expect("there is space");
        assert_eq!(sequence, Sequence(number));
    }
    journal.sync().expect("there is space");
}

fn frames(numbers: std::ops::RangeInclusive<u64>) -> Frames {
    numbers.map(|number| (number, payload(number))).collect()
}

#[test]
fn synced_frames_are_replayed_from_memory_and_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files: Arc<dyn Directory> = Arc::new(FilesDirectory::open(folder.path()).expect("the folder is ours"));
    let memory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    for directory in [files, memory] {
        for (codec, start) in [(Codec::Raw, 0), (Codec::Zstd, 40)] {
            let (mut journal, found, _) = open(&directory, options(codec), 0).expect("it opens");
            assert_eq!(found, frames(1..=start));
            append_and_sync(&mut journal, start + 1..=start + 10);
            append_and_sync(&mut journal, start + 11..=start + 40);
            assert_eq!(journal.last_sequence(), Sequence(start + 40));
        }
        let (_, found, recovery) = open(&directory, options(Codec::Raw), 25).expect("it opens");
        assert_eq!(found, frames(26..=80));
        assert_eq!(recovery, Recovery { frames: 80, ..Recovery::default() });
    }
}

#[test]
fn power_loss_keeps_what_was_synced() {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    let (mut journal, ..) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    append_and_sync(&mut journal, 1..=20);
    journal.append(&payload(21)).expect("there is space");
    let disk: Arc<dyn Directory> = Arc::new(memory.after_power_loss(Survival::Nothing));
    let (_, found, recovery) = open(&disk, options(Codec::Raw), 0).expect("it opens");
    assert_eq!(found, frames(1..=20));
    assert_eq!(recovery, Recovery { frames: 20, ..Recovery::default() });
}
