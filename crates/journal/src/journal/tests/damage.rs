//! Every truncation and every flipped bit of a small journal: nothing wrong is handed out, nothing sound before it or in
//! other segments is lost, every loss is reported once, and the journal works on.

use std::sync::Arc;

use crate::directory::Directory;
use crate::directory::memory::{MemoryDirectory, Survival};
use crate::journal::format::SEGMENT_HEADER_BYTES;
use crate::journal::tests::{Frames, append_and_sync, frames, open, options};
use crate::journal::{Codec, Recovery};

const FRAMES: u64 = 9;

/// A journal of three segments, their names, and the frames in each.
pub(super) fn journal(codec: Codec) -> (MemoryDirectory, Vec<(String, u64, Frames)>) {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    for first in [1, 4, 7] {
        // Each start begins a segment.
        let (mut journal, ..) = open(&directory, options(codec), 0).expect("it opens");
        append_and_sync(&mut journal, first..=first + 1);
        append_and_sync(&mut journal, first + 2..=first + 2);
    }
    let entries = memory.list("log").expect("it is there");
    let segments = [1..=3, 4..=6, 7..=FRAMES];
    assert_eq!(entries.len(), segments.len());
    let segments = entries.into_iter().zip(segments);
    (memory, segments.map(|(entry, numbers)| (format!("log/{}", entry.name), entry.length, frames(numbers))).collect())
}

/// Opens a damaged journal, checks what it hands out, and that it works on without another report.
fn check(
    disk: &MemoryDirectory,
    codec: Codec,
    segments: &[(String, u64, Frames)],
    damaged: usize,
    what: &str,
) -> Recovery {
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (journal, found, recovery) = open(&directory, options(codec), 0).expect("damage is not fatal");
    for (index, (_, _, sound)) in segments.iter().enumerate() {
        let kept: Frames = found.iter().filter(|frame| sound.iter().any(|sound| sound.0 == frame.0)).cloned().collect();
        assert!(sound.starts_with(&kept), "{what}: segment {index} keeps what is before the damage, unchanged");
        assert!(index == damaged || kept == *sound, "{what}: segment {index} is not touched");
        let is_reported = !recovery.damaged.is_empty() || recovery.torn_bytes > 0;
        assert!(kept == *sound || is_reported, "{what}: a loss is reported");
    }
    assert!(found.len() as u64 <= FRAMES && found.is_sorted_by(|left, right| left.0 < right.0), "{what}: in order");
    assert_eq!(recovery.frames, found.len() as u64);
    drop(journal);

    let survived: Arc<dyn Directory> = Arc::new(disk.after_power_loss(Survival::Everything));
    let (mut journal, again, second) = open(&survived, options(codec), 0).expect("it was repaired");
    assert_eq!(again, found, "{what}: the same frames again");
    assert_eq!(second, Recovery { frames: recovery.frames, ..Recovery::default() }, "{what}: reported once");
    let sequence = journal.append(b"new").expect("there is space");
    journal.sync().expect("there is space");
    let (_, more, _) = open(&survived, options(codec), 0).expect("it opens");
    assert_eq!(more, [found, vec![(sequence.0, b"new".to_vec())]].concat(), "{what}: it works on");
    recovery
}

#[test]
fn every_flipped_bit_is_noticed() {
    for codec in [Codec::Raw, Codec::Zstd] {
        let (memory, segments) = journal(codec);
        for (index, (path, length, _)) in segments.iter().enumerate() {
            for bit in 0..length * 8 {
                let disk = memory.after_power_loss(Survival::Everything);
                disk.flip_bit(path, bit).expect("the file is that long");
                let recovery = check(&disk, codec, &segments, index, &format!("bit {bit} of {path}"));
                let is_newest = index + 1 == segments.len();
                // Only in the last group of the newest segment nothing tells rot from a torn write.
                assert!(is_newest || recovery.damaged.len() == 1, "bit {bit} of {path}: {recovery:?}");
            }
        }
    }
}

#[test]
fn rot_in_acknowledged_bytes_of_the_newest_segment_is_no_torn_tail() {
    let (memory, segments) = journal(Codec::Raw);
    let (path, ..) = &segments[2];
    for byte in [2, SEGMENT_HEADER_BYTES as u64 + 2, SEGMENT_HEADER_BYTES as u64 + 40] {
        let disk = memory.after_power_loss(Survival::Everything);
        disk.flip_bit(path, byte * 8).expect("the file is that long");
        let recovery = check(&disk, Codec::Raw, &segments, 2, &format!("byte {byte}"));
        assert_eq!(recovery.damaged.len(), 1, "byte {byte}: {recovery:?}");
        let aside = disk.list("log").expect("it is there").into_iter().filter(|entry| entry.name.ends_with(".damaged"));
        assert_eq!(aside.count(), 1);
    }
}

#[test]
fn every_truncation_is_survived() {
    for codec in [Codec::Raw, Codec::Zstd] {
        let (memory, segments) = journal(codec);
        for (index, (path, full, _)) in segments.iter().enumerate() {
            for length in 0..*full {
                let disk = memory.after_power_loss(Survival::Everything);
                disk.truncate(path, length).expect("it is there");
                let directory: Arc<dyn Directory> = Arc::new(disk.after_power_loss(Survival::Everything));
                let (_, found, recovery) = open(&directory, options(codec), 0).expect("damage is not fatal");
                for (other, (_, _, sound)) in segments.iter().enumerate() {
                    let kept: Frames =
                        found.iter().filter(|frame| sound.iter().any(|sound| sound.0 == frame.0)).cloned().collect();
                    assert!(sound.starts_with(&kept) && (other == index || kept == *sound), "{path} of {length} bytes");
                }
                let is_newest = index + 1 == segments.len();
                assert!(is_newest || recovery.damaged.len() == 1, "{path} of {length} bytes: {recovery:?}");
            }
        }
    }
}

#[test]
fn missing_segments_are_reported_unless_they_were_to_go() {
    let (memory, segments) = journal(Codec::Raw);
    memory.remove(&segments[1].0).expect("it is there");
    let directory: Arc<dyn Directory> = Arc::new(memory);
    let (_, found, recovery) = open(&directory, options(Codec::Raw), 0).expect("it opens");
    assert_eq!(found, [frames(1..=3), frames(7..=9)].concat());
    assert_eq!(recovery.damaged, vec![format!("segment {} is missing", segments[1].0)]);
    let (_, _, recovery) = open(&directory, options(Codec::Raw), 6).expect("it opens");
    assert_eq!(recovery.damaged, Vec::<String>::new());
}
