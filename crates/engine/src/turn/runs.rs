//! Runs: creation and loading.

use std::sync::Arc;

use kapelle_core::{
    Account, Money, Name, RunId, TenantId,
    definition::{Definition, Strategy},
    mutant::{Mutant, planted},
    run::{Run, RunEvent, RunRejection, StepOrder, TaskEnded, built_in},
    task::Task,
};
use kapelle_store::{BudgetRow, Deletion, IdKind, KeyReply, RunRow, StoreError};

use super::{
    advance,
    cache::Key,
    command::{self, Decide, NewRun, Started},
    state::LoopState,
    tasks,
};
use crate::error::EngineError;

/// Result of a command. The outer error is the store's and ends the turn; the inner one is the reply.
pub(super) type Answer<T = ()> = Result<Result<T, EngineError>, StoreError>;

impl Decide for command::StartRun {
    fn decide(&self, state: &mut LoopState) -> Answer<Started> {
        start_run(state, self.tenant, &self.run, self.key.as_ref())
    }
}

impl Decide for command::StoreVersion {
    fn decide(&self, state: &mut LoopState) -> Answer<i64> {
        Ok(state.definitions.version(&mut state.rows, self.tenant, &self.version)?.map(|(id, _)| id))
    }
}

impl Decide for command::DeleteVersion {
    fn decide(&self, state: &mut LoopState) -> Answer<Deletion> {
        delete_version(state, self.tenant, &self.workflow, self.number)
    }
}

pub(super) fn start_run(state: &mut LoopState, tenant: TenantId, new: &NewRun, key: Option<&Key>) -> Answer<Started> {
    if let Some(key) = key {
        match tasks::used_key(state, tenant, key)? {
            Some(Ok(KeyReply::Run(run))) => return Ok(Ok(Started { run, repeated: true })),
            Some(Ok(KeyReply::Tasks(..) | KeyReply::Fire(_))) | Some(Err(())) => {
                return Ok(Err(EngineError::KeyReused(key.key.to_string())));
            }
            None => {}
        }
    }
    let (version, definition) = match state.definitions.version(&mut state.rows, tenant, &new.version)? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let strategy = new.strategy.clone().unwrap_or_else(|| definition.strategy.clone());
    let Some(order) = order(state, &strategy) else { return Ok(Err(no_strategy(&strategy))) };
    let id = RunId(state.rows.store.ids(IdKind::Run, 1)?);
    let inputs = state.rows.place(&new.inputs)?;
    let mut run = Run::new(id, tenant, version, definition, inputs).with_strategy(strategy, order);
    run.rerun = new.rerun.clone();
    run.started_by.clone_from(&new.by);
    begin_run(state, run);
    if let Some(key) = key {
        tasks::remember_key(state, tenant, key, KeyReply::Run(id));
    }
    Ok(Ok(Started { run: id, repeated: false }))
}

/// Adds a new run to the turn.
pub(super) fn begin_run(state: &mut LoopState, mut run: Run) {
    let (id, version, now) = (run.id, run.version, state.rows.now);
    run.due_at = run.definition.timeout.map(|timeout| now + timeout);
    state.timers.note(run.due_at);
    if let Some(limit) = run.definition.budget {
        let account = Account::Run(id);
        let (tenant, warned) = (run.tenant, Money::ZERO);
        state.ledger.put_limit(BudgetRow { tenant, account, limit, own: None, base: limit, warned, at: now });
    }
    state.rows.cache.insert_run(run);
    state.rows.record(id, &RunEvent::Started { version, at: now });
    state.scratch.touched.insert(id);
}

/// Returns the order of a strategy. Returns `None` when it was not registered.
pub(super) fn order(state: &LoopState, strategy: &Strategy) -> Option<Arc<dyn StepOrder>> {
    match strategy {
        Strategy::Custom(name) => state.rows.directory.order(name),
        known => built_in(known),
    }
}

