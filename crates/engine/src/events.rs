//! Events for watchers.

use std::sync::Arc;

use kapelle_core::{
    RunId, TaskId, TenantId, Timestamp,
    run::{RunEvent, ScopeId, Slot, StatusKind},
    task::{Lease, Task, TaskState, WaitFor},
};

use crate::turn::{Effect, Rows};

/// An event of a run, sent after its commit.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Event {
    pub tenant: TenantId,
    pub run: RunId,
    pub at: Timestamp,
    /// Path of the step.
    pub step: Option<String>,
    pub kind: EventKind,
}

/// The kind of an event, with its details.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum EventKind {
    /// The run was started.
    RunStarted,
    /// A step has a task.
    StepReady { task: TaskId },
    /// A step waits for another event than a worker or its inner steps.
    StepWaiting {
        /// Row that waits.
        task: TaskId,
        /// Event that it waits for.
        wait: WaitFor,
    },
    /// An attempt has begun.
    AttemptStarted { task: TaskId, attempt: u32 },
    /// A step ended.
    StepEnded {
        /// The task in its final state.
        task: Arc<Task>,
    },
    /// A step was skipped.
    StepSkipped { reason: &'static str },
    /// The run ended.
    RunEnded { status: StatusKind },
}

impl Rows {
    fn notify(&mut self, run: RunId, step: Option<String>, kind: EventKind) {
        if self.watched() {
            let at = self.now;
            let Some(tenant) = self.cache.run(run).map(|run| run.tenant) else { return };
            self.effects.push(Effect::Notify(Event { tenant, run, at, step, kind }));
        }
    }

    pub(crate) fn notify_run(&mut self, run: RunId, event: &RunEvent) {
        if !self.watched() {
            return;
        }
        let kind = match event {
            RunEvent::Started { .. } => EventKind::RunStarted,
            RunEvent::StepStarted { task, .. } | RunEvent::ScopeOpened { task, .. } => {
                EventKind::StepReady { task: *task }
            }
            RunEvent::StepSkipped { reason, .. } => EventKind::StepSkipped { reason: reason.as_str() },
            RunEvent::Succeeded { .. } => EventKind::RunEnded { status: StatusKind::Succeeded },
            RunEvent::Failed { .. } => EventKind::RunEnded { status: StatusKind::Failed },
            RunEvent::Cancelled { .. } => EventKind::RunEnded { status: StatusKind::Cancelled },
            // Sent with the task in its final state by `notify_ended`, or not relevant for people.
            RunEvent::StepEnded { .. }
            | RunEvent::LoopEnded { .. }
            | RunEvent::ScopeFailed { .. }
            | RunEvent::Failing { .. }
            | RunEvent::TailOpened { .. }
            | RunEvent::Paused { .. }
            | RunEvent::Resumed { .. }
            | RunEvent::ClockPaused { .. }
            | RunEvent::ClockResumed { .. }
            | RunEvent::SignalKept { .. }
            | RunEvent::SignalLost { .. }
            | RunEvent::SignalTaken { .. }
            | RunEvent::Triggered { .. }
            | RunEvent::CancelRequested { .. } => return,
        };
        let place = match event {
            RunEvent::StepStarted { scope, slot, .. }
            | RunEvent::ScopeOpened { scope, slot, .. }
            | RunEvent::StepSkipped { scope, slot, .. } => Some((*scope, *slot)),
            _ => None,
        };
        let step = place.and_then(|(scope, slot)| self.path_of(run, scope, slot));
        self.notify(run, step, kind);
    }

    pub(crate) fn notify_waiting(&mut self, task: &Task, wait: &WaitFor) {
        let Some(origin) = &task.origin else { return };
        if self.watched() && !matches!(wait, WaitFor::Scope(_)) {
            let kind = EventKind::StepWaiting { task: task.id, wait: wait.clone() };
            self.notify(origin.run, Some(origin.path.to_string()), kind);
        }
    }

    pub(crate) fn notify_claimed(&mut self, task: &Task, lease: &Lease) {
        let Some(origin) = &task.origin else { return };
        if self.watched() {
            let step = Some(origin.path.to_string());
            self.notify(origin.run, step, EventKind::AttemptStarted { task: task.id, attempt: lease.epoch });
        }
    }

    pub(crate) fn notify_ended(&mut self, run: RunId, (scope, slot): (ScopeId, Slot), task: &Task) {
        if self.watched() {
            let step = self.path_of(run, scope, slot);
            self.notify(run, step, EventKind::StepEnded { task: Arc::new(task.clone()) });
        }
    }

    pub(crate) fn notify_failed_early(&mut self, task: &Task) {
        let Some(origin) = &task.origin else { return };
        if self.watched() && matches!(task.state, TaskState::Failed { .. }) {
            let step = Some(origin.path.to_string());
            self.notify(origin.run, step, EventKind::StepEnded { task: Arc::new(task.clone()) });
        }
    }

    fn path_of(&self, run: RunId, scope: ScopeId, slot: Slot) -> Option<String> {
        self.cache.run(run).map(|run| run.path(scope, slot))
    }

    /// Appends an event to the journal of a run, applies it and informs watchers.
    pub(crate) fn record(&mut self, id: RunId, event: &RunEvent) {
        self.notify_run(id, event);
        self.cache.evolve_run(id, event, self.now);
    }
}
