//! Deletion of expired rows, a few at a time.

use kapelle_core::Timestamp;
use kapelle_store::{Pruned, Retention, StoreError};

use crate::turn::LoopState;

/// Rows deleted in one piece.
const CHUNK: u32 = 256;

impl LoopState {
    /// Deletes one bounded piece of expired rows.
    ///
    /// # Errors
    /// When the store fails.
    pub fn prune(&mut self, now: Timestamp) -> Result<Pruned, StoreError> {
        let options = &self.rows.options;
        self.rows.store.prune(Retention {
            tasks_before: now - options.task_retention,
            runs_before: now - options.run_retention,
            keys_before: now,
            most: CHUNK,
        })
    }
}
