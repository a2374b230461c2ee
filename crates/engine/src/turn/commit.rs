//! The end of a turn: everything it changed is written, and memory keeps what the next turns need.

use std::sync::Arc;

use kapelle_core::{
    mutant::{Mutant, planted},
    run::Opening,
    task::{StateKind, Task, TaskState, WaitFor},
};
use kapelle_store::{Commit, SessionRow, StoreError};

use super::{effect::Effect, lanes::lane_of, notice::Notice, session::Logged, state::LoopState};

impl LoopState {
    /// Writes the turn; false when it met a conflict.
    pub(super) fn commit(&mut self) -> Result<bool, StoreError> {
        self.keep_session()?;
        self.give_back_ended()?;
        let mut batch = self.cache.batch();
        batch.ledger = self.ledger.batch();
        if !batch.is_empty() {
            match self.store.commit(&batch) {
                Ok(Commit::Committed) => {}
                Ok(Commit::Conflict { .. }) if planted(Mutant::ConflictIgnored) => {}
                Ok(Commit::Conflict { .. }) => {
                    self.session_last = None;
                    return Ok(false);
                }
                Err(error) if error.is_temporary() && planted(Mutant::AckBeforeCommit) => {}
                Err(error) => return Err(error),
            }
        }
        self.ledger.committed();
        self.keep();
        self.let_go();
        self.lanes.committed();
        self.limits.committed();
        self.rate_admission.committed();
        if self.scratch.due_changed {
            self.next_due = self.store.next_due()?;
        }
        Ok(true)
    }

    /// Moves what was written to where the next turns look for it.
    fn keep(&mut self) {
        let mut ended = Vec::new();
        for (id, changed) in std::mem::take(&mut self.cache.changed_tasks) {
            let task = changed.row;
            let kind = task.state.kind();
            if self.leases_watched() {
                let running = match task.state {
                    TaskState::Running(lease) => Some(lease.epoch),
                    _ => None,
                };
                self.scratch.effects.push(Effect::Tell(Notice::Lease { task: id, running }));
            }
            let keep = match task.state {
                TaskState::Running(_) => true,
                TaskState::Ready { rank } => self.lanes.holds(&lane_of(&task), &(rank, id)),
                // The lists of fan-outs under way: each of their items looks at them.
                TaskState::Waiting(WaitFor::Scope(Opening::Items { .. })) => true,
                _ => false,
            };
            if kind != StateKind::Running {
                self.limits.give_back(id);
                self.end_right(id);
            }
            let remote = matches!(task.state, TaskState::Running(lease) if lease.host != 0);
            if !remote && !planted(Mutant::StaleRescue) {
                self.leases.remove(&id);
            }
            if keep {
                self.cache.tasks.insert(id, task);
            } else if kind.is_terminal() {
                self.cache.lists.remove(&id);
                ended.push(task);
            }
        }
        // The same turn has the same effects, in the same order.
        ended.sort_unstable_by_key(|task| task.id);
        let ended: Vec<Arc<Task>> = ended.into_iter().map(Arc::new).collect();
        self.scratch.effects.extend(ended.iter().cloned().map(Effect::Ended));
        if let Some(SessionRow { seq, at, notes, .. }) = self.cache.session.take() {
            self.scratch.effects.push(Effect::Session(Arc::new(Logged { seq, at, tasks: ended, notes })));
        }
        for (id, changed) in std::mem::take(&mut self.cache.changed_runs) {
            if changed.row.status.kind().is_terminal() {
                self.scratch.effects.push(Effect::RunEnded(id));
            } else {
                self.cache.runs.insert(id, changed.row);
            }
        }
    }

    /// Lets go of rows that were only looked at: late reports on tasks that have long ended must not fill the memory.
    fn let_go(&mut self) {
        for id in std::mem::take(&mut self.scratch.loaded) {
            let Some(task) = self.cache.tasks.get(&id) else { continue };
            let needed = match task.state {
                TaskState::Running(_) => true,
                TaskState::Ready { rank } => self.lanes.holds(&lane_of(task), &(rank, id)),
                TaskState::Waiting(WaitFor::Scope(Opening::Items { .. })) => true,
                _ => false,
            };
            if !needed {
                self.cache.tasks.remove(&id);
            }
        }
        for id in std::mem::take(&mut self.scratch.loaded_runs) {
            if self.cache.runs.get(&id).is_some_and(|run| run.status.kind().is_terminal()) {
                self.cache.runs.remove(&id);
            }
        }
    }
}
