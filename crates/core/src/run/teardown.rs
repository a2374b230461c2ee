//! Cancellation of the open tasks when a run or a step is ended from outside.

use std::sync::Arc;

use super::{
    event::RunEvent,
    model::{Run, RunRejection, RunStatus},
    scope::{Phase, Scope, ScopeId, ScopeKind, Slot},
};
use crate::{
    TaskError,
    definition::{Action, BlockIx},
    id::TaskId,
    mutant::{Mutant, planted},
};

/// Ends a run that exceeded its time limit.
#[derive(Debug, Clone)]
pub struct TimeOut {
    /// Error to record.
    pub error: Arc<TaskError>,
}

impl TimeOut {
    /// Fails the run at once.
    ///
    /// # Errors
    /// When it is ending already, or has ended; or when its own steps are over, and only those at the end are left.
    pub fn decide(self, run: &Run) -> Result<Vec<RunEvent>, RunRejection> {
        let over = run.scopes.get(&ScopeId::ROOT).is_none_or(|root| root.is_done() || root.dead);
        match run.status {
            RunStatus::Running if !over => Ok(vec![RunEvent::Failing { error: self.error }]),
            _ => Err(RunRejection::NotRunning { run: run.id, status: run.status.kind() }),
        }
    }
}

impl Run {
    /// Returns the block of the definition that an end scope of the run executes.
    #[must_use]
    pub fn tail_block(&self, scope: ScopeId) -> Option<BlockIx> {
        match scope {
            ScopeId::ON_ERROR => self.definition.on_error,
            ScopeId::ON_CANCEL => self.definition.on_cancel,
            ScopeId::FINALLY => self.definition.finally,
            _ => None,
        }
    }

    /// Returns the tasks to cancel, at most `most` of them.
    #[must_use]
    pub fn to_cancel(&self, most: usize) -> Vec<TaskId> {
        self.to_cancel.iter().take(most).copied().collect()
    }

    /// Returns the open tasks, at most `most` of them.
    #[must_use]
    pub fn open(&self, most: usize) -> Vec<TaskId> {
        let open = self.scopes.values().flat_map(Scope::open).map(|(_, task)| task);
        open.chain(self.to_cancel.iter().copied()).take(most).collect()
    }

    /// Cancels what the status no longer allows. When failing, that is the run's own steps; when cancelling, all but the end
    /// part of a cancelled run; when requested twice, all.
    pub(super) fn tear_down_all(&mut self) {
        let spared: &[ScopeId] = match self.status {
            RunStatus::Failing { .. } => &[ScopeId::ON_ERROR, ScopeId::ON_CANCEL, ScopeId::FINALLY],
            RunStatus::Cancelling { hard: true, .. } => &[],
            // Only a cancel opens `on_cancel`: it is present when a recovery finds a cancel in progress.
            RunStatus::Cancelling { .. } => &[ScopeId::ON_CANCEL, ScopeId::FINALLY],
            _ => return,
        };
        let ended: Vec<ScopeId> =
            self.scopes.iter().filter(|(_, scope)| !spared.contains(&scope.outermost)).map(|(id, _)| *id).collect();
        for id in ended {
            self.tear_down(id);
            // The outermost scopes stay: the end part refers to their steps.
            if !id.is_outermost() {
                self.scopes.remove(&id);
            }
        }
    }

    /// Stops the scope: no step begins in it any more, and its open tasks are to be cancelled.
    fn tear_down(&mut self, id: ScopeId) {
        self.awake.remove(&id);
        self.done.remove(&id);
        let Some(scope) = self.scopes.get_mut(&id) else { return };
        scope.dead = true;
        if let ScopeKind::Block(block) = &mut scope.kind {
            block.ready.clear();
            block.handle_no_more();
        }
        if !planted(Mutant::CancelLeavesTasks) {
            self.to_cancel.extend(scope.open().into_iter().map(|(_, task)| task));
        }
    }

    /// Ends a scope in which enough has succeeded: its other slots are cancelled, with all inside of them. It is done
    /// when their tasks have ended, so that what it hands out does not depend on how fast that is.
    pub(super) fn satisfy(&mut self, id: ScopeId) {
        let Some(scope) = self.scopes.get_mut(&id) else { return };
        scope.satisfied = true;
        if let ScopeKind::Block(block) = &mut scope.kind {
            block.ready.clear();
            block.handle_no_more();
        }
        let open = scope.open();
        scope.leaving = open.len() as u32;
        for (slot, task) in open {
            self.drop_inner(id, slot);
            self.to_cancel.insert(task);
        }
        self.awake.remove(&id);
        self.note_done(id);
    }

    /// Closes the scope of a slot that has ended, and marks its open tasks for cancellation. The steps of a turn stay
    /// until the next turn has begun, because `until` may refer to them.
    pub(super) fn leave_inner(&mut self, scope: ScopeId, slot: Slot) {
        let inner = ScopeId::inner(scope, slot);
        let turn = matches!(self.scopes.get(&scope).map(|scope| &scope.kind), Some(ScopeKind::Turns(_)));
        let plain = matches!(self.step(scope, slot).map(|step| &step.action), Some(Action::Steps(_)));
        if turn && plain && self.scopes.get(&inner).is_some_and(|inner| inner.is_done() && inner.failed_by.is_none()) {
            self.done.remove(&inner);
            self.awake.remove(&inner);
            if let Some(inner) = self.scopes.get_mut(&inner) {
                inner.closed = true;
            }
        } else {
            self.drop_inner(scope, slot);
        }
    }

    /// Drops the scope that a slot opened, with all inside of it.
    pub(super) fn drop_inner(&mut self, scope: ScopeId, slot: Slot) {
        let mut left = vec![ScopeId::inner(scope, slot)];
        while let Some(id) = left.pop() {
            if !self.scopes.contains_key(&id) {
                continue;
            }
            self.tear_down(id);
            let Some(scope) = self.scopes.remove(&id) else { continue };
            left.extend(scope.open().into_iter().map(|(slot, _)| ScopeId::inner(id, slot)));
            if let ScopeKind::Turns(turns) = &scope.kind {
                left.extend(turns.turn.checked_sub(1).map(|before| ScopeId::inner(id, Slot(before))));
                left.push(ScopeId::inner(id, Slot(turns.turn)));
            }
        }
    }

    /// Tells whether the slot may still be begun.
    pub(super) fn is_alive(&self, scope: ScopeId, slot: Slot) -> bool {
        let Some(scope) = self.scopes.get(&scope) else { return false };
        let phase = scope.slot(slot).map(|state| state.phase);
        !scope.dead && !scope.satisfied && !scope.closed && matches!(phase, Some(Phase::Pending | Phase::Queued))
    }
}
