//! What can happen to a run: the entries of its journal, in their stored form.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    TaskError,
    definition::OnError,
    id::TaskId,
    mutant::{Mutant, planted},
    run::model::{Phase, Run, RunStatus, ScopeId, Slot},
    run::verdict::SkipReason,
    time::Timestamp,
};

/// How a task of the run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "documented at TaskState")]
pub enum Outcome {
    Succeeded,
    Failed,
    Cancelled,
}

/// An entry of the journal: ids and decisions, never payloads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// It was started.
    Started {
        /// The version of the definition.
        version: i64,
        /// When.
        at: Timestamp,
    },
    /// A step has a task.
    StepStarted {
        /// Where.
        scope: ScopeId,
        /// Which step.
        slot: Slot,
        /// Its task.
        task: TaskId,
    },
    /// A step was kept from running.
    StepSkipped {
        /// Where.
        scope: ScopeId,
        /// Which step.
        slot: Slot,
        /// The row that says so.
        task: TaskId,
        /// What kept it.
        reason: SkipReason,
    },
    /// A step ended.
    StepEnded {
        /// Where.
        scope: ScopeId,
        /// Which step.
        slot: Slot,
        /// How.
        outcome: Outcome,
    },
    /// A step failed and no further step is to start, but those that ask for failures.
    Stopping {
        /// The task of the step.
        task: TaskId,
    },
    /// Somebody wants it to end.
    CancelRequested {
        /// By whom or why.
        reason: Arc<str>,
    },
    /// It ended well.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// It failed.
    Failed {
        /// Why.
        error: Arc<TaskError>,
        /// When.
        at: Timestamp,
    },
    /// It was cancelled, and its last open task has ended.
    Cancelled {
        /// When.
        at: Timestamp,
    },
}

impl Run {
    /// Applies a fact. Total: what `decide` allowed cannot fail here.
    pub fn evolve(&mut self, event: &RunEvent) {
        self.seq += 1;
        match event {
            RunEvent::Started { at, .. } => self.created_at = *at,
            RunEvent::StepStarted { scope, slot, task } => {
                self.leave_queue(*scope, *slot, Phase::Open, *task);
                self.open_tasks += 1;
            }
            RunEvent::StepSkipped { scope, slot, task, .. } => {
                self.leave_queue(*scope, *slot, Phase::Skipped, *task);
                self.slot_ended(*scope, *slot);
            }
            RunEvent::StepEnded { scope, slot, outcome } => {
                let tolerated = self.step(*scope, *slot).is_some_and(|step| matches!(step.on_error, OnError::Continue));
                let phase = match outcome {
                    Outcome::Succeeded => Phase::Succeeded,
                    Outcome::Failed if tolerated => Phase::Tolerated,
                    Outcome::Failed => Phase::Failed,
                    Outcome::Cancelled => Phase::Cancelled,
                };
                self.set_phase(*scope, *slot, phase);
                self.open_tasks = self.open_tasks.saturating_sub(1);
                self.slot_ended(*scope, *slot);
            }
            RunEvent::Stopping { task } => self.stopped_by = Some(*task),
            RunEvent::CancelRequested { reason } => {
                self.status = RunStatus::Cancelling { reason: Arc::clone(reason) };
                self.ready.clear();
                self.queued = 0;
            }
            RunEvent::Succeeded { at } => {
                // The outputs are a payload, which the journal does not carry: whoever commits adds them.
                self.status = RunStatus::Succeeded { outputs: crate::Payload::None, ended_at: *at };
            }
            RunEvent::Failed { error, at } => {
                self.status = RunStatus::Failed { error: Arc::clone(error), ended_at: *at };
            }
            RunEvent::Cancelled { at } => {
                let reason = match &self.status {
                    RunStatus::Cancelling { reason } => Arc::clone(reason),
                    _ => Arc::from(""),
                };
                self.status = RunStatus::Cancelled { reason, ended_at: *at };
            }
        }
    }

    fn set_phase(&mut self, scope: ScopeId, slot: Slot, phase: Phase) {
        let state = self.scopes.get_mut(&scope).and_then(|scope| scope.slots.get_mut(slot.0 as usize));
        if let Some(state) = state {
            state.phase = phase;
        }
    }

    /// A slot whose condition and input were settled leaves the queue, also when it never passed through
    /// [`Run::take_ready`] because the journal is being folded.
    fn leave_queue(&mut self, scope: ScopeId, slot: Slot, phase: Phase, task: TaskId) {
        let state = self.scopes.get_mut(&scope).and_then(|scope| scope.slots.get_mut(slot.0 as usize));
        let Some(state) = state else { return };
        match state.phase {
            Phase::Queued => self.queued = self.queued.saturating_sub(1),
            _ => self.ready.retain(|entry| *entry != (scope, slot)),
        }
        state.phase = phase;
        state.task = Some(task);
    }

    /// One look at the neighbours: their counts go down, and those at zero become ready.
    fn slot_ended(&mut self, id: ScopeId, slot: Slot) {
        let cancelling = !matches!(self.status, RunStatus::Running);
        let Some(scope) = self.scopes.get_mut(&id) else { return };
        let joined = if planted(Mutant::JoinCountedTwice) { 2 } else { 1 };
        scope.unfinished = scope.unfinished.saturating_sub(joined);
        let definition = Arc::clone(&self.definition);
        let Some(step) = definition.block(scope.block).steps.get(slot.0 as usize) else { return };
        for dependent in &step.dependents {
            let Some(state) = scope.slots.get_mut(dependent.0 as usize) else { continue };
            let met = if planted(Mutant::NeedCountedTwice) { 2 } else { 1 };
            state.unmet = state.unmet.saturating_sub(met);
            let allowed = if planted(Mutant::StartBeforeNeeds) { 1 } else { 0 };
            if state.unmet <= allowed && state.phase == Phase::Pending && !cancelling {
                self.ready.push_back((id, Slot(dependent.0)));
            }
        }
    }
}
