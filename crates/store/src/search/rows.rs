//! Picking values of chosen rows, and asking about each distinct value once.

use std::collections::HashMap;
use std::ops::Range;

/// Rows this close are read in one go: skipping has its price.
const GAP_ROWS: u32 = 64;

/// Ranges that hold `rows` and little else.
pub(super) fn near(rows: &[u32]) -> Vec<Range<u32>> {
    merged(rows, GAP_ROWS)
}

/// Ranges of exactly `rows`.
pub(super) fn exact(rows: &[u32]) -> Vec<Range<u32>> {
    merged(rows, 0)
}

fn merged(rows: &[u32], gap: u32) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for row in rows {
        match ranges.last_mut() {
            Some(last) if *row <= last.end + gap => last.end = row + 1,
            _ => ranges.push(*row..row + 1),
        }
    }
    ranges
}

/// Of the values of all rows in `ranges` those of `rows`.
pub(super) fn pick<T>(ranges: &[Range<u32>], rows: &[u32], values: impl Iterator<Item = T>) -> Vec<T> {
    let mut wanted = rows.iter().peekable();
    let mut picked = Vec::with_capacity(rows.len());
    for (row, value) in ranges.iter().cloned().flatten().zip(values) {
        if wanted.next_if(|wanted| **wanted == row).is_some() {
            picked.push(value);
        }
    }
    picked
}

pub(super) fn at(verdicts: &[bool], position: i32) -> bool {
    usize::try_from(position).ok().and_then(|position| verdicts.get(position)).copied().unwrap_or(false)
}

/// Checked when it came in.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Asks once per distinct value.
pub(super) fn remembered<T: Clone + Eq + std::hash::Hash>(mut ask: impl FnMut(&T) -> bool) -> impl FnMut(&T) -> bool {
    let mut known: HashMap<T, bool, foldhash::fast::RandomState> = HashMap::default();
    move |value| match known.get(value) {
        Some(verdict) => *verdict,
        None => {
            let verdict = ask(value);
            known.insert(value.clone(), verdict);
            verdict
        }
    }
}

/// Asks once per distinct text.
pub(super) fn remembered_bytes(mut ask: impl FnMut(&[u8]) -> bool) -> impl FnMut(&[u8]) -> bool {
    let mut known: HashMap<Box<[u8]>, bool, foldhash::fast::RandomState> = HashMap::default();
    move |value| match known.get(value) {
        Some(verdict) => *verdict,
        None => {
            let verdict = ask(value);
            known.insert(Box::from(value), verdict);
            verdict
        }
    }
}

/// Asks once per run of equal values.
pub(super) fn remembered_last<T: Clone + PartialEq>(mut ask: impl FnMut(&T) -> bool) -> impl FnMut(&T) -> bool {
    let mut last: Option<(T, bool)> = None;
    move |value| {
        if let Some((same, verdict)) = &last
            && same == value
        {
            return *verdict;
        }
        let verdict = ask(value);
        last = Some((value.clone(), verdict));
        verdict
    }
}

#[cfg(test)]
mod tests;
