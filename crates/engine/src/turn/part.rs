//! The life of a part of the loop's state.

use kapelle_core::Timestamp;
use kapelle_store::StoreError;

use super::rows::Rows;

/// A part of the loop's state: what it keeps in memory can be read again from the rows, or is undone with the turn.
///
/// Parts are called in the order of `LoopState::parts`. After [`Part::forget`] nothing of the turn that is rolled back
/// is left in a part, and [`Part::prime`] comes before the next use.
pub(super) trait Part {
    /// Reads what the part keeps in memory: before the first turn, and after one that was rolled back.
    fn prime(&mut self, _rows: &mut Rows) -> Result<(), StoreError> {
        Ok(())
    }

    /// Rolls back what the turn under way did.
    fn forget(&mut self, rows: &mut Rows);

    /// Keeps what the turn did: it is stored.
    fn committed(&mut self) {}

    /// Returns the time at which the part must next act by itself.
    fn next_due(&self) -> Due {
        Due::default()
    }
}

/// The time at which something must next happen by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// On the wall clock.
    pub(super) wall: Option<Timestamp>,
    /// On the steady clock, in milliseconds.
    pub(super) steady: Option<u64>,
}

impl Due {
    /// The earlier of both, on each clock.
    pub(super) fn or(self, other: Due) -> Due {
        let wall = [self.wall, other.wall].into_iter().flatten().min();
        Due { wall, steady: [self.steady, other.steady].into_iter().flatten().min() }
    }
}

/// A value that is as it was before a turn once the turn is rolled back. Copied by the first change of a turn, so that it
/// is for values that are small.
#[derive(Debug, Default)]
pub(super) struct Undo<T> {
    value: T,
    before: Option<T>,
}

impl<T: Clone> Undo<T> {
    /// The value, to be changed.
    pub(super) fn change(&mut self) -> &mut T {
        if self.before.is_none() {
            self.before = Some(self.value.clone());
        }
        &mut self.value
    }

    pub(super) fn forget(&mut self) {
        if let Some(before) = self.before.take() {
            self.value = before;
        }
    }

    pub(super) fn committed(&mut self) {
        self.before = None;
    }
}

impl<T> std::ops::Deref for Undo<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_back_to_what_it_was_before_the_turn() {
        let mut value = Undo { value: vec![1], before: None };
        value.change().push(2);
        value.change().push(3);
        value.forget();
        assert_eq!(*value, [1]);
        value.change().push(2);
        value.committed();
        value.change().push(3);
        value.forget();
        assert_eq!(*value, [1, 2], "only the turn under way is undone");
    }
}
