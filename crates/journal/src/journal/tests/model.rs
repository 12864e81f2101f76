//! Random operations, failing disks and losses of power against a model.
//!
//! The model: frames whose sync returned `Ok`, or that were replayed once, are promised; every other frame that was ever
//! appended may come back, whole and unchanged, under its own sequence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use crate::directory::Directory;
use crate::directory::faulty::{Faults, FaultyDirectory};
use crate::directory::memory::{MemoryDirectory, Survival};
use crate::journal::tests::{Frames, open, options};
use crate::journal::{Codec, Journal, Reader, Sequence, lock};

#[derive(Clone, Debug)]
enum Step {
    Append {
        length: usize,
    },
    Sync,
    /// Removes through the promised frame at this part of all.
    Remove {
        percent: u64,
    },
    /// The next so many operations of the disk fail.
    Fail {
        operations: u64,
    },
    /// So many more bytes fit on the disk.
    Full {
        bytes: u64,
    },
    Space,
    /// The power fails now, or, if set, in the middle of recovery too.
    PowerLoss {
        seed: u64,
        again_at: Option<u64>,
    },
    /// The process is killed and started again.
    Kill,
    /// Nothing works any more after so many operations, until one of the two above.
    Stop {
        operations: u64,
    },
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..600_usize).prop_map(|length| Step::Append { length }),
        6 => Just(Step::Sync),
        1 => (0..=100_u64).prop_map(|percent| Step::Remove { percent }),
        2 => (1..5_u64).prop_map(|operations| Step::Fail { operations }),
        1 => (0..800_u64).prop_map(|bytes| Step::Full { bytes }),
        1 => Just(Step::Space),
        2 => (any::<u64>(), prop::option::of(0..6_u64)).prop_map(|(seed, again_at)| Step::PowerLoss { seed, again_at }),
        2 => Just(Step::Kill),
        1 => (0..6_u64).prop_map(|operations| Step::Stop { operations }),
        2 => Just(Step::Read),
    ]
}

/// The journal under test and what it owes us.
struct World {
    codec: Codec,
    disk: FaultyDirectory,
    journal: Journal,
    reader: Reader,
    /// The last frame that the reader handed out in this life.
    read: u64,
    appended: BTreeMap<u64, BTreeSet<Vec<u8>>>,
    promised: BTreeMap<u64, Vec<u8>>,
    group: Vec<(u64, Vec<u8>)>,
    removed: u64,
    count: u64,
}

impl World {
    fn new(codec: Codec) -> Self {
        let disk = FaultyDirectory::new(MemoryDirectory::new(), Faults::default());
        let (journal, ..) = open(&as_directory(&disk), options(codec), 0).expect("an empty disk works");
        let reader = journal.read_from(Sequence(0)).expect("there is memory");
        Self {
            codec,
            disk,
            journal,
            reader,
            read: 0,
            appended: BTreeMap::new(),
            promised: BTreeMap::new(),
            group: Vec::new(),
            removed: 0,
            count: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append { length } => self.append(length),
            Step::Sync => {
                let group = std::mem::take(&mut self.group);
                if self.journal.sync().is_ok() {
                    self.promised.extend(group);
                }
            }
            Step::Remove { percent } => {
                let index = self.promised.len() as u64 * percent / 100;
                if let Some(through) = self.promised.keys().nth(index as usize).copied() {
                    // A failing disk removes less; what is above stays in any case.
                    drop(self.journal.remove_through(Sequence(through)));
                    self.removed = self.removed.max(through);
                    self.promised.retain(|sequence, _| *sequence > through);
                }
            }
            Step::Fail { operations } => self.disk.fail_next(operations),
            Step::Full { bytes } => {
                let space = self.disk.disk().space().expect("the disk has power");
                self.disk.disk().set_capacity(space.total - space.free + bytes);
            }
            Step::Space => self.disk.disk().set_capacity(1 << 30),
            Step::PowerLoss { seed, again_at } => {
                let disk = self.disk.power_off(Survival::Random(seed));
                self.reopen(disk, seed, again_at);
            }
            Step::Kill => {
                let disk = self.disk.kill();
                self.reopen(disk, 0, None);
            }
            Step::Stop { operations } => self.disk.fail_power_after(operations),
            Step::Read if self.disk.has_power() => self.read(),
            Step::Read => {}
        }
    }

