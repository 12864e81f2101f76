//! From sound input to input that is nearly sound: what a seed decides.

use rootspan_testkit::random::Random;

/// Values at which lengths and counters overflow.
const EDGES: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x3fff, 0x4000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// Longest input: what is longer finds nothing that this does not.
const LONGEST: usize = 64 << 10;

/// Changes one input in a few places.
#[derive(Debug)]
pub struct Mutator<'a> {
    random: Random,
    corpus: &'a [Vec<u8>],
    dictionary: &'a [&'a [u8]],
}

impl<'a> Mutator<'a> {
    /// `corpus` is not empty.
    #[must_use]
    pub fn new(seed: u64, corpus: &'a [Vec<u8>], dictionary: &'a [&'a [u8]]) -> Self {
        Self { random: Random::new(seed), corpus, dictionary }
    }

    /// The input of this seed.
    #[must_use]
    pub fn input(mut self) -> Vec<u8> {
        if self.random.chance(0.02) {
            let length = self.below(200);
            return (0..length).map(|_| self.byte()).collect();
        }
        let mut input = self.entry().clone();
        // Mostly a little: what is destroyed entirely is refused at the first byte.
        let changes = self.random.pick(&[1, 1, 1, 2, 3, 5, 16]);
        for _ in 0..changes {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = (at + self.random.pick(&[1, 2, 4, 8, 40, 1000])).min(input.len());
        match self.below(11) {
            0 => self.flip_bit(input),
            1 => self.overwrite(input, at),
            2 => input.truncate(at),
            3 => drop(input.drain(at..end)),
            4 => {
                let copy = input[at..end].to_vec();
                let times = self.random.pick(&[1, 1, 2, 50]);
                let to = self.below(input.len() + 1);
                input.splice(to..to, copy.repeat(times));
            }
            5 => self.splice_from_another(input, at, end),
            6 => self.edit_number(input, at),
            7 => self.insert_varint(input, at),
            8 if !self.dictionary.is_empty() => {
                let word = self.dictionary[self.below(self.dictionary.len())];
                let end = if self.random.chance(0.5) { at } else { (at + word.len()).min(input.len()) };
                input.splice(at..end, word.iter().copied());
            }
            9 => self.change_digits(input, at),
            _ => {
                let bytes: Vec<_> = (0..self.below(9)).map(|_| self.byte()).collect();
                input.splice(at..at, bytes);
            }
        }
    }

    fn flip_bit(&mut self, input: &mut [u8]) {
        let (at, bit) = (self.below(input.len()), self.below(8));
        if let Some(byte) = input.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    fn overwrite(&mut self, input: &mut [u8], at: usize) {
        let value = self.random.pick(&[0, 0xff, 0x7f, 0x80, b'"', b'{', b'\n', b';', b' ', b'%', b'-']);
        let value = if self.random.chance(0.5) { value } else { self.byte() };
        if let Some(byte) = input.get_mut(at) {
            *byte = value;
        }
    }

    /// A piece of another input in the place of a piece of this one.
    fn splice_from_another(&mut self, input: &mut Vec<u8>, at: usize, end: usize) {
        let other = self.entry();
        let from = self.below(other.len() + 1);
        let length = self.random.pick(&[1, 4, 16, 100, 4000]);
        let piece = other.get(from..(from + length).min(other.len())).unwrap_or_default().to_vec();
        input.splice(at..end, piece);
    }

    /// A number of one to eight bytes becomes another: a little more, a little less, or one at which something overflows.
    fn edit_number(&mut self, input: &mut [u8], at: usize) {
        let width = self.random.pick(&[1, 2, 4, 8]);
        let Some(bytes) = input.get_mut(at..at + width) else { return };
        let is_little = self.random.chance(0.5);
        let mut number = [0; 8];
        for (index, byte) in bytes.iter().enumerate() {
            number[if is_little { index } else { width - 1 - index }] = *byte;
        }
        let old = u64::from_le_bytes(number);
        let new = match self.random.between(0, 4) {
            0 => old.wrapping_add(1),
            1 => old.wrapping_sub(1),
            2 => old.wrapping_mul(2),
            _ => self.random.pick(&EDGES),
        };
        let new = new.to_le_bytes();
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = new[if is_little { index } else { width - 1 - index }];
        }
    }

    fn insert_varint(&mut self, input: &mut Vec<u8>, at: usize) {
        let mut value = self.random.pick(&EDGES);
        let mut bytes = Vec::new();
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            bytes.push(if value == 0 { low } else { low | 0x80 });
            if value == 0 {
                break;
            }
        }
        input.splice(at..at, bytes);
    }

    /// A number in decimal digits behind `at` becomes another.
    fn change_digits(&mut self, input: &mut Vec<u8>, at: usize) {
        let Some(start) = input.iter().skip(at).position(u8::is_ascii_digit).map(|index| at + index) else { return };
        let digits = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = match self.random.between(0, 4) {
            0 => "-1".to_owned(),
            1 => "1e999".to_owned(),
            2 => "0.1".to_owned(),
            _ => self.random.pick(&EDGES).to_string(),
        };
        input.splice(start..start + digits, value.into_bytes());
    }

    fn entry(&mut self) -> &'a Vec<u8> {
        &self.corpus[self.below(self.corpus.len())]
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.between(0, bound.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.random.bits() as u8
    }
}
