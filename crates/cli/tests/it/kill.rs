//! `kill -9` at any moment loses nothing that was acknowledged.
//!
//! One folder, twenty lives of the process. Seals are small, so that the kills fall into all that the store does: journal
//! writes, blocks that are half written, the manifest's frame, the removal of journal segments, and the replay at the
//! next start. Where a kill falls is drawn from a seed; `KILL_SEED` tries others.

#![expect(clippy::print_stdout, reason = "how often a kill hit its moment is worth reading")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::api;
use crate::load::Load;
use crate::process::{Process, Setup, Site};

/// Lives of the process.
const KILLS: u64 = 20;

/// Most requests of one life.
const REQUESTS: u64 = 60;

/// Longest wait for the moment of a kill after the last acknowledgement.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// When to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// After so many acknowledgements.
    Acknowledged(u64),
    /// While a block is being written.
    HalfWrittenBlock,
    /// When the manifest has become longer.
    ManifestFrame,
    /// When a block has got its name and may not be in the manifest yet.
    NewBlock,
    /// While it opens the folder.
    Opening,
}

impl Moment {
    fn draw(life: u64, random: &mut Random) -> Self {
        match life % 5 {
            0 => Self::Acknowledged(1 + random.below(REQUESTS / 2)),
            1 => Self::HalfWrittenBlock,
            2 => Self::ManifestFrame,
            3 => Self::NewBlock,
            _ => Self::Opening,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Acknowledged(_) => "acknowledged",
            Self::HalfWrittenBlock => "half-written block",
            Self::ManifestFrame => "manifest frame",
            Self::NewBlock => "new block",
            Self::Opening => "opening",
        }
    }

    /// What to compare: the moment has come when it has grown.
    fn measure(self, data: &Path, load: &Load) -> u64 {
        match self {
            Self::Acknowledged(_) => load.acknowledged(),
            Self::HalfWrittenBlock => files(data, "blocks", |name| !name.ends_with(".parquet")).0,
            Self::NewBlock => files(data, "blocks", |name| name.ends_with(".parquet")).0,
            Self::ManifestFrame => files(data, "manifest", |_| true).1,
            Self::Opening => 0,
        }
    }
}

#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged() {
    let seed = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_914);
    let mut random = Random(seed);
    let site = Site::new(Setup { store: ", seal_spans: 400, seal_after: 300ms", ..Setup::default() });
    let load = Load::new(seed, 50);
    let mut hits: BTreeMap<&str, u64> = BTreeMap::new();
    for life in 0..KILLS {
        let moment = Moment::draw(life, &mut random);
        if kill_at(&site, moment, &load, &mut random) {
            *hits.entry(moment.name()).or_default() += 1;
        }
    }
    let process = site.start();
    let spans = load.check_all_found(process.ui());
    load.check_all_listed(process.ui());
    let status = api::status(process.ui());
    println!(
        "seed {seed}: {spans} acknowledged spans in {KILLS} lives, kills that hit their moment: {hits:?}; {status}"
    );
    assert_eq!(status["damagedBlocks"], 0, "nothing is corrupt");
    assert!(spans > 1000, "there was load");
    assert!(hits.len() >= 4, "seals and manifest writes were hit: {hits:?}");
    process.stop();
    // What the last life sealed at its end is the same.
    let process = site.start();
    assert_eq!(load.check_all_found(process.ui()), spans);
    process.stop();
}

/// One life. Whether the kill fell where it should.
fn kill_at(site: &Site, moment: Moment, load: &Load, random: &mut Random) -> bool {
    let delay = Duration::from_micros(random.below(3000));
    if moment == Moment::Opening {
        let process = site.spawn();
        process.wait_for_log_or(delay * 4, "store open");
        process.kill();
        return true;
    }
    let process = site.start();
    let mut hit = false;
    load.send(process.ingest(), REQUESTS, || hit = watch_and_kill(process, site, moment, load, delay));
    hit
}

/// Waits for the moment and kills.
fn watch_and_kill(process: Process, site: &Site, moment: Moment, load: &Load, delay: Duration) -> bool {
    let needed = if let Moment::Acknowledged(count) = moment { count } else { 1 };
    let data = site.data();
    let before = moment.measure(&data, load);
    let mut last = (load.acknowledged(), Instant::now());
    let hit = loop {
        if moment.measure(&data, load) >= before + needed {
            break true;
        }
        if load.acknowledged() != last.0 {
            last = (load.acknowledged(), Instant::now());
        }
        if last.1.elapsed() > LAST_MOMENT {
            break false;
        }
    };
    // Some later step of the same work, a different one each time.
    let at = Instant::now() + delay;
    while Instant::now() < at {
        std::hint::spin_loop();
    }
    process.kill();
    hit
}

/// Number and bytes of the files below a folder whose names are meant. One that vanishes meanwhile is not there.
pub(crate) fn files(data: &Path, folder: &str, is_meant: impl Copy + Fn(&str) -> bool) -> (u64, u64) {
    let (mut count, mut bytes) = (0, 0);
    let mut folders = vec![data.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if is_meant(&entry.file_name().to_string_lossy()) {
                count += 1;
                bytes += metadata.len();
            }
        }
    }
    (count, bytes)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
