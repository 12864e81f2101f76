//! Numbers that look random: SplitMix64, which needs eight bytes of state and nothing else.

/// A generator of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Not zero.
    pub fn id(&mut self) -> u64 {
        self.bits() | 1
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In [from, to), which is not empty.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.bits() % (to - from)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `items`, which are not none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[(self.bits() % items.len() as u64) as usize]
    }

    /// Log-normal with this median; `spread` is the standard deviation of the logarithm. Durations are like that.
    pub fn log_normal(&mut self, median: f64, spread: f64) -> f64 {
        // Box and Muller's transform of two even numbers into a normal one.
        let radius = (-2.0 * self.unit().max(1e-12).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.unit();
        median * (spread * radius * angle.cos()).exp()
    }
}
