//! A run read back from its rows.

use crate::{
    definition::OnError,
    id::TaskId,
    run::model::{Phase, Run, RunStatus, ScopeId, Slot},
    task::StateKind,
};

/// What the row of a step tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRow {
    /// Where.
    pub scope: ScopeId,
    /// Which step.
    pub slot: Slot,
    /// The row's key.
    pub task: TaskId,
    /// Its state.
    pub state: StateKind,
}

impl Run {
    /// Puts the steps of a fresh run into the states their rows tell, and finds again what is ready.
    pub fn rebuild(&mut self, rows: &[StepRow]) {
        self.ready.clear();
        self.queued = 0;
        self.open_tasks = 0;
        let definition = std::sync::Arc::clone(&self.definition);
        for row in rows {
            let Some(scope) = self.scopes.get_mut(&row.scope) else { continue };
            let Some(step) = definition.block(scope.block).steps.get(row.slot.0 as usize) else { continue };
            let phase = match row.state {
                StateKind::Succeeded => Phase::Succeeded,
                StateKind::Failed if matches!(step.on_error, OnError::Continue) => Phase::Tolerated,
                StateKind::Failed => Phase::Failed,
                StateKind::Cancelled => Phase::Cancelled,
                StateKind::Skipped => Phase::Skipped,
                _ => Phase::Open,
            };
            if let Some(slot) = scope.slots.get_mut(row.slot.0 as usize) {
                slot.phase = phase;
                slot.task = Some(row.task);
            }
            if phase.has_ended() {
                scope.unfinished = scope.unfinished.saturating_sub(1);
                for dependent in &step.dependents {
                    if let Some(slot) = scope.slots.get_mut(dependent.0 as usize) {
                        slot.unmet = slot.unmet.saturating_sub(1);
                    }
                }
            } else {
                self.open_tasks += 1;
            }
        }
        if matches!(self.status, RunStatus::Running) {
            let scopes: Vec<ScopeId> = self.scopes.keys().copied().collect();
            for scope in scopes {
                self.queue_roots(scope);
            }
        }
    }
}
