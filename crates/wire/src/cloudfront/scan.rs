//! Finds bytes of interest eight at a time.
//!
//! A record has some seventy values of about ten bytes: to begin a search of memchr's for each costs more than the search.
//! Here all that ends or marks a value is found in one pass, in plain arithmetic on words of eight bytes.

/// One in every byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every byte.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Calls `each` with the position and the value of every byte below `limit`.
///
/// Blocks are as long as a mask has bits: a processor guesses wrong once at the end of each, and with shorter ones that is
/// what takes the time.
#[inline]
pub(super) fn for_each_below(text: &[u8], limit: u8, mut each: impl FnMut(usize, u8)) {
    let mut begin = 0;
    let mut last = [0xff; 64];
    while begin < text.len() {
        let rest = &text[begin..];
        let block = rest.first_chunk::<64>().unwrap_or_else(|| {
            last[..rest.len()].copy_from_slice(rest);
            &last
        });
        let mut mask = below(block, limit);
        while mask != 0 {
            let bit = mask.trailing_zeros() as usize;
            each(begin + bit, block[bit & 63]);
            mask &= mask - 1;
        }
        begin += 64;
    }
}

/// A bit for each byte that is below the limit.
#[inline]
fn below(block: &[u8; 64], limit: u8) -> u64 {
    // Moves the lowest bit of each byte into the highest byte: bit 8 k + 7 (8 - k) is bit 56 + k, and no two others meet.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    // Sixteen bytes at a time, as the compiler does it for every processor.
    let is_below = block.map(|byte| u8::from(byte < limit));
    let mut mask = 0;
    for (index, flags) in is_below.as_chunks::<8>().0.iter().enumerate() {
        mask |= (u64::from_le_bytes(*flags).wrapping_mul(GATHER) >> 56) << (8 * index);
    }
    mask
}

/// The first byte from `from` on that ends a JSON string or makes it more than its bytes: a quote, a backslash, or a control
/// character.
#[inline]
pub(super) fn find_string_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let word = word_at(text, at)?;
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
        let is_quote = zeros(word ^ each_byte(b'"'));
        let is_backslash = zeros(word ^ each_byte(b'\\'));
        let is_control = word.wrapping_sub(each_byte(0x20)) & !word;
        // Borrows make false ones only behind a true one.
        let found = (is_quote | is_backslash | is_control) & HIGH;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
}

/// A word of this byte alone.
const fn each_byte(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The word that begins there; behind the end are bytes that nobody looks for. `None` if all of it is behind the end.
#[inline]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    if let Some(word) = rest.first_chunk::<8>() {
        return Some(u64::from_le_bytes(*word));
    }
    let mut last = [0xff; 8];
    last[..rest.len()].copy_from_slice(rest);
    Some(u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn finds_what_a_loop_finds(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), from in 0..20_usize) {
            let mut below = Vec::new();
            for_each_below(&text, 0x26, |at, byte| below.push((at, byte)));
            let expected: Vec<(usize, u8)> = text.iter().copied().enumerate().filter(|(_, byte)| *byte < 0x26).collect();
            assert_eq!(below, expected);
            let is_end = |at: &usize| matches!(text[*at], b'"' | b'\\' | 0..0x20);
            assert_eq!(find_string_end(&text, from), (from..text.len()).find(is_end));
        }
    }
}
