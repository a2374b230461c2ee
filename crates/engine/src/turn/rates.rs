//! Tasks that wait in their queue until the provider of their worker's model takes another call.

use kapelle_core::{
    DurationMs,
    task::{Hold, HoldReason, Lift, Task},
};
use kapelle_store::StoreError;

use super::turns::Turns;

/// Waiting tasks that are looked at in one turn.
const LOOKS_MAX: u32 = 512;
/// A provider that says nothing better is asked again after that long.
const SHORTEST: DurationMs = DurationMs(20);

impl Turns {
    /// Whether the provider takes a call of that task now. When it does not, the task is no longer ready, and takes no
    /// slot.
    pub(super) fn provider_has_room(&mut self, task: &Task) -> Result<bool, StoreError> {
        let Some(spec) = self.directory.local(&task.worker) else { return Ok(true) };
        let Some(wait) = self.directory.provider_wait(&spec, task.id) else { return Ok(true) };
        if let Ok(event) = (Hold { reason: HoldReason::RateLimit }).decide(task) {
            self.change(task.id, &event)?;
        }
        self.look_at_rates_in(wait);
        Ok(false)
    }

    fn look_at_rates_in(&mut self, wait: DurationMs) {
        let at = self.scratch.now + wait.max(SHORTEST);
        self.rate_at = Some(self.rate_at.map_or(at, |known| known.min(at)));
    }

    /// Puts back in the order what waited for a provider that has room for it now. Who goes on has the right to its
    /// call already, so that nobody is lifted in vain.
    pub(super) fn lift_rates(&mut self) -> Result<(), StoreError> {
        if self.rate_at.is_none_or(|at| at > self.scratch.now) {
            return Ok(());
        }
        self.rate_at = None;
        for held in self.store.held(HoldReason::RateLimit, None, LOOKS_MAX)? {
            let wait = self.directory.local(&held.worker).and_then(|spec| self.directory.provider_wait(&spec, held.id));
            if let Some(wait) = wait {
                self.look_at_rates_in(wait);
                continue;
            }
            if self.load(held.id)?
                && let Some(task) = self.cache.task(held.id)
                && let Ok(event) = Lift.decide(task)
            {
                self.change(held.id, &event)?;
            }
        }
        Ok(())
    }
}
