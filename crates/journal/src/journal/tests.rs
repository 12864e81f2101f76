//! The journal's promises one by one; [`model`] tries them in any order, [`damage`] with every bit wrong.

mod damage;
mod model;
mod passing_over;

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::directory::Directory;
use crate::directory::faulty::{Faults, FaultyDirectory};
use crate::directory::files::FilesDirectory;
use crate::directory::memory::{MemoryDirectory, Survival};
use crate::journal::{Codec, Journal, JournalError, Options, Recovery, Sequence, WRITE_BYTES};

type Frames = Vec<(u64, Vec<u8>)>;

fn options(codec: Codec) -> Options {
    Options { segment_bytes: 400, codec, ..Options::default() }
}

/// Opens the journal in `log` and returns it with what it replayed.
fn open(
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

#[test]
fn full_disk_refuses_and_recovers() {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    let (mut journal, ..) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    append_and_sync(&mut journal, 1..=3);
    let durable = journal.bytes_on_disk();
    memory.set_capacity(durable + 10);
    for _ in 0..3 {
        journal.append(&payload(4)).expect("it is not written yet");
        let refused = journal.sync().expect_err("the disk is full");
        assert_eq!(refused.io_kind(), Some(io::ErrorKind::StorageFull));
        assert_eq!(journal.bytes_on_disk(), durable);
        assert_eq!(memory.space().expect("it is asked in memory").free, 10, "a failed write leaves nothing behind");
    }
    memory.set_capacity(1 << 20);
    let sequence = journal.append(b"there is space again").expect("there is space");
    assert!(sequence > Sequence(3));
    journal.sync().expect("there is space");
    let disk: Arc<dyn Directory> = Arc::new(memory.after_power_loss(Survival::Nothing));
    let (_, found, recovery) = open(&disk, options(Codec::Raw), 0).expect("it opens");
    let mut expected = frames(1..=3);
    expected.push((sequence.0, b"there is space again".to_vec()));
    assert_eq!(found, expected);
    assert_eq!(recovery.damaged, Vec::<String>::new());
}

#[test]
fn failed_append_fails_the_whole_group_once() {
    let disk = MemoryDirectory::new();
    let faulty = FaultyDirectory::new(disk, Faults::default());
    let directory: Arc<dyn Directory> = Arc::new(faulty.clone());
    let (mut journal, ..) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    journal.append(b"lost with the next one").expect("it is not written yet");
    faulty.fail_next(1);
    let huge = vec![7; WRITE_BYTES];
    journal.append(&huge).expect_err("it is written at once");
    journal.append(b"taken, but of the same group").expect("it is not written yet");
    assert!(matches!(journal.sync(), Err(JournalError::Lost { kind: io::ErrorKind::Other, .. })));
    journal.append(&huge).expect("the disk is well again");
    journal.sync().expect("the disk is well again");
    let (_, found, recovery) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    assert_eq!(found, vec![(4, huge)]);
    assert_eq!(recovery, Recovery { frames: 1, ..Recovery::default() });
}

#[test]
fn what_a_failed_sync_left_behind_is_not_taken_for_damage() {
    let faulty = FaultyDirectory::new(MemoryDirectory::new(), Faults::default());
    let directory: Arc<dyn Directory> = Arc::new(faulty.clone());
    let (mut journal, ..) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    append_and_sync(&mut journal, 1..=2);
    journal.append(&payload(3)).expect("it is not written yet");
    // The write fails half-way, and so does shortening the file.
    faulty.fail_next(2);
    journal.sync().expect_err("the disk fails");
    append_and_sync(&mut journal, 4..=5);
    let (_, found, recovery) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    assert_eq!(found, [frames(1..=2), frames(4..=5)].concat());
    assert_eq!(recovery.damaged, Vec::<String>::new());
}

#[test]
fn removal_keeps_the_last_sequence() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (mut journal, ..) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    for number in 1..=20 {
        append_and_sync(&mut journal, number..=number);
    }
    let before = directory.list("log").expect("it is there").len();
    journal.remove_through(Sequence(10)).expect("files can be removed");
    let (_, found, recovery) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    assert!(directory.list("log").expect("it is there").len() < before);
    assert!(found.ends_with(&frames(11..=20)), "frames above the limit stay");
    assert!(found.len() < 20, "segments below the limit go");
    assert_eq!(recovery.damaged, Vec::<String>::new());
    journal.remove_through(Sequence(20)).expect("files can be removed");
    assert_eq!(directory.list("log").expect("it is there").len(), 1);
    let (mut journal, ..) = open(&directory, options(Codec::Raw), 20).expect("it opens");
    append_and_sync(&mut journal, 21..=21);
}

#[test]
fn sequences_stay_above_what_the_owner_has_seen() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (mut journal, ..) = open(&directory, options(Codec::Raw), 1000).expect("it opens");
    assert_eq!(journal.append(b"first").expect("there is space"), Sequence(1001));
}

