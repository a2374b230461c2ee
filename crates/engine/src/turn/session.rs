//! Session log: every end of a task and every note, in the commit of the event.

use std::sync::Arc;

use kapelle_core::{Timestamp, task::Task};
use kapelle_store::{EndedTask, SessionRow, StoreError};

use super::{part::Part, rows::Rows};

/// Entry of one turn for the session log, after its commit.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Number: 1, 2, 3, ... without gaps.
    pub seq: u64,
    /// Time of the event.
    pub at: Timestamp,
    /// Tasks that ended, by id, in their final state.
    pub tasks: Vec<Arc<Task>>,
    /// Other events, each a JSON object.
    pub notes: Vec<Arc<str>>,
}

/// Numbers of the session log.
#[derive(Debug, Default)]
pub(super) struct SessionNumbers {
    /// Newest number, once it was read.
    last: Option<u64>,
}

impl Part for SessionNumbers {
    /// Reads the number again after a rollback.
    fn forget(&mut self, _rows: &mut Rows) {
        self.last = None;
    }
}

impl SessionNumbers {
    /// Adds the entry of the turn to its batch.
    pub(super) fn keep(&mut self, rows: &mut Rows, notes: &mut Vec<Arc<str>>) -> Result<(), StoreError> {
        if !rows.options.session {
            notes.clear();
            return Ok(());
        }
        let changed = rows.cache.changed_tasks.values().map(|changed| &changed.row);
        let ended = changed.filter(|task| task.state.kind().is_terminal());
        let mut ended: Vec<EndedTask> =
            ended.map(|task| EndedTask { task: task.id, epoch: task.epoch, state: task.state.kind() }).collect();
        let notes = notes.clone();
        if ended.is_empty() && notes.is_empty() {
            return Ok(());
        }
        ended.sort_unstable_by_key(|ended| ended.task);
        let last = match self.last {
            Some(last) => last,
            None => rows.store.session_last()?,
        };
        rows.cache.session = Some(SessionRow { seq: last + 1, at: rows.now, ended, notes });
        self.last = Some(last + 1);
        Ok(())
    }
}
