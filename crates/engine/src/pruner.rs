//! What is past its retention is deleted, a little at a time.

use kapelle_core::Timestamp;
use kapelle_store::{Pruned, Retention, StoreError};

use crate::turn::LoopState;

/// Rows deleted in one go.
const CHUNK: u32 = 256;

impl LoopState {
    /// Deletes one bounded portion of what is past its retention.
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