    fn append(&mut self, length: usize) {
        self.count += 1;
        let mut payload = format!("{}:", self.count).into_bytes();
        // Half of it compresses well.
        payload.extend((0..length).map(|index| if index % 2 == 0 { 7 } else { (index as u64 * self.count) as u8 }));
        let sequence = self.journal.append(&payload).expect("groups this small are only written by a sync");
        assert!(self.promised.last_key_value().is_none_or(|(last, _)| *last < sequence.0));
        assert!(sequence.0 > self.removed);
        self.appended.entry(sequence.0).or_default().insert(payload.clone());
        self.group.push((sequence.0, payload));
    }

    /// Opens the journal on what is left of the disk; the power may fail once more meanwhile.
    fn reopen(&mut self, mut disk: MemoryDirectory, seed: u64, power_fails_at: Option<u64>) {
        let mut faults = Faults { seed, power_fails_at, ..Faults::default() };
        let found = loop {
            disk.set_capacity(1 << 30);
            self.disk = FaultyDirectory::new(disk, std::mem::take(&mut faults));
            match open(&as_directory(&self.disk), options(self.codec), self.removed) {
                Ok((journal, found, recovery)) => {
                    assert_eq!(recovery.damaged, Vec::<String>::new(), "only bit rot is damage");
                    self.journal = journal;
                    break found;
                }
                Err(error) => assert!(!self.disk.has_power(), "only a loss of power is fatal: {error:?}"),
            }
            disk = self.disk.power_off(Survival::Random(seed.wrapping_add(1)));
        };
        self.disk.fail_power_after(u64::MAX);
        self.check(&found);
        self.group.clear();
        self.promised = found.into_iter().collect();
        self.reader = self.journal.read_from(Sequence(0)).expect("there is memory");
        self.read = 0;
    }

    fn check(&self, found: &Frames) {
        assert!(found.is_sorted_by(|left, right| left.0 < right.0), "strictly in order");
        for (sequence, payload) in found {
            assert!(
                self.appended.get(sequence).is_some_and(|known| known.contains(payload)),
                "frame {sequence} is ours"
            );
        }
        for (sequence, payload) in &self.promised {
            let index = found.binary_search_by_key(sequence, |frame| frame.0);
            let index = index.unwrap_or_else(|_| panic!("frame {sequence} was promised and is gone"));
            assert_eq!(found[index].1, *payload, "frame {sequence} is what was acknowledged");
        }
    }

    /// The reader gives every promised frame above what it gave before, and nothing that is not durable.
    fn read(&mut self) {
        let mut found = Frames::new();
        while let Some((sequence, payload)) = self.reader.next_frame().expect("the disk can be read") {
            found.push((sequence.0, payload.to_vec()));
        }
        found.retain(|frame| frame.0 > self.removed);
        let promised: Frames =
            self.promised.range(self.read + 1..).map(|(sequence, payload)| (*sequence, payload.clone())).collect();
        assert_eq!(found, promised);
        self.read = self.promised.last_key_value().map_or(self.read, |(last, _)| self.read.max(*last));
    }
}

fn as_directory(disk: &FaultyDirectory) -> Arc<dyn Directory> {
    Arc::new(disk.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost(steps in prop::collection::vec(step(), 1..80), is_packed: bool, seed: u64) {
        let mut world = World::new(if is_packed { Codec::Zstd } else { Codec::Raw });
        for step in &steps {
            world.step(step);
        }
        let listed: u64 = lock(&world.journal.segments).iter().map(|segment| segment.length).sum();
        prop_assert!(listed <= world.journal.bytes_on_disk());
        world.step(&Step::PowerLoss { seed, again_at: None });
        world.step(&Step::Read);
    }
}

/// The power fails in each operation of a fixed run, with several disks after each.
#[test]
fn power_loss_at_every_operation() {
    let steps = [
        Step::Append { length: 300 },
        Step::Append { length: 500 },
        Step::Sync,
        Step::Append { length: 10 },
        Step::Sync,
        Step::Remove { percent: 50 },
        Step::Append { length: 900 },
        Step::Sync,
        Step::Kill,
        Step::Append { length: 700 },
        Step::Sync,
        Step::Append { length: 20 },
        Step::Sync,
        Step::Remove { percent: 80 },
    ];
    for power_fails_at in 0..60 {
        for seed in 0..20 {
            let mut world = World::new(Codec::Raw);
            let disk = world.disk.power_off(Survival::Everything);
            world.reopen(disk, seed, None);
            world.disk.fail_power_after(power_fails_at);
            for step in &steps {
                world.step(step);
            }
            world.step(&Step::PowerLoss { seed, again_at: None });
        }
    }
}
