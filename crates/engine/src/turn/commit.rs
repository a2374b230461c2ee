//! The end of a turn: everything it changed is written, and memory keeps what the next turns need.

use std::sync::Arc;

use kapelle_core::task::{StateKind, TaskState};
use kapelle_store::{Commit, StoreError};

use super::{effect::Effect, lanes::lane_of, turns::Turns};

impl Turns {
    /// Writes the turn; false when it met a conflict.
    pub(super) fn commit(&mut self) -> Result<bool, StoreError> {
        let batch = self.cache.batch();
        if !batch.is_empty() {
            match self.store.commit(&batch)? {
                Commit::Committed => {}
                Commit::Conflict { .. } => return Ok(false),
            }
        }
        self.keep();
        self.lanes.committed();
        self.limits.committed();
        if self.scratch.due_changed {
            self.next_due = self.store.next_due()?;
        }
        Ok(true)
    }

    /// Moves what was written to where the next turns look for it.
    fn keep(&mut self) {
        let changed = std::mem::take(&mut self.cache.changed_tasks);
        for (id, changed) in changed {
            let task = changed.row;
            let kind = task.state.kind();
            let keep = match task.state {
                TaskState::Running(_) => true,
                TaskState::Ready { rank } => self.lanes.holds(&lane_of(&task), &(rank, id)),
                _ => false,
            };
            if kind != StateKind::Running {
                self.limits.give_back(id);
            }
            if !matches!(task.state, TaskState::Running(lease) if lease.host != 0) {
                self.leases.remove(&id);
            }
            if keep {
                self.cache.tasks.insert(id, task);
            } else if kind.is_terminal() {
                self.scratch.effects.push(Effect::Ended(Arc::new(task)));
            }
        }
        for (id, changed) in std::mem::take(&mut self.cache.changed_runs) {
            if changed.row.status.kind().is_terminal() {
                self.scratch.effects.push(Effect::RunEnded(id));
            } else {
                self.cache.runs.insert(id, changed.row);
            }
        }
    }
}
