//! The end of a turn: all its changes are written, and memory keeps what the next turns need.

use std::sync::Arc;

use kapelle_core::{
    RunId, TaskId,
    mutant::{Mutant, planted},
    run::{Opening, Run},
    schedule::Open,
    task::{StateKind, Task, TaskState, WaitFor},
};
use kapelle_store::{Commit, SessionRow, StoreError};

use super::{
    cache::Changed, changes::Changes, effect::Effect, lanes::lane_of, notice::Notice, outbox, session::Logged,
    state::LoopState,
};

/// Writes the turn. Returns false on a conflict.
pub(super) fn commit(state: &mut LoopState) -> Result<bool, StoreError> {
    state.ledger.give_back_ended(&mut state.rows)?;
    outbox::keep(state)?;
    state.session.keep(&mut state.rows, &mut state.scratch.notes)?;
    let (watched, now) = (state.rows.changes_watched(), state.rows.now);
    let mut changes = None;
    let mut batch = state.rows.cache.batch();
    batch.ledger = state.ledger.batch();
    if !batch.is_empty() {
        match state.rows.store.commit(&batch) {
            Ok(Commit::Committed) => {}
            Ok(Commit::Conflict { .. }) if planted(Mutant::ConflictIgnored) => {}
            Ok(Commit::Conflict { .. }) => {
                return Ok(false);
            }
            Err(error) if error.is_temporary() && planted(Mutant::AckBeforeCommit) => {}
            Err(error) => return Err(error),
        }
        if watched {
            changes = Changes::of(&batch, now);
        }
    }
    drop(batch);
    if let Some(changes) = changes {
        state.rows.effects.push(Effect::Tell(Notice::Changed(Arc::new(changes))));
    }
    keep(state);
    let_go(state);
    state.committed();
    if state.lanes.let_go() {
        state.rate_admission.lanes_moved();
    }
    state.timers.look_up(&mut state.rows)?;
    state.schedules.look_up(&mut state.rows)?;
    Ok(true)
}

/// Moves written rows to the memory of the next turns.
pub(super) fn keep(state: &mut LoopState) {
    let mut ended = Vec::new();
    let mut changed_tasks = std::mem::take(&mut state.rows.cache.changed_tasks);
    let mut ids: Vec<TaskId> = changed_tasks.keys().copied().collect();
    // An equal turn has equal effects, in one order.
    ids.sort_unstable();
    for id in ids {
        let Some(Changed { row: task, .. }) = changed_tasks.remove(&id) else { continue };
        let kind = task.state.kind();
        if state.rows.leases_watched() {
            let running = match task.state {
                TaskState::Running(lease) => Some(lease.epoch),
                _ => None,
            };
            state.rows.effects.push(Effect::Tell(Notice::Lease { task: id, running }));
        }
        let keep = match task.state {
            TaskState::Running(_) => true,
            TaskState::Ready { rank } => state.lanes.holds(&lane_of(&task), &(rank, id)),
            // Lists of fan-outs in progress: each of their items reads them.
            TaskState::Waiting(WaitFor::Scope(Opening::Items { .. })) => true,
            _ => false,
        };
        if kind != StateKind::Running {
            state.limits.give_back(id);
            state.rate_admission.end_right(&state.rows, id);
        }
        let remote = matches!(task.state, TaskState::Running(lease) if lease.host != 0);
        if !remote && !planted(Mutant::StaleRescue) {
            state.leases.end(id);
        }
        if keep {
            state.rows.cache.tasks.insert(id, task);
        } else if kind.is_terminal() {
            state.schedules.ended(Open::Task(id));
            state.rows.cache.lists.remove(&id);
            ended.push(task);
        }
    }
    let ended: Vec<Arc<Task>> = ended.into_iter().map(Arc::new).collect();
    state.rows.effects.extend(ended.iter().cloned().map(Effect::Ended));
    if let Some(SessionRow { seq, at, notes, .. }) = state.rows.cache.session.take() {
        state.rows.effects.push(Effect::Session(Arc::new(Logged { seq, at, tasks: ended, notes })));
    }
    let mut changed_runs: Vec<(RunId, Changed<Run>)> =
        std::mem::take(&mut state.rows.cache.changed_runs).into_iter().collect();
    changed_runs.sort_unstable_by_key(|(id, _)| *id);
    for (id, changed) in changed_runs {
        if changed.row.status.kind().is_terminal() {
            state.schedules.ended(Open::Run(id));
            state.rows.effects.push(Effect::RunEnded(id));
        } else {
            state.rows.cache.runs.insert(id, changed.row);
        }
    }
}

/// Drops rows that were only looked at: late reports on tasks that have long ended must not fill the memory.
pub(super) fn let_go(state: &mut LoopState) {
    for id in std::mem::take(&mut state.rows.loaded) {
        let Some(task) = state.rows.cache.tasks.get(&id) else { continue };
        let needed = match task.state {
            TaskState::Running(_) => true,
            TaskState::Ready { rank } => state.lanes.holds(&lane_of(task), &(rank, id)),
            TaskState::Waiting(WaitFor::Scope(Opening::Items { .. })) => true,
            _ => false,
        };
        if !needed {
            state.rows.cache.tasks.remove(&id);
        }
    }
    for id in std::mem::take(&mut state.rows.loaded_runs) {
        if state.rows.cache.runs.get(&id).is_some_and(|run| run.status.kind().is_terminal()) {
            state.rows.cache.runs.remove(&id);
        }
    }
}