#[test]
fn reader_follows_the_writer_and_skips_what_was_removed() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (mut journal, ..) = open(&directory, options(Codec::Zstd), 0).expect("it opens");
    let mut reader = journal.read_from(Sequence(3)).expect("it opens");
    let mut next =
        || reader.next_frame().expect("nothing is damaged").map(|(sequence, bytes)| (sequence.0, bytes.to_vec()));
    assert_eq!(next(), None);
    append_and_sync(&mut journal, 1..=4);
    assert_eq!(next(), Some((3, payload(3))));
    journal.append(&payload(5)).expect("there is space");
    assert_eq!(next(), Some((4, payload(4))));
    assert_eq!(next(), None, "frame 5 is not durable");
    journal.sync().expect("there is space");
    for number in 6..=40 {
        append_and_sync(&mut journal, number..=number);
    }
    assert_eq!(next(), Some((5, payload(5))));
    journal.remove_through(Sequence(20)).expect("files can be removed");
    let rest: Frames = std::iter::from_fn(next).collect();
    assert!(rest.ends_with(&frames(21..=40)));
    assert!(rest.is_sorted_by(|left, right| left.0 < right.0));
}

#[test]
fn reader_works_beside_the_writer() {
    const LAST: u64 = 400;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let directory: Arc<dyn Directory> = Arc::new(FilesDirectory::open(folder.path()).expect("the folder is ours"));
    let (mut journal, ..) = open(&directory, options(Codec::Zstd), 0).expect("it opens");
    let mut reader = journal.read_from(Sequence(1)).expect("it opens");
    let reading = std::thread::spawn(move || {
        let mut found = Frames::new();
        while found.last().is_none_or(|(last, _)| *last < LAST) {
            match reader.next_frame().expect("nothing is damaged") {
                Some((sequence, payload)) => found.push((sequence.0, payload.to_vec())),
                None => std::thread::yield_now(),
            }
        }
        found
    });
    for first in (1..LAST).step_by(4) {
        append_and_sync(&mut journal, first..=first + 3);
    }
    assert_eq!(reading.join().expect("the reader does not panic"), frames(1..=LAST));
}

#[test]
fn payloads_over_the_limit_are_refused_and_change_nothing() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let limited = Options { max_payload_bytes: 100, ..options(Codec::Zstd) };
    let (mut journal, ..) = open(&directory, limited.clone(), 0).expect("it opens");
    journal.append(&[1; 100]).expect("it is just short enough");
    assert!(matches!(journal.append(&[1; 101]), Err(JournalError::TooLong { length: 101, limit: 100 })));
    journal.append(b"").expect("an empty payload is one");
    journal.sync().expect("there is space");
    let smaller = Options { max_payload_bytes: 10, ..limited };
    let (_, found, _) = open(&directory, smaller, 0).expect("what was written under a higher limit is read");
    assert_eq!(found, vec![(1, vec![1; 100]), (2, Vec::new())]);
}

#[test]
fn replay_stops_where_the_owner_refuses() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (mut journal, ..) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    append_and_sync(&mut journal, 1..=5);
    let mut refuse = |sequence: Sequence, _: Bytes| match sequence {
        Sequence(3) => Err(JournalError::Replay { sequence: 3, reason: "no batch".to_owned() }),
        _ => Ok(()),
    };
    let refused = Journal::open(Arc::clone(&directory), "log", options(Codec::Raw), Sequence(0), &mut refuse);
    assert!(matches!(refused, Err(JournalError::Replay { sequence: 3, .. })));
    let (_, found, _) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    assert_eq!(found, frames(1..=5));
}

#[test]
fn a_reader_lets_go_of_what_was_removed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let directory: Arc<dyn Directory> = Arc::new(FilesDirectory::open(folder.path()).expect("it is there"));
    let (mut journal, ..) = open(&directory, options(Codec::Raw), 0).expect("a new one");
    append_and_sync(&mut journal, 1..=3);
    let mut reader = journal.read_from(Sequence(1)).expect("it is there");
    while reader.next_frame().expect("sound").is_some() {}
    // As the system sees it: a file that is removed and held open keeps its space.
    let held = || {
        let open = std::fs::read_dir("/proc/self/fd").expect("Linux").flatten();
        let names = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let of_this = |name: &std::path::PathBuf| {
            name.starts_with(folder.path()) && name.to_string_lossy().ends_with(" (deleted)")
        };
        names.filter(of_this).count()
    };
    journal.close_segment();
    append_and_sync(&mut journal, 4..=4);
    journal.remove_segments(&journal.segments()).expect("they can be removed");
    assert_eq!(held(), 1, "the reader does not know yet");
    reader.let_go_of_removed();
    assert_eq!(held(), 0);
    assert_eq!(reader.next_frame().expect("sound"), Some((Sequence(4), payload(4).into())));
}
