//! What others see of the loop, and the flags by which they say what they want to see.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use kapelle_core::{
    DurationMs, RunId, TenantId, Timestamp,
    run::{ScopeId, Slot},
};
use kapelle_store::{Pruned, Retention, StoreError};

use super::{effect::Effect, state::LoopState};

impl LoopState {
    pub(crate) fn retention(&self) -> (DurationMs, DurationMs) {
        (self.options.task_retention, self.options.run_retention)
    }

    pub(crate) fn prune_store(&mut self, retention: Retention) -> Result<Pruned, StoreError> {
        self.store.prune(retention)
    }

    /// Set to have [`Effect::Notify`] made: nobody pays for events that nobody watches.
    #[must_use]
    pub fn watch_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.watched)
    }

    /// Set to be told of leases by [`Effect::Tell`].
    #[must_use]
    pub fn lease_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.leases_watched)
    }

    pub(super) fn leases_watched(&self) -> bool {
        self.leases_watched.load(Ordering::Relaxed)
    }

    pub(crate) fn watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.scratch.now
    }

    pub(crate) fn push_effect(&mut self, effect: Effect) {
        self.scratch.effects.push(effect);
    }

    pub(crate) fn run_tenant(&self, run: RunId) -> Option<TenantId> {
        self.cache.run(run).map(|run| run.tenant)
    }

    pub(crate) fn step_path(&self, run: RunId, scope: ScopeId, slot: Slot) -> Option<String> {
        self.cache.run(run).map(|run| run.path(scope, slot))
    }

    /// Ready tasks kept in memory.
    #[must_use]
    pub fn window_len(&self) -> usize {
        self.lanes.in_memory()
    }
}
