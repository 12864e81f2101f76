use std::sync::Arc;

use proptest::prelude::*;
use rootspan_journal::directory::Directory;
use rootspan_journal::directory::faulty::{Faults, FaultyDirectory};
use rootspan_journal::directory::memory::{MemoryDirectory, Survival};
use rootspan_journal::journal::Sequence;

use super::{Contents, Manifest};
use crate::block::entry::{BlockEntry, FORMAT, Seal, Section};

fn entry(id: u64) -> BlockEntry {
    BlockEntry {
        format: FORMAT,
        id,
        hour: 490_896,
        spans: 9,
        traces: 1,
        min_start: 1,
        max_start: u64::MAX,
        bytes: 10,
        index: Section { offset: 1, length: 2 },
        trace_filter: Section::default(),
        value_filter: Section::default(),
        seal: Seal { applied_through: id, blocks: 1 },
        operations_section: Section::default(),
        operations: vec![("a".to_owned(), vec!["x".to_owned()])],
    }
}

fn read(directory: &Arc<dyn Directory>) -> Contents {
    Manifest::open(Arc::clone(directory)).expect("the manifest opens").1
}

#[test]
fn changes_are_read_back() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (mut manifest, contents, _) = Manifest::open(Arc::clone(&directory)).expect("the manifest opens");
    assert!(manifest.is_empty());
    assert_eq!(contents, Contents::default());
    manifest.seal(vec![entry(0), entry(1)], Vec::new(), Sequence(5)).expect("it is written");
    manifest.remove(vec![0]).expect("it is written");
    drop(manifest);
    let contents = read(&directory);
    assert_eq!(contents.blocks.values().cloned().collect::<Vec<_>>(), [entry(1)]);
    assert_eq!((contents.applied_through, contents.next_id), (Sequence(5), 2));
}

#[test]
fn a_rewritten_log_says_the_same_in_fewer_bytes() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (mut manifest, _, _) = Manifest::open(Arc::clone(&directory)).expect("the manifest opens");
    for id in 0..700 {
        manifest.seal(vec![entry(id)], Vec::new(), Sequence(id)).expect("it is written");
        if id >= 2 {
            manifest.remove(vec![id - 2]).expect("it is written");
        }
    }
    assert!(manifest.is_long(2));
    let contents = read_of(&manifest, &directory);
    manifest.rewrite(&contents).expect("it is rewritten");
    assert!(!manifest.is_long(2));
    drop(manifest);
    assert_eq!(read(&directory), contents);
    assert_eq!(contents.blocks.len(), 2);
    assert_eq!(contents.next_id, 700);
}

/// What the log says now, read by another eye.
fn read_of(_: &Manifest, directory: &Arc<dyn Directory>) -> Contents {
    read(directory)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whenever the power fails, the log says what was made durable, perhaps with the change that was under way.
    #[test]
    fn rewriting_can_be_interrupted(at in 0_u64..40, seed in any::<u64>()) {
        let faults = Faults { seed, power_fails_at: Some(at), ..Faults::default() };
        let faulty = FaultyDirectory::new(MemoryDirectory::new(), faults);
        let directory: Arc<dyn Directory> = Arc::new(faulty.clone());
        let mut durable = Contents::default();
        let mut next = Contents::default();
        if let Ok((mut manifest, _, _)) = Manifest::open(directory) {
            for id in 0..6 {
                next.blocks.insert(id, entry(id));
                next.applied_through = Sequence(id);
                next.next_id = id + 1;
                if manifest.seal(vec![entry(id)], Vec::new(), Sequence(id)).is_err() {
                    break;
                }
                durable = next.clone();
                if manifest.rewrite(&durable).is_err() {
                    break;
                }
            }
        }
        let disk: Arc<dyn Directory> = Arc::new(faulty.power_off(Survival::Random(seed)));
        let found = read(&disk);
        prop_assert!(found == durable || found == next, "{found:?}");
    }
}
