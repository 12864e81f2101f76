//! Opening for an owner who knows what older segments hold: they are not read, and damage costs the damaged frame only.

use std::sync::Arc;

use bytes::Bytes;

use crate::directory::Directory;
use crate::directory::memory::{MemoryDirectory, Survival};
use crate::journal::tests::damage::journal;
use crate::journal::tests::{Frames, append_and_sync, frames, options, payload};
use crate::journal::{Codec, Extent, Journal, JournalError, Next, Recovery, Sequence};

fn open(disk: &MemoryDirectory, extent: Extent) -> (Journal, Vec<(u64, u64)>, Recovery) {
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let mut visited = Vec::new();
    let mut visit = |segment: Sequence, sequence: Sequence, found: Bytes| {
        assert_eq!(found, payload(sequence.0), "nothing wrong is handed out");
        visited.push((segment.0, sequence.0));
        Ok(())
    };
    let opened = Journal::open_passing_over(directory, "log", options(Codec::Raw), extent, &mut visit);
    let (journal, recovery) = opened.expect("damage is not fatal");
    (journal, visited, recovery)
}

/// Everything that the reader hands out, and how often it met damage.
fn read(journal: &Journal) -> (Frames, usize) {
    let mut reader = journal.read_from(Sequence(0)).expect("there is memory");
    let (mut found, mut damaged) = (Frames::new(), 0);
    loop {
        match reader.next_frame() {
            Ok(Some((sequence, payload))) => found.push((sequence.0, payload.to_vec())),
            Ok(None) => return (found, damaged),
            Err(JournalError::Damaged { .. }) => damaged += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn only_the_newest_segment_is_read_at_start_and_all_can_be_read_later() {
    let (disk, _) = journal(Codec::Raw);
    let (mut journal, visited, recovery) = open(&disk, Extent::Newest);
    assert_eq!(visited, [(7, 7), (7, 8), (7, 9)]);
    assert_eq!(recovery, Recovery { frames: 3, ..Recovery::default() });
    assert_eq!(journal.segments(), [1, 4, 7].map(Sequence));
    assert_eq!(read(&journal), (frames(1..=9), 0));
    append_and_sync(&mut journal, 10..=11);
    assert_eq!(read(&journal), (frames(1..=11), 0));
    journal.remove_through(Sequence(5)).expect("the disk works");
    assert_eq!(journal.segments(), [4, 7, 10].map(Sequence));
    journal.remove_through(Sequence(6)).expect("the disk works");
    assert_eq!(read(&journal), (frames(7..=11), 0));
    drop(journal);
    // A segment that has only a header is no reason to read nothing.
    let (_, visited, _) = open(&disk, Extent::Newest);
    assert_eq!(visited, [(10, 10), (10, 11)]);
    let disk = disk.after_power_loss(Survival::Everything);
    let newest = disk.list("log").expect("it is there").pop().expect("there are segments");
    disk.truncate(&format!("log/{}", newest.name), 36).expect("it is longer");
    let (_, visited, _) = open(&disk, Extent::Newest);
    assert_eq!(visited, [(7, 7), (7, 8), (7, 9)]);
}

#[test]
fn a_flipped_bit_costs_its_frame_only() {
    let (memory, segments) = journal(Codec::Raw);
    for (index, (path, length, sound)) in segments.iter().enumerate() {
        for bit in 0..length * 8 {
            let disk = memory.after_power_loss(Survival::Everything);
            disk.flip_bit(path, bit).expect("the file is that long");
            let (all, visited, recovery) = open(&disk, Extent::All);
            let lost: Vec<u64> = (1..=9).filter(|number| visited.iter().all(|(_, seen)| seen != number)).collect();
            assert!(lost.len() <= 1 || index == 2, "bit {bit} of {path}: {lost:?}");
            assert!(
                lost.iter().all(|lost| sound.iter().any(|frame| frame.0 == *lost)),
                "bit {bit} of {path}: {lost:?}"
            );
            // In the last group of the newest segment nothing tells rot from a torn write; there the header is told from
            // a torn one by the frames that were synced behind it.
            assert!(lost.len() <= 1 || lost == [9] || bit < 36 * 8, "bit {bit} of {path}: {lost:?}");
            assert!(index == 2 || recovery.damaged.len() == 1, "bit {bit} of {path}: {recovery:?}");
            drop(all);
            // The same when nobody has looked before reading. A second opening must not make it worse.
            let (journal, ..) = open(&disk, Extent::Newest);
            let (found, damaged) = read(&journal);
            let found: Vec<u64> = found.iter().map(|frame| frame.0).collect();
            let expected: Vec<u64> = visited.iter().map(|(_, number)| *number).collect();
            assert_eq!(found, expected, "bit {bit} of {path}");
            assert!(damaged <= 1);
        }
    }
}

#[test]
fn what_is_too_long_for_now_is_next_again() {
    let (disk, _) = journal(Codec::Raw);
    let (journal, ..) = open(&disk, Extent::Newest);
    let mut reader = journal.read_from(Sequence(3)).expect("there is memory");
    let length = payload(3).len();
    assert_eq!(
        reader.next_within(length - 1).expect("the disk works"),
        Next::TooLong { sequence: Sequence(3), length }
    );
    assert_eq!(reader.next_within(length).expect("the disk works"), Next::Frame(Sequence(3), payload(3).into()));
    reader.pass_over_segment();
    assert_eq!(reader.next_frame().expect("the disk works"), Some((Sequence(7), payload(7).into())));
}

#[test]
fn what_was_flushed_outlives_the_process_but_not_the_power() {
    let disk = MemoryDirectory::new();
    let (mut journal, ..) = open(&disk, Extent::Newest);
    append_and_sync(&mut journal, 1..=1);
    assert!(!journal.begins_segment());
    journal.append_parts(&[&payload(2)[..3], &payload(2)[3..]]).expect("there is space");
    journal.flush().expect("there is space");
    assert_eq!(read(&journal), (frames(1..=1), 0), "it is not durable");
    let (_, visited, _) = open(&disk.after_power_loss(Survival::Nothing), Extent::All);
    assert_eq!(visited, [(1, 1)]);
    let (mut journal, visited, _) = open(&disk, Extent::All);
    assert_eq!(visited, [(1, 1), (1, 2)]);
    assert!(journal.begins_segment());
    append_and_sync(&mut journal, 3..=3);
    assert!(!journal.begins_segment());
    journal.close_segment();
    assert!(journal.begins_segment());
    append_and_sync(&mut journal, 4..=4);
    assert_eq!(journal.segments(), [1, 3, 4].map(Sequence));
}

#[test]
fn looking_changes_nothing() {
    let (disk, segments) = journal(Codec::Raw);
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (mut own, ..) = open(&disk, Extent::Newest);
    append_and_sync(&mut own, 10..=10);
    disk.flip_bit(&segments[1].0, 8 * 100).expect("the file is that long");
    let before = disk.list("log").expect("it is there");
    let mut found = Vec::new();
    let mut visit = |_: Sequence, sequence: Sequence, _: Bytes| {
        found.push(sequence.0);
        Ok(())
    };
    let damaged = Journal::look_at(directory.as_ref(), "log", &mut visit).expect("it can be read");
    assert_eq!((found.len(), damaged.len()), (9, 1), "{found:?} {damaged:?}");
    assert_eq!(disk.list("log").expect("it is there"), before);
}

#[test]
fn segments_between_others_can_go() {
    let (disk, _) = journal(Codec::Raw);
    let (mut own, ..) = open(&disk, Extent::Newest);
    own.remove_segments(&[4, 7].map(Sequence)).expect("the disk works");
    assert_eq!(own.segments(), [1, 7].map(Sequence), "the newest stays");
    assert_eq!(read(&own), ([frames(1..=3), frames(7..=9)].concat(), 0));
    append_and_sync(&mut own, 10..=10);
    own.remove_segments(&[7].map(Sequence)).expect("the disk works");
    let left = [frames(1..=3), frames(10..=10)].concat();
    assert_eq!(read(&own), (left.clone(), 0));
    let survived = disk.after_power_loss(Survival::Nothing);
    for extent in [Extent::Newest, Extent::All] {
        let (own, _, recovery) = open(&survived, extent);
        assert_eq!(recovery.damaged, Vec::<String>::new());
        assert_eq!(read(&own), (left.clone(), 0), "{extent:?}");
    }
}
