//! Command: a scope inside of a step is done, so its row can end.

use super::{model::Run, scope::ScopeId};
use crate::id::TaskId;

/// A scope that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Closed {
    pub scope: ScopeId,
    /// Row that waits for it.
    pub task: TaskId,
    /// Failure that makes it fail.
    pub failed_by: Option<TaskId>,
}

impl Run {
    /// Takes a scope that is done, for the caller to end the row that waits for it. A scope that was taken and not
    /// ended is not stored: after a crash it is found again.
    pub fn take_done(&mut self) -> Option<Closed> {
        while let Some(scope) = self.done.pop_first() {
            if let Some(closed) = self.closed(scope) {
                return Some(closed);
            }
        }
        None
    }

    /// Tells whether scopes are done and were not taken up yet.
    #[must_use]
    pub fn has_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// Returns the result of a scope if it is done.
    #[must_use]
    pub fn closed(&self, id: ScopeId) -> Option<Closed> {
        let scope = self.scopes.get(&id).filter(|scope| scope.is_done())?;
        let (outer, slot) = scope.parent?;
        let failed_by = scope.failed_by.filter(|_| !scope.satisfied);
        Some(Closed { scope: id, task: self.slot(outer, slot)?.task?, failed_by })
    }
}
