//! Maps keyed by ids.
//!
//! Ids come from our own sequences, never from outside, so that collisions cannot be provoked; the map needs no
//! defence, and an integer needs one multiplication.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map keyed by an id.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// 2^64 divided by the golden ratio, made odd: spreads consecutive numbers over all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes one integer.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // A map takes its bucket from the low bits and its tag from the high ones; the high bits of the product are
        // best.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(SPREAD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kapelle_core::TaskId;
    use std::{collections::HashSet, hash::BuildHasher};

    #[test]
    fn consecutive_ids_are_spread() {
        let hasher = BuildHasherDefault::<IdHasher>::default();
        for step in [1i64, 2, 8, 64, 512, 1 << 20] {
            let hashes: Vec<u64> = (0..1_024).map(|number| hasher.hash_one(TaskId(number * step))).collect();
            let low: HashSet<u64> = hashes.iter().map(|hash| hash % 4_096).collect();
            let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(low.len() > 700, "{} places for steps of {step}", low.len());
            assert!(tags.len() > 60, "{} tags for steps of {step}", tags.len());
        }
    }
}
