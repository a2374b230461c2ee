//! Due tasks and runs.

use kapelle_core::task::{Elapse, Expire, Wake};
use kapelle_store::StoreError;

use super::{control, fires, state::LoopState, tasks};

/// Limit of due tasks in one turn.
const DUE_MAX: u32 = 512;

/// Wakes tasks that waited for a time, and ends those past their deadline.
pub(super) fn wake_due(state: &mut LoopState) -> Result<(), StoreError> {
    if kapelle_core::mutant::planted(kapelle_core::mutant::Mutant::LostWake) && state.rows.random().is_multiple_of(8) {
        state.timers.lose();
        return Ok(());
    }
    let now = state.rows.now;
    let due = state.rows.store.due(now, DUE_MAX)?;
    state.scratch.more_due = due.len() == DUE_MAX as usize;
    state.timers.stir();
    for id in due {
        if !state.rows.load(id)? {
            continue;
        }
        let Some(task) = state.rows.cache.task(id) else { continue };
        let wake = Wake { ageing: state.rows.options.ageing };
        let decided = Expire.decide(task, now).or_else(|_| Elapse.decide(task, now));
        let decided = decided.or_else(|_| wake.decide(task, now));
        if let Ok(event) = decided {
            tasks::change(state, id, &event)?;
        }
    }
    let runs = state.rows.store.due_runs(now, DUE_MAX)?;
    state.scratch.more_due |= runs.len() == DUE_MAX as usize;
    for id in runs {
        control::time_out(state, id)?;
    }
    fires::fire_due(state)
}
