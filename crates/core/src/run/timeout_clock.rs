//! The clock of a run's time limit. It stops while the run only waits for a timer, a signal, an approval or money, and
//! while it is paused; overlapping reasons count once.

use std::collections::BTreeMap;

use super::{
    event::RunEvent,
    model::{Run, RunStatus},
    scope::{ScopeId, Slot},
};
use crate::{
    definition::Action,
    id::TaskId,
    mutant::{Mutant, planted},
    time::Timestamp,
};

/// Open tasks of a run that hold no scope. Kept only for a run that has a time limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Leaves {
    /// Whether each works or waits.
    tasks: BTreeMap<TaskId, bool>,
    working: usize,
}

impl Leaves {
    fn put(&mut self, task: TaskId, works: bool) {
        self.remove(task);
        self.tasks.insert(task, works);
        self.working += usize::from(works);
    }

    pub(super) fn remove(&mut self, task: TaskId) {
        if self.tasks.remove(&task) == Some(true) {
            self.working -= 1;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Leaves::default();
    }
}

impl Run {
    /// Returns the event that is due when the run begins or ceases to only wait.
    #[must_use]
    pub fn clock_event(&self, now: Timestamp) -> Option<RunEvent> {
        let limited = self.due_at.is_some();
        let waits = limited && self.only_waits() && !planted(Mutant::WaitTakesTime);
        match (self.clock_paused, waits) {
            _ if self.status.kind().is_terminal() => None,
            (None, true) => Some(RunEvent::ClockPaused { at: now }),
            (Some(_), false) => Some(RunEvent::ClockResumed { at: now }),
            _ => None,
        }
    }

    /// Records that a task of the run works or waits; a task that lacks money waits.
    pub fn set_working(&mut self, task: TaskId, works: bool) {
        if self.leaves.tasks.contains_key(&task) {
            self.leaves.put(task, works);
        }
    }

    fn only_waits(&self) -> bool {
        let nothing_else = self.leaves.working == 0 && self.awake.is_empty() && self.done.is_empty();
        matches!(self.status, RunStatus::Running) && nothing_else && !self.leaves.tasks.is_empty()
    }

    /// Adds an open task that holds no scope.
    pub(super) fn add_leaf(&mut self, scope: ScopeId, slot: Slot, task: TaskId, parked: bool) {
        if self.definition.timeout.is_none() {
            return;
        }
        let waits = matches!(self.step(scope, slot).map(|step| &step.action), Some(Action::Wait(_)));
        self.leaves.put(task, !waits && !parked);
    }

    /// Moves the time limit by the time since `since` when the run's clock runs again at `at`. If the clock is still
    /// stopped for another reason, the rest is added when that reason ends.
    pub(super) fn move_due(&mut self, since: Option<Timestamp>, at: Timestamp, other: Option<Timestamp>) {
        let until = other.map_or(at, |other| other.min(at));
        if let (Some(since), Some(due)) = (since, &mut self.due_at) {
            *due = *due + until.since(since);
        }
    }

    /// Tells whether the run's clock is stopped.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        self.paused.is_some() || self.clock_paused.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{Payload, RunId, TenantId, definition::Definition, run::Slot, time::DurationMs};

    fn limited() -> Run {
        let flow = "name: f\ntimeout: 10s\nsteps: { w: { wait: { signal: go } }, a: { worker: x } }\n";
        let definition = Arc::new(Definition::parse(flow.as_bytes(), "f.yaml").unwrap());
        let mut run = Run::new(RunId(1), TenantId::DEFAULT, 1, definition, Payload::None);
        run.due_at = Some(Timestamp(10_000));
        run
    }

    fn started(run: &mut Run, slot: u32, task: i64) {
        let _ = run.take_ready(8);
        run.evolve(&RunEvent::StepStarted { scope: ScopeId::ROOT, slot: Slot(slot), task: TaskId(task), signal: None });
    }

    #[test]
    fn it_rests_when_nothing_is_left_but_waits() {
        let mut run = limited();
        assert_eq!(run.clock_event(Timestamp(1)), None, "something may begin");
        started(&mut run, 0, 1);
        started(&mut run, 1, 2);
        assert_eq!(run.clock_event(Timestamp(1)), None, "a worker works");
        run.set_working(TaskId(2), false);
        assert_eq!(run.clock_event(Timestamp(2)), Some(RunEvent::ClockPaused { at: Timestamp(2) }), "it has no money");
        run.evolve(&RunEvent::ClockPaused { at: Timestamp(2) });
        assert_eq!(run.clock_event(Timestamp(3)), None, "told already");
        run.set_working(TaskId(2), true);
        assert_eq!(run.clock_event(Timestamp(4)), Some(RunEvent::ClockResumed { at: Timestamp(4) }));
        run.due_at = None;
        run.clock_paused = None;
        run.set_working(TaskId(2), false);
        assert_eq!(run.clock_event(Timestamp(5)), None, "it has no limit");
    }

    proptest! {
        /// With any overlaps, the limit moves by the time during which there was a reason to stop the clock.
        #[test]
        fn what_overlaps_counts_once(steps in prop::collection::vec((any::<bool>(), 1..500_u64), 1..40)) {
            let mut run = limited();
            let (mut now, mut still) = (Timestamp(0), 0);
            for (pause, passes) in steps {
                let event = match (pause, run.paused.is_some(), run.clock_paused.is_some()) {
                    (true, false, _) => RunEvent::Paused { at: now },
                    (true, true, _) => RunEvent::Resumed { at: now },
                    (false, _, false) => RunEvent::ClockPaused { at: now },
                    (false, _, true) => RunEvent::ClockResumed { at: now },
                };
                run.evolve(&event);
                still += if run.stands_still() { passes } else { 0 };
                now = now + DurationMs(passes);
            }
            if run.paused.is_some() {
                run.evolve(&RunEvent::Resumed { at: now });
            }
            if run.clock_paused.is_some() {
                run.evolve(&RunEvent::ClockResumed { at: now });
            }
            prop_assert_eq!(run.due_at, Some(Timestamp(10_000) + DurationMs(still)));
        }
    }
}
