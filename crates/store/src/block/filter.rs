//! A Bloom filter over 64-bit hashes: "certainly not here" or "perhaps here".
//!
//! One filter per block holds trace ids, another the hash of every attribute's (key, value). The bytes are the filter;
//! it is written to the block and read from it as it is. Hashes are part of the format and must be the same in every
//! process and version; hash crates promise no such thing, so the function is our own (`hash_bytes`).

use bytes::Bytes;

/// Bits per entry and probes; 10 and 6 give 0.9 % false positives.
const TRACE_BITS: usize = 10;
/// A value filter holds some 100,000 entries per block, so each bit is worth 12 KB: 7 bits give 3.5 %.
const VALUE_BITS: usize = 7;
const PROBES: u32 = 5;

/// Arbitrary, but part of the format: changing it makes old filters lie.
const HASH_SEED: u64 = 0x726f_6f74_7370_616e;

/// The filter's bits.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    bits: Bytes,
}

impl Filter {
    /// A filter of trace ids.
    pub(crate) fn of_traces(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        Self::build(hashes, TRACE_BITS)
    }

    /// A filter of (key, value) hashes.
    pub(crate) fn of_values(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        Self::build(hashes, VALUE_BITS)
    }

    fn build(hashes: impl ExactSizeIterator<Item = u64>, bits_per_entry: usize) -> Self {
        let bytes = (hashes.len() * bits_per_entry).div_ceil(8).max(8);
        let mut bits = vec![0_u8; bytes];
        for hash in hashes {
            for position in positions(hash, bytes) {
                bits[position / 8] |= 1 << (position % 8);
            }
        }
        Self { bits: Bytes::from(bits) }
    }

    /// The filter in a block's section.
    pub(crate) const fn from_bytes(bits: Bytes) -> Self {
        Self { bits }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bits
    }

    /// False only if the hash was certainly not entered.
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        if self.bits.is_empty() {
            return true;
        }
        positions(hash, self.bits.len()).all(|position| self.bits[position / 8] & 1 << (position % 8) != 0)
    }
}

/// Double hashing: the i-th position is `low + i · high` (Kirsch and Mitzenmacher).
fn positions(hash: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let bits = bytes as u64 * 8;
    let step = hash.rotate_left(32) | 1;
    (0..PROBES).map(move |probe| {
        let mixed = hash.wrapping_add(step.wrapping_mul(u64::from(probe)));
        // The high half of a 128-bit product maps evenly to 0..bits without a division.
        let position = (u128::from(mixed) * u128::from(bits)) >> 64;
        usize::try_from(position).unwrap_or(0)
    })
}

/// What kind of value is hashed: an integer 1 and a string "1" differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashedValue<'a> {
    String(&'a str),
    Int(i64),
    Bool(bool),
}

/// The integer that a float is equal to, if there is one: 5.0 is found by a search for 5.
pub(crate) fn integer(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whatever was cut off makes the comparison fail")]
    let integer = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "a number that is not exact makes the comparison fail")]
    let same = integer as f64 == number;
    same.then_some(integer)
}

/// The hash of a trace id.
pub(crate) fn trace_hash(id: &[u8; 16]) -> u64 {
    hash_bytes(HASH_SEED, id)
}

/// The hash of an attribute key, to be continued with [`value_hash`].
pub(crate) fn key_hash(key: &str) -> u64 {
    hash_bytes(HASH_SEED, key.as_bytes())
}

/// The hash of one attribute whose key has the hash `key`.
pub(crate) fn value_hash(key: u64, value: HashedValue<'_>) -> u64 {
    match value {
        HashedValue::String(text) => hash_bytes(key, text.as_bytes()),
        HashedValue::Int(number) => hash_bytes(key ^ 1, &number.to_le_bytes()),
        HashedValue::Bool(value) => hash_bytes(key ^ 2, &[u8::from(value)]),
    }
}

/// Eight bytes at a time multiplied in, then MurmurHash3's 64-bit finaliser. Not meant against adversaries: who
/// collides on purpose only slows down searches for his own values.
fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (chunks, tail) = bytes.as_chunks::<8>();
    for chunk in chunks {
        hash = (hash ^ u64::from_le_bytes(*chunk)).wrapping_mul(MULTIPLIER).rotate_left(29);
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(MULTIPLIER);
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests;
