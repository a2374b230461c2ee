//! Lanes that wait until a provider takes another call of their worker's model, or until the rate of their worker allows
//! another attempt.
//!
//! The lane waits, not its tasks: they stay ready where they are, nothing is written, and a turn looks at each
//! lane at most once, so that a million waiting tasks cost what one does. An attempt begins with the right to its
//! first call; the right is released should the attempt end without it.

use std::collections::{HashMap, HashSet};

use kapelle_core::{
    DurationMs, TaskId,
    mutant::{Mutant, planted},
    task::{Task, TaskState},
    worker::WorkerSpec,
};

use super::{
    directory::Admission,
    lanes::lane_of,
    part::{Due, Part},
    rows::Rows,
    state::LoopState,
};

/// A provider is asked again after that long at the latest, and that long at the soonest: rights are released, and
/// limits change.
const LONGEST: DurationMs = DurationMs(1_000);
const SHORTEST: DurationMs = DurationMs(10);

/// Waiting lanes, and attempts with a right.
#[derive(Debug, Default)]
pub(super) struct RateAdmission {
    /// Waiting lanes by number, with the end of their wait on the monotonic clock.
    waits: HashMap<usize, u64>,
    /// Attempts that began with the right to a call.
    rights: HashSet<TaskId>,
    /// Those of the current turn.
    fresh: Vec<TaskId>,
}

impl RateAdmission {
    /// Tells whether a lane waits.
    pub(super) fn waits(&self, lane: usize, steady_ms: u64) -> bool {
        !self.waits.is_empty() && self.waits.get(&lane).is_some_and(|until| *until > steady_ms)
    }

    /// Ends the waits of lanes whose time has come.
    pub(super) fn end_waits(&mut self, steady_ms: u64) {
        self.waits.retain(|_, until| *until > steady_ms);
    }

    /// Ends all waits, because the numbers of lanes have changed.
    pub(super) fn lanes_moved(&mut self) {
        self.waits.clear();
    }

    /// Releases the right of an attempt that is over.
    pub(super) fn end_right(&mut self, rows: &Rows, task: TaskId) {
        if !self.rights.is_empty() && self.rights.remove(&task) && !planted(Mutant::RightKept) {
            rows.directory.end_call(task);
        }
    }
}

impl Part for RateAdmission {
    /// Rolls the rights of the turn back, and ends all waits: they may follow from what the turn began.
    fn forget(&mut self, rows: &mut Rows) {
        self.waits.clear();
        for task in std::mem::take(&mut self.fresh) {
            self.end_right(rows, task);
        }
    }

    fn committed(&mut self) {
        self.fresh.clear();
    }

    /// Returns the time at which a provider is asked again.
    fn next_due(&self) -> Due {
        Due { wall: None, steady: self.waits.values().min().copied() }
    }
}

/// Tells whether a provider has room for a call of that task now. Otherwise the task returns to its place, and its lane
/// waits.
pub(super) fn has_right(state: &mut LoopState, task: &Task, spec: Option<&WorkerSpec>) -> bool {
    let Some(model) = spec.and_then(|spec| spec.model.as_ref()) else { return true };
    // A recorded task asks no provider.
    if task.policy.recorded {
        return true;
    }
    match state.rows.admit_call(model, task.id) {
        Admission::Free => true,
        Admission::Right => {
            state.rate_admission.rights.insert(task.id);
            state.rate_admission.fresh.push(task.id);
            true
        }
        Admission::Wait(_) if planted(Mutant::RateIgnored) => true,
        Admission::Wait(wait) => {
            self::wait(state, task, wait);
            false
        }
    }
}

/// Returns a ready task to its place, and lets its lane wait.
pub(super) fn wait(state: &mut LoopState, task: &Task, wait: DurationMs) {
    if let (Some(at), TaskState::Ready { rank }) = (state.lanes.number(&lane_of(task)), &task.state) {
        state.lanes.put_back(at, (*rank, task.id));
        let wait = if planted(Mutant::RateWakeLost) { DurationMs(1 << 60) } else { wait.clamp(SHORTEST, LONGEST) };
        state.rate_admission.waits.insert(at, state.rows.steady_ms + wait.0);
    }
}
