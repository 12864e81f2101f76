//! The bytes of a file in memory: those the program sees, and those a loss of power would leave.

use std::ops::Range;

use crate::directory::memory::Survival;
use crate::directory::random::Random;

/// Unit in which a disk writes: torn and lost writes are multiples of it, except at the end of a file.
pub(crate) const SECTOR_BYTES: usize = 512;

/// A file's bytes and how many of them the disk has.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) data: Vec<u8>,
    /// The disk has the first `synced` bytes of `data` …
    synced: usize,
    /// … and behind them these, from before a truncation that was not synced.
    cut: Vec<u8>,
    /// Written before a sync that failed: the disk may have them or not, whatever later syncs said.
    doubtful: Vec<Range<usize>>,
}

impl File {
    pub(super) fn synced(data: Vec<u8>) -> Self {
        Self { synced: data.len(), data, ..Self::default() }
    }

    pub(super) fn truncate(&mut self, length: usize) {
        if length < self.synced {
            let mut cut = self.data[length..self.synced].to_vec();
            cut.append(&mut self.cut);
            self.cut = cut;
            self.synced = length;
        }
        self.data.truncate(length);
        for range in &mut self.doubtful {
            range.end = range.end.min(self.data.len());
        }
        self.doubtful.retain(|range| !range.is_empty());
    }

    pub(super) fn sync(&mut self) {
        self.synced = self.data.len();
        self.cut.clear();
    }

    pub(super) fn fail_sync(&mut self) {
        if self.synced < self.data.len() {
            self.doubtful.push(self.synced..self.data.len());
        }
    }

    pub(super) fn after_power_loss(&self, survival: Survival, random: &mut Random) -> Vec<u8> {
        let synced = [&self.data[..self.synced], &self.cut].concat();
        let unsynced = self.data.len() - self.synced;
        let mut left = match survival {
            Survival::Nothing => synced,
            Survival::Everything => self.data.clone(),
            Survival::Random(_) => match random.below(4) {
                0 => synced,
                1 => self.data.clone(),
                // Torn at any byte.
                2 => self.data[..self.synced + random.below(unsynced as u64 + 1) as usize].to_vec(),
                // Reordered: the file has its new length, but only some sectors were written.
                _ => {
                    let mut data = self.data.clone();
                    lose_sectors(&mut data, self.synced..self.data.len(), || random.below(2) == 0);
                    data
                }
            },
        };
        for range in &self.doubtful {
            lose_sectors(&mut left, range.clone(), || match survival {
                Survival::Nothing => true,
                Survival::Everything => false,
                Survival::Random(_) => random.below(2) == 0,
            });
        }
        left
    }
}

/// Zeroes the part of each sector that lies in `range`, where `is_lost` says so.
fn lose_sectors(data: &mut [u8], range: Range<usize>, mut is_lost: impl FnMut() -> bool) {
    let end = range.end.min(data.len());
    let mut start = range.start;
    while start < end {
        let next = ((start / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
        if is_lost() {
            data[start..next].fill(0);
        }
        start = next;
    }
}
