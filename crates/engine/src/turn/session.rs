//! What the session log is told: every end of a task and every note, in the commit in which they happened.

use std::sync::Arc;

use kapelle_core::{Timestamp, task::Task};
use kapelle_store::{EndedTask, SessionRow, StoreError};

use super::state::LoopState;

/// What one turn has for the session log, once it is committed.
#[derive(Debug, Clone)]
pub struct Logged {
    /// 1, 2, 3, ... without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Tasks that ended, by id, in their last state.
    pub tasks: Vec<Arc<Task>>,
    /// What else happened, each a JSON object.
    pub notes: Vec<Arc<str>>,
}

impl LoopState {
    /// Puts what the turn has for the session log into its batch.
    pub(super) fn keep_session(&mut self) -> Result<(), StoreError> {
        if !self.options.session {
            self.scratch.notes.clear();
            return Ok(());
        }
        let changed = self.cache.changed_tasks.values().map(|changed| &changed.row);
        let ended = changed.filter(|task| task.state.kind().is_terminal());
        let mut ended: Vec<EndedTask> =
            ended.map(|task| EndedTask { task: task.id, epoch: task.epoch, state: task.state.kind() }).collect();
        let notes = self.scratch.notes.clone();
        if ended.is_empty() && notes.is_empty() {
            return Ok(());
        }
        ended.sort_unstable_by_key(|ended| ended.task);
        let last = match self.session_last {
            Some(last) => last,
            None => self.store.session_last()?,
        };
        self.cache.session = Some(SessionRow { seq: last + 1, at: self.scratch.now, ended, notes });
        // Known for good once the commit has succeeded; a turn that is forgotten asks the store.
        self.session_last = Some(last + 1);
        Ok(())
    }
}
