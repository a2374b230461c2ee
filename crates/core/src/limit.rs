//! Concurrency limits under one name: a queue, a worker, or a key.

use serde::{Deserialize, Serialize};

use crate::{
    id::TaskId,
    mutant::{Mutant, planted},
};

/// A concurrency limit and its used slots. The count follows from the running tasks, so it is computed at a start and
/// never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Limit of running tasks.
    pub slots: u32,
    /// Number of running tasks.
    pub taken: u32,
    /// Whether new tasks are held back.
    pub paused: bool,
}

/// Reason why a limit admits no further task. Shown to people unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Every slot is in use.
    Taken,
    /// Somebody paused it.
    Paused,
}

impl Limit {
    /// Makes a limit of that many free slots.
    #[must_use]
    pub fn of(slots: u32) -> Limit {
        Limit { slots, taken: 0, paused: false }
    }

    /// Reserves a slot.
    ///
    /// # Errors
    /// When every slot is in use, or it is paused.
    pub fn take(&mut self) -> Result<(), Full> {
        self.room()?;
        self.taken += 1;
        Ok(())
    }

    /// Checks whether a slot is free.
    ///
    /// # Errors
    /// The reason why not.
    pub fn room(&self) -> Result<(), Full> {
        if self.paused {
            return Err(Full::Paused);
        }
        if self.taken >= self.slots { Err(Full::Taken) } else { Ok(()) }
    }

    /// Releases a slot.
    pub fn give_back(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }
}

/// Rule for a task whose key has reached its limit of running tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It waits until one of them has ended.
    #[default]
    Queue,
    /// The newest wins: the oldest of them is cancelled to make room.
    CancelRunning,
    /// It is refused.
    Reject,
}

impl WhenFull {
    /// Every rule.
    pub const ALL: [WhenFull; 3] = [WhenFull::Queue, WhenFull::CancelRunning, WhenFull::Reject];

    /// Returns the word used in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            WhenFull::Queue => "queue",
            WhenFull::CancelRunning => "cancel_running",
            WhenFull::Reject => "reject",
        }
    }
}

/// Concurrency limit of one key, here and on worker hosts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimit {
    /// Limit of running tasks.
    pub limit: u32,
    /// Rule for further tasks.
    #[serde(default)]
    pub when_full: WhenFull,
}

/// Decision about a task that could start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It starts.
    Start,
    /// It waits.
    Wait,
    /// It is refused.
    Reject,
    /// It starts once this one, the oldest that runs, is cancelled.
    Replace(TaskId),
    /// It is cancelled itself: newer ones are running.
    Superseded,
}

impl KeyLimit {
    /// Decides about a task while these of its key run, oldest first.
    #[must_use]
    pub fn admit(&self, task: TaskId, running: impl ExactSizeIterator<Item = TaskId>) -> Admission {
        if running.len() < self.limit as usize || planted(Mutant::KeyLimitIgnored) {
            return Admission::Start;
        }
        match (self.when_full, running.min()) {
            (WhenFull::Queue, _) | (WhenFull::CancelRunning, None) => Admission::Wait,
            (WhenFull::Reject, _) => Admission::Reject,
            (WhenFull::CancelRunning, Some(oldest)) if oldest < task => Admission::Replace(oldest),
            (WhenFull::CancelRunning, Some(_)) => Admission::Superseded,
        }
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

    proptest! {
        /// In any order of arrival, the limit of running tasks holds, and with `cancel_running` the newest of them run.
        #[test]
        fn no_key_runs_more_often_than_it_may(limit in 1u32..4, rule in 0usize..3, moves in prop::collection::vec((0i64..50, any::<bool>()), 0..200)) {
            let rule = KeyLimit { limit, when_full: WhenFull::ALL[rule] };
            let mut running = std::collections::BTreeSet::new();
            for (task, ends) in moves.into_iter().map(|(id, ends)| (TaskId(id), ends)) {
                if ends { running.remove(&task); continue; }
                if running.contains(&task) { continue; }
                match rule.admit(task, running.iter().copied()) {
                    Admission::Start => { running.insert(task); }
                    Admission::Replace(oldest) => {
                        prop_assert!(oldest < task && running.remove(&oldest));
                        running.insert(task);
                    }
                    Admission::Superseded => prop_assert!(running.iter().all(|other| *other > task)),
                    Admission::Wait | Admission::Reject => prop_assert!(running.len() == limit as usize),
                }
                prop_assert!(running.len() <= limit as usize);
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
