//! Times that have come.

use kapelle_core::task::{Elapse, Expire, Wake};
use kapelle_store::StoreError;

use super::state::LoopState;

/// Due tasks taken in one turn.
const DUE_MAX: u32 = 512;

impl LoopState {
    /// Wakes what waited for a time, and ends what is past its deadline.
    pub(super) fn wake_due(&mut self) -> Result<(), StoreError> {
        if kapelle_core::mutant::planted(kapelle_core::mutant::Mutant::LostWake) && (self.random)().is_multiple_of(8) {
            self.next_due = None;
            return Ok(());
        }
        let now = self.scratch.now;
        let due = self.store.due(now, DUE_MAX)?;
        self.scratch.more_due = due.len() == DUE_MAX as usize;
        self.scratch.due_changed = true;
        for id in due {
            if !self.load(id)? {
                continue;
            }
            let Some(task) = self.cache.task(id) else { continue };
            let wake = Wake { ageing: self.options.ageing };
            let decided = Expire.decide(task, now).or_else(|_| Elapse.decide(task, now));
            let decided = decided.or_else(|_| wake.decide(task, now));
            if let Ok(event) = decided {
                self.change(id, &event)?;
            }
        }
        let runs = self.store.due_runs(now, DUE_MAX)?;
        self.scratch.more_due |= runs.len() == DUE_MAX as usize;
        for id in runs {
            self.time_out(id)?;
        }
        Ok(())
    }
}
