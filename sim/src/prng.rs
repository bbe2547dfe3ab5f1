//! The only source of chance: a small integer generator of our own, so that a seed means the same for ever.
//!
//! SplitMix64. No floats. Independent streams are made by mixing a seed with a number (`Prng::keyed`), so that
//! removing one step of a script does not change the luck of the others.

/// A stream of pseudo-random numbers.
#[derive(Clone, Debug)]
pub struct Prng(u64);

impl Prng {
    /// The stream of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream of a seed and a purpose.
    pub fn keyed(seed: u64, key: u64) -> Self {
        let mut mixed = Self(seed ^ key.wrapping_mul(0xd6e8_feb8_6659_fd93));
        mixed.next();
        mixed
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub const fn below(&mut self, n: u64) -> u64 {
        let next = self.next();
        if n == 0 { 0 } else { next % n }
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `n` of 100 cases.
    pub const fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }

    /// One of the values.
    pub fn pick(&mut self, values: &[u64]) -> u64 {
        let at = self.below(values.len() as u64) as usize;
        values.get(at).copied().unwrap_or(0)
    }
}
