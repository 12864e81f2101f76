//! The segment log: whatever its files hold, what is handed out is what was written, in order, and it works on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;

use rootspan_journal::directory::Directory;
use rootspan_journal::directory::memory::{MemoryDirectory, Survival};
use rootspan_journal::journal::{Codec, Journal, Options, Recovery, Sequence};

use crate::Target;

pub(super) const JOURNAL: Target = Target {
    name: "journal",
    about: "segments of a journal: recovery gives a part of what was written, never anything else",
    // One segment at a time is changed; the first byte says which.
    corpus: || {
        let segments = SOUND.segments.iter().enumerate();
        segments.map(|(index, (_, bytes))| [&[index as u8], bytes.as_slice()].concat()).collect()
    },
    dictionary: &[b"RSJ1", b"RSJ1\x01\x00\x00\x00", b"\x00\x00\x00\x00\x00\x00\x00\x00", b"\x28\xb5\x2f\xfd"],
    usual_inputs: 9_000,
    body: |input| {
        let Some((index, bytes)) = input.split_first() else { return };
        let changed = usize::from(*index) % SOUND.segments.len();
        let disk = MemoryDirectory::new();
        disk.create_folder("log").expect("memory");
        for (position, (name, sound)) in SOUND.segments.iter().enumerate() {
            let mut file = disk.create(&format!("log/{name}")).expect("memory");
            file.append(if position == changed { bytes } else { sound }).expect("memory");
            file.sync().expect("memory");
        }
        disk.sync_folder("log").expect("memory");
        disk.sync_folder("").expect("memory");
        check(&disk, changed);
    },
};

/// A journal of several segments.
struct Sound {
    segments: Vec<(String, Vec<u8>)>,
    frames: BTreeMap<u64, Vec<u8>>,
    /// Sequences by segment.
    in_segment: Vec<Vec<u64>>,
}

static SOUND: LazyLock<Sound> = LazyLock::new(|| {
    let disk = MemoryDirectory::new();
    let mut frames = BTreeMap::new();
    let mut in_segment = Vec::new();
    for (life, codec) in [Codec::Raw, Codec::Zstd, Codec::Raw].into_iter().enumerate() {
        // Each start begins a segment.
        let (mut journal, ..) = open(&disk, codec);
        let mut sequences = Vec::new();
        for number in 0..4_usize {
            let payload = format!("frame {number} of life {life} ").repeat(number * 20 + 1).into_bytes();
            let sequence = journal.append(&payload).expect("memory").0;
            frames.insert(sequence, payload);
            sequences.push(sequence);
            if number % 2 == 1 {
                journal.sync().expect("memory");
            }
        }
        in_segment.push(sequences);
    }
    let files = disk.list("log").expect("it is there").into_iter().filter(|entry| entry.name.ends_with(".segment"));
    let segments = files.map(|entry| {
        let file = disk.open_read(&format!("log/{}", entry.name)).expect("it is there");
        let bytes = file.read(0, entry.length as usize).expect("it is that long").to_vec();
        (entry.name, bytes)
    });
    Sound { segments: segments.collect(), frames, in_segment }
});

fn open(disk: &MemoryDirectory, codec: Codec) -> (Journal, Vec<(u64, Vec<u8>)>, Recovery) {
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let options = Options { codec, ..Options::default() };
    let mut found = Vec::new();
    let mut keep = |sequence: Sequence, payload: bytes::Bytes| {
        found.push((sequence.0, payload.to_vec()));
        Ok(())
    };
    let opened = Journal::open(directory, "log", options, Sequence::default(), &mut keep);
    let (journal, recovery) = opened.unwrap_or_else(|error| panic!("damage is not fatal: {error}"));
    (journal, found, recovery)
}

fn check(disk: &MemoryDirectory, changed: usize) {
    let (mut journal, found, recovery) = open(disk, Codec::Raw);
    assert!(found.is_sorted_by(|left, right| left.0 < right.0), "in order, each once");
    for (sequence, payload) in &found {
        assert_eq!(SOUND.frames.get(sequence), Some(payload), "frame {sequence} is not what was written");
    }
    for (segment, sequences) in SOUND.in_segment.iter().enumerate().filter(|(segment, _)| *segment != changed) {
        let is_kept = sequences.iter().all(|sequence| found.iter().any(|(found, _)| found == sequence));
        assert!(is_kept, "segment {segment} was sound, and is lost: {recovery:?}");
    }
    if found.len() < SOUND.frames.len() {
        let is_said = !recovery.damaged.is_empty() || recovery.torn_bytes > 0 || changed + 1 == SOUND.segments.len();
        assert!(is_said, "a loss is reported");
    }
    let sequence = journal.append(b"new").expect("memory");
    journal.sync().expect("memory");
    drop(journal);
    let (_, again, _) = open(&disk.after_power_loss(Survival::Nothing), Codec::Raw);
    let expected: Vec<_> = found.into_iter().chain([(sequence.0, b"new".to_vec())]).collect();
    assert_eq!(again, expected, "it works on");
}
