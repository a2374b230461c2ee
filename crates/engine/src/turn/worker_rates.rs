//! Rates of workers: how many attempts begin within a time, here and on worker hosts together.
//!
//! The starts within the time are kept in memory, so that in no span of that length more begin. A restart forgets them.
//! As at the rate of a provider, the lane waits and not its tasks.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{DurationMs, Name, TenantId, task::Task, task_rate::TaskRate, worker::WorkerSpec};

use super::{part::Part, rate_admission, rows::Rows, state::LoopState};

/// Workers with starts in memory before those without a recent one are dropped.
const MANY: usize = 1_024;

type Place = (TenantId, Name);

/// Workers that wait for their rate, for explanations.
#[derive(Debug, Clone, Default)]
pub struct RateWaits(Arc<Mutex<HashMap<Place, (TaskRate, u64)>>>);

impl RateWaits {
    fn all(&self) -> MutexGuard<'_, HashMap<Place, (TaskRate, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the rate for which the tasks of a worker wait, and the time until the next may begin. `None` when they do
    /// not wait for it.
    #[must_use]
    pub fn of(&self, tenant: TenantId, worker: &Name, steady_ms: u64) -> Option<(TaskRate, DurationMs)> {
        let (rate, until) = *self.all().get(&(tenant, worker.clone()))?;
        (until > steady_ms).then(|| (rate, DurationMs(until - steady_ms)))
    }
}

/// Recent starts of the workers that have a rate.
#[derive(Debug, Default)]
pub(super) struct WorkerRates {
    /// Times on the steady clock, oldest first.
    starts: HashMap<Place, VecDeque<u64>>,
    /// Starts of the current turn.
    fresh: Vec<Place>,
    pub(super) waits: RateWaits,
}

impl WorkerRates {
    /// Returns the time until another attempt may begin; `None` when one may now.
    fn wait(&mut self, place: &Place, rate: TaskRate, steady_ms: u64) -> Option<DurationMs> {
        let starts = self.starts.get_mut(place)?;
        while starts.front().is_some_and(|at| at + rate.per.0 <= steady_ms) {
            starts.pop_front();
        }
        // The start that must be over before another one: with a lower rate than before there may be more.
        let before = starts.len().checked_sub(rate.tasks as usize)?;
        starts.get(before).map(|at| DurationMs((at + rate.per.0).saturating_sub(steady_ms)))
    }

    /// Records that an attempt of a worker begins.
    pub(super) fn note_start(&mut self, task: &Task, spec: Option<&WorkerSpec>, steady_ms: u64) {
        if task.policy.recorded || spec.is_none_or(|spec| spec.rate.is_none()) {
            return;
        }
        if self.starts.len() > MANY {
            let recent = |at: &u64| at + TaskRate::LONGEST.0 > steady_ms;
            self.starts.retain(|_, starts| starts.back().is_some_and(recent));
        }
        let place = (task.tenant, task.worker.clone());
        self.starts.entry(place.clone()).or_default().push_back(steady_ms);
        self.fresh.push(place);
    }
}

impl Part for WorkerRates {
    /// Removes the starts of the turn.
    fn forget(&mut self, _rows: &mut Rows) {
        for place in self.fresh.drain(..) {
            if let Some(starts) = self.starts.get_mut(&place) {
                starts.pop_back();
            }
        }
    }

    fn committed(&mut self) {
        self.fresh.clear();
    }
}

/// Tells whether the rate of a task's worker lets it begin now. Otherwise the task returns to its place, and its lane
/// waits.
pub(super) fn has_room(state: &mut LoopState, task: &Task, spec: Option<&WorkerSpec>) -> bool {
    let Some(rate) = spec.and_then(|spec| spec.rate) else { return true };
    // A recorded task does nothing.
    if task.policy.recorded {
        return true;
    }
    let (place, steady) = ((task.tenant, task.worker.clone()), state.rows.steady_ms);
    let Some(wait) = state.worker_rates.wait(&place, rate, steady) else {
        state.worker_rates.waits.all().remove(&place);
        return true;
    };
    state.worker_rates.waits.all().insert(place, (rate, steady + wait.0));
    rate_admission::wait(state, task, wait);
    false
}
