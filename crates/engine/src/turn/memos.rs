//! Memos of tenants, written against the revisions that their writer read.

use kapelle_store::{MemoWrite, StoreError};

use super::{
    command::{self, Decide},
    runs::Answer,
    state::LoopState,
};

impl Decide for command::KeepMemos {
    fn decide(&self, state: &mut LoopState) -> Answer<bool> {
        let before = state.rows.cache.memos.len();
        for write in &*self.writes {
            if revision(state, write)? != write.expected() {
                state.rows.cache.memos.truncate(before);
                return Ok(Ok(false));
            }
            state.rows.cache.memos.push(write.clone());
        }
        Ok(Ok(true))
    }
}

/// Returns the revision of the memo that is to be written, as this turn has it; `None` for a new one.
fn revision(state: &mut LoopState, write: &MemoWrite) -> Result<Option<u32>, StoreError> {
    let (tenant, collection, key) = write.place();
    if let Some(pending) = state.rows.cache.memos.iter().rev().find(|known| known.place() == write.place()) {
        return Ok(pending.revision());
    }
    Ok(state.rows.store.memo(tenant, collection, key)?.map(|row| row.revision))
}
