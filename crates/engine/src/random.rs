//! Random bits for leases, which must not be guessed.

/// Numbers drawn from the system at once: a call for each took a thirtieth of the loop's time.
const DRAWN: usize = 64;

/// Random numbers from the system, with a few in reserve.
pub(crate) struct Random {
    bytes: [u8; DRAWN * 8],
    left: usize,
}

impl Random {
    pub(crate) fn new() -> Random {
        Random { bytes: [0; DRAWN * 8], left: 0 }
    }

    /// Draws 64 random bits, each once.
    pub(crate) fn draw(&mut self) -> u64 {
        if self.left == 0 {
            // The system's source does not fail once it has begun to work; without it leases cannot be assigned.
            getrandom::fill(&mut self.bytes).unwrap_or_else(|_| std::process::abort());
            self.left = DRAWN;
        }
        self.left -= 1;
        let mut number = [0; 8];
        number.copy_from_slice(&self.bytes[self.left * 8..][..8]);
        u64::from_le_bytes(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_twice() {
        let mut random = Random::new();
        let drawn: std::collections::HashSet<u64> = (0..DRAWN * 10).map(|_| random.draw()).collect();
        assert_eq!(drawn.len(), DRAWN * 10);
    }
}
