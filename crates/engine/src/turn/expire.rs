//! Deletion of expired rows, a limited number in a turn.

use kapelle_store::{Retention, StoreError};

use super::{
    command::{Decide, Expire},
    state::LoopState,
};
use crate::error::EngineError;

/// Rows deleted in one turn, so that the turn stays short.
const EXPIRED_MAX: u32 = 256;

impl Decide for Expire {
    fn decide(&self, state: &mut LoopState) -> Result<Result<bool, EngineError>, StoreError> {
        let rows = &mut state.rows;
        let retention = Retention {
            tasks_before: rows.now - rows.options.task_retention,
            runs_before: rows.now - rows.options.run_retention,
            keys_before: rows.now,
            most: EXPIRED_MAX,
        };
        let any = rows.store.has_expired(retention)?;
        rows.cache.expired = any.then_some(retention).or(rows.cache.expired);
        Ok(Ok(any))
    }
}
