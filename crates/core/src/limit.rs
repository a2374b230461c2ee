//! How many tasks may run at once under one name: a queue, a worker, or a key.

use serde::{Deserialize, Serialize};

/// A concurrency limit and how much of it is taken. The taken count follows from the running tasks, so it is counted
/// again at a start and never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// How many may run at once.
    pub slots: u32,
    /// How many do.
    pub taken: u32,
    /// Nothing new starts.
    pub paused: bool,
}

/// Why nothing more may start under a limit. Shown to people as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Every slot is taken.
    Taken,
    /// Somebody paused it.
    Paused,
}

impl Limit {
    /// A limit of that many slots, none taken.
    #[must_use]
    pub fn of(slots: u32) -> Limit {
        Limit { slots, taken: 0, paused: false }
    }

    /// Takes a slot.
    ///
    /// # Errors
    /// When there is none, or it is paused.
    pub fn take(&mut self) -> Result<(), Full> {
        self.room()?;
        self.taken += 1;
        Ok(())
    }

    /// Whether a slot could be taken.
    ///
    /// # Errors
    /// Why not.
    pub fn room(&self) -> Result<(), Full> {
        if self.paused {
            return Err(Full::Paused);
        }
        if self.taken >= self.slots { Err(Full::Taken) } else { Ok(()) }
    }

    /// Gives a slot back.
    pub fn give_back(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_its_slots(slots in 0u32..5, moves in prop::collection::vec(0u8..4, 0..200)) {
            let mut limit = Limit::of(slots);
            for step in moves {
                match step {
                    0 => { let before = limit; if limit.take().is_err() { prop_assert_eq!(before, limit); } }
                    1 => limit.give_back(),
                    2 => limit.paused = true,
                    _ => limit.paused = false,
                }
                prop_assert!(limit.taken <= limit.slots);
            }
        }
    }

    #[test]
    fn a_paused_limit_says_so() {
        let mut limit = Limit { paused: true, ..Limit::of(2) };
        assert_eq!(limit.take(), Err(Full::Paused));
        limit.paused = false;
        assert_eq!((limit.take(), limit.take(), limit.take()), (Ok(()), Ok(()), Err(Full::Taken)));
    }
}
