//! Finds bytes of interest eight at a time.
//!
//! A record has some seventy values of about ten bytes: to begin a search of memchr's for each costs more than the search.
//! Here all that ends or marks a value is found in one pass, in plain arithmetic on words of eight bytes.

/// One in every byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every byte.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Positions of all bytes below `LIMIT`, which is at most 128.
#[derive(Debug)]
pub(super) struct Below<'t, const LIMIT: u8> {
    text: &'t [u8],
    /// Where the word behind the one in `mask` begins.
    next_word: usize,
    /// The highest bit of each byte of the word that was found and not given yet.
    mask: u64,
}

impl<'t, const LIMIT: u8> Below<'t, LIMIT> {
    #[inline]
    pub(super) const fn new(text: &'t [u8]) -> Self {
        Self { text, next_word: 0, mask: 0 }
    }
}

impl<const LIMIT: u8> Iterator for Below<'_, LIMIT> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.mask == 0 {
            let word = word_at(self.text, self.next_word)?;
            self.next_word += 8;
            // With its highest bit set no byte borrows from the next one; the bit stays where the byte is not below.
            self.mask = !(((word | HIGH) - each(LIMIT)) | word) & HIGH;
        }
        let found = self.next_word - 8 + (self.mask.trailing_zeros() / 8) as usize;
        self.mask &= self.mask - 1;
        Some(found)
    }
}

/// The first byte from `from` on that ends a JSON string or makes it more than its bytes: a quote, a backslash, or a control
/// character.
#[inline]
pub(super) fn find_string_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let word = word_at(text, at)?;
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
        let is_quote = zeros(word ^ each(b'"'));
        let is_backslash = zeros(word ^ each(b'\\'));
        let is_control = word.wrapping_sub(each(0x20)) & !word;
        // Borrows make false ones only behind a true one.
        let found = (is_quote | is_backslash | is_control) & HIGH;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
}

/// A word of this byte alone.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The word that begins there; behind the end are bytes that nobody looks for. `None` if all of it is behind.
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
        fn finds_what_a_loop_finds(text: Vec<u8>, from in 0..20_usize) {
            let below: Vec<usize> = Below::<0x26>::new(&text).collect();
            let expected: Vec<usize> = (0..text.len()).filter(|at| text[*at] < 0x26).collect();
            assert_eq!(below, expected);
            let is_end = |at: &usize| matches!(text[*at], b'"' | b'\\' | 0..0x20);
            assert_eq!(find_string_end(&text, from), (from..text.len()).find(is_end));
        }
    }
}
