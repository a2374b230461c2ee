//! Random numbers that are equal for an equal seed everywhere.

/// A small, fast generator: `splitmix64` of Steele, Lea and Flood (2014).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Makes the generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0xA076_1D64_78BD_642F) ^ 0xE703_7ED1_A0B4_28DB)
    }

    /// Draws 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Draws a number below `n`; zero when `n` is zero.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n.max(1)
    }

    /// Draws an index of a list of that length.
    pub fn place(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// Draws true that often in a thousand.
    pub fn chance(&mut self, in_a_thousand: u32) -> bool {
        in_a_thousand > 0 && self.below(1_000) < u64::from(in_a_thousand)
    }

    /// Draws true that often in a hundred.
    pub fn percent(&mut self, in_a_hundred: u32) -> bool {
        self.below(100) < u64::from(in_a_hundred)
    }

    /// Draws true once in that many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Draws one of a few.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() { None } else { of.get(self.place(of.len())).copied() }
    }

    /// Draws zero half of the time, otherwise a number up to `most`. Rates of faults differ from seed to seed, and most
    /// seeds have only some of them.
    pub fn weight(&mut self, most: u32) -> u32 {
        if self.chance(500) { 0 } else { 1 + self.below(u64::from(most)) as u32 }
    }

    /// Makes a separate generator for another part.
    pub fn fork(&mut self) -> Rng {
        Rng::new(self.draw())
    }
}

/// Mixes 64 bits into others that look random.
#[must_use]
pub fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