pub(super) fn delete_version(
    state: &mut LoopState,
    tenant: TenantId,
    workflow: &Name,
    number: u32,
) -> Answer<Deletion> {
    // A run that this very turn starts is not stored yet.
    let starting = state
        .rows
        .cache
        .changed_runs
        .values()
        .filter(|run| run.row.tenant == tenant && run.row.workflow == *workflow)
        .count() as u64;
    if starting > 0 {
        return Ok(Ok(Deletion::Used(starting)));
    }
    match state.rows.store.deletable(tenant, workflow, number)? {
        // Deleted twice in a turn, it is missing the second time.
        Ok(id) if state.rows.cache.deleted_versions.contains(&id) => Ok(Ok(Deletion::Missing)),
        Ok(id) => {
            state.rows.cache.deleted_versions.push(id);
            state.definitions.remove(id);
            Ok(Ok(Deletion::Deleted))
        }
        Err(refused) => Ok(Ok(refused)),
    }
}

/// Loads a run into memory.
pub(super) fn load_run(state: &mut LoopState, id: RunId) -> Result<Result<(), EngineError>, StoreError> {
    if state.rows.cache.run(id).is_some() {
        return Ok(Ok(()));
    }
    let Some((row, steps)) = state.rows.store.run(id)? else { return Ok(Err(EngineError::NoSuchRun(id))) };
    // Nothing happens to a run that has ended: its definition need not be read.
    let status = row.status.kind();
    if status.is_terminal() {
        return Ok(Err(RunRejection::NotRunning { run: id, status }.into()));
    }
    let definition = match state.definitions.stored(&mut state.rows, row.version)? {
        Ok(definition) => definition,
        Err(error) => return Ok(Err(EngineError::Definition { run: id, message: error.to_string() })),
    };
    let Some(order) = order(state, &row.strategy) else {
        return Ok(Err(EngineError::Definition { run: id, message: no_strategy(&row.strategy).to_string() }));
    };
    let mut run = run_from_row(row, definition, order);
    run.rebuild(&steps);
    // Tasks held by a pause that is over have to be released, should that have been cut short.
    if run.paused.is_none() && !state.rows.store.held_steps(id, 1)?.is_empty() {
        state.pauses.change().insert(id);
    }
    state.rows.cache.runs.insert(id, run);
    state.rows.loaded_runs.push(id);
    Ok(Ok(()))
}

/// Gives a run that fails at once the error in the words of one that fails at its end.
pub(super) fn tell_first(state: &mut LoopState, events: &mut [RunEvent]) -> Result<(), StoreError> {
    let [.., RunEvent::ScopeFailed { task, .. }, RunEvent::Failing { error }] = events else { return Ok(()) };
    *error = advance::error_of(state, *task)?;
    Ok(())
}

/// Handles the end of a task of a run.
pub(super) fn step_ended(state: &mut LoopState, id: RunId, ended: TaskEnded, task: &Task) -> Result<(), StoreError> {
    if let Err(error) = load_run(state, id)? {
        // Its row was open, and its run has ended: what is in memory is behind what another server wrote.
        state.scratch.stale |= matches!(error, EngineError::Run(_));
        return Ok(());
    }
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    let (scope, slot) = (ended.scope, ended.slot);
    match ended.decide(run) {
        Ok(mut events) => {
            state.rows.notify_ended(id, (scope, slot), task);
            tell_first(state, &mut events)?;
            events.iter().for_each(|event| state.rows.record(id, event));
        }
        // Its row was open, so the run in memory is older than another server's write: decide all of it again.
        Err(_) => state.scratch.stale = true,
    }
    if !planted(Mutant::JoinForgotten) {
        state.scratch.touched.insert(id);
    }
    Ok(())
}

/// Makes a run from its row, with no step begun.
pub(crate) fn run_from_row(row: RunRow, definition: Arc<Definition>, order: Arc<dyn StepOrder>) -> Run {
    let run = Run::new(row.id, row.tenant, row.version, definition, row.inputs);
    let mut run = run.with_strategy(row.strategy, order);
    run.created_at = row.created_at;
    run.status = row.status;
    run.paused = row.paused;
    run.clock_paused = row.clock_paused;
    run.mailbox = row.mailbox;
    run.parent = row.parent;
    run.started_by = row.started_by;
    run.rerun = row.rerun;
    run.due_at = row.due_at;
    run.seq = row.seq;
    run.revision = row.revision;
    run.set_failed_by(row.stopped_by);
    run
}

fn no_strategy(strategy: &Strategy) -> EngineError {
    let name = if let Strategy::Custom(name) = strategy { name.as_str() } else { "" };
    let known = Strategy::NAMES.join(", ");
    EngineError::InvalidInput(format!(
        "there is no strategy `{name}`: there are {known}, and those that were registered"
    ))
}
