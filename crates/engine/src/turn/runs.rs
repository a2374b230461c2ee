//! Runs come into being and into memory.

use std::sync::Arc;

use kapelle_core::{
    Account, Money, Name, RunId, TenantId, Timestamp,
    definition::{Definition, Strategy},
    mutant::{Mutant, planted},
    run::{Run, RunEvent, StepOrder, TaskEnded, built_in},
    task::Task,
};
use kapelle_store::{BudgetRow, Deletion, IdKind, KeyReply, RunRow, StoreError, VersionRow};

use super::{
    cache::Key,
    command::{self, Decide, NewRun, Started, VersionRef},
    state::LoopState,
};
use crate::error::EngineError;

/// What a command comes to. The outer error is the store's and ends the turn; the inner one is the reply.
pub(super) type Answer<T = ()> = Result<Result<T, EngineError>, StoreError>;

impl Decide for command::StartRun {
    fn decide(&self, state: &mut LoopState) -> Answer<Started> {
        state.start_run(self.tenant, &self.run, self.key.as_ref())
    }
}

impl Decide for command::StoreVersion {
    fn decide(&self, state: &mut LoopState) -> Answer<i64> {
        Ok(state.version(self.tenant, &self.version)?.map(|(id, _)| id))
    }
}

impl Decide for command::DeleteVersion {
    fn decide(&self, state: &mut LoopState) -> Answer<Deletion> {
        state.delete_version(self.tenant, &self.workflow, self.number)
    }
}

impl LoopState {
    fn start_run(&mut self, tenant: TenantId, new: &NewRun, key: Option<&Key>) -> Answer<Started> {
        if let Some(key) = key {
            match self.used_key(tenant, key)? {
                Some(Ok(KeyReply::Run(run))) => return Ok(Ok(Started { run, repeated: true })),
                Some(Ok(KeyReply::Tasks(..))) | Some(Err(())) => {
                    return Ok(Err(EngineError::KeyReused(key.key.to_string())));
                }
                None => {}
            }
        }
        let (version, definition) = match self.version(tenant, &new.version)? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let strategy = new.strategy.clone().unwrap_or_else(|| definition.strategy.clone());
        let Some(order) = self.order(&strategy) else { return Ok(Err(no_strategy(&strategy))) };
        let id = RunId(self.store.ids(IdKind::Run, 1)?);
        let inputs = self.place(&new.inputs)?;
        let mut run = Run::new(id, tenant, version, definition, inputs).with_strategy(strategy, order);
        run.rerun = new.rerun.clone();
        run.started_by.clone_from(&new.by);
        self.begin_run(run);
        if let Some(key) = key {
            self.remember_key(tenant, key, KeyReply::Run(id));
        }
        Ok(Ok(Started { run: id, repeated: false }))
    }

    /// Takes a new run into the turn.
    pub(super) fn begin_run(&mut self, mut run: Run) {
        let (id, version, now) = (run.id, run.version, self.scratch.now);
        run.due_at = run.definition.timeout.map(|timeout| now + timeout);
        self.note_run_due(run.due_at);
        if let Some(limit) = run.definition.budget {
            let account = Account::Run(id);
            let (tenant, warned) = (run.tenant, Money::ZERO);
            self.put_limit(BudgetRow { tenant, account, limit, own: None, base: limit, warned, at: now });
        }
        self.cache.insert_run(run);
        self.record(id, &RunEvent::Started { version, at: now });
        self.scratch.touched.insert(id);
    }

    pub(super) fn note_run_due(&mut self, due: Option<Timestamp>) {
        if let Some(due) = due {
            self.next_due = Some(self.next_due.map_or(due, |known| known.min(due)));
        }
    }

    /// The order of a strategy; none when nobody registered it.
    pub(super) fn order(&self, strategy: &Strategy) -> Option<Arc<dyn StepOrder>> {
        match strategy {
            Strategy::Custom(name) => self.directory.order(name),
            known => built_in(known),
        }
    }

    /// The definition to run and the key of its version, which is made when the text is new.
    pub(super) fn version(
        &mut self,
        tenant: TenantId,
        wanted: &VersionRef,
    ) -> Result<Result<(i64, Arc<Definition>), EngineError>, StoreError> {
        match wanted {
            VersionRef::Stored(id) => Ok(self.definition(*id)?.map(|definition| (*id, definition))),
            VersionRef::Source { definition, source, sha256, file } => {
                let mut fresh = self.cache.versions.iter().rev();
                let fresh = fresh.find(|row| row.tenant == tenant && row.workflow == definition.name).cloned();
                let newest = match fresh {
                    Some(row) => Some(row),
                    None => self.store.newest_version(tenant, &definition.name)?,
                };
                let number = newest.as_ref().map_or(0, |row| row.number);
                let id = match newest {
                    Some(row) if row.sha256 == *sha256 => row.id,
                    _ => {
                        let id = self.store.ids(IdKind::Version, 1)?;
                        self.cache.versions.push(VersionRow {
                            id,
                            tenant,
                            workflow: definition.name.clone(),
                            number: number + 1,
                            sha256: *sha256,
                            source: Arc::clone(source),
                            file: Arc::clone(file),
                            created_at: self.scratch.now,
                        });
                        id
                    }
                };
                let kept = self.definitions.entry(id).or_insert_with(|| Arc::clone(definition));
                Ok(Ok((id, Arc::clone(kept))))
            }
        }
    }

    pub(super) fn delete_version(&mut self, tenant: TenantId, workflow: &Name, number: u32) -> Answer<Deletion> {
        // A run that this very turn starts is not stored yet.
        let starting = self
            .cache
            .changed_runs
            .values()
            .filter(|run| run.row.tenant == tenant && run.row.workflow == *workflow)
            .count() as u64;
        let deletion = match starting {
            0 => self.store.delete_version(tenant, workflow, number)?,
            runs => Deletion::Used(runs),
        };
        Ok(Ok(deletion))
    }

    fn definition(&mut self, id: i64) -> Result<Result<Arc<Definition>, EngineError>, StoreError> {
        if let Some(definition) = self.definitions.get(&id) {
            return Ok(Ok(Arc::clone(definition)));
        }
        let Some(row) = self.store.version(id)? else {
            return Ok(Err(EngineError::InvalidInput(format!("version {id} does not exist"))));
        };
        match Definition::parse(&row.source, &row.file) {
            Ok(definition) => {
                let definition = Arc::new(definition);
                self.definitions.insert(id, Arc::clone(&definition));
                Ok(Ok(definition))
            }
            Err(problems) => Ok(Err(EngineError::InvalidInput(problems.to_string()))),
        }
    }

    /// Brings a run into memory.
    pub(super) fn load_run(&mut self, id: RunId) -> Result<Result<(), EngineError>, StoreError> {
        if self.cache.run(id).is_some() {
            return Ok(Ok(()));
        }
        let Some((row, steps)) = self.store.run(id)? else { return Ok(Err(EngineError::NoSuchRun(id))) };
        let definition = match self.definition(row.version)? {
            Ok(definition) => definition,
            Err(error) => return Ok(Err(EngineError::Definition { run: id, message: error.to_string() })),
        };
        let Some(order) = self.order(&row.strategy) else {
            return Ok(Err(EngineError::Definition { run: id, message: no_strategy(&row.strategy).to_string() }));
        };
        let mut run = from_row(row, definition, order);
        run.rebuild(&steps);
        // What was held by a pause that is over has to be let go, should that have been cut short.
        if run.paused.is_none() && !self.store.held_steps(id, 1)?.is_empty() {
            self.lifting.insert(id);
        }
        self.cache.runs.insert(id, run);
        self.scratch.loaded_runs.push(id);
        Ok(Ok(()))
    }

    /// Writes an event to the journal of a run, applies it and tells those who watch.
    pub(super) fn record(&mut self, id: RunId, event: &RunEvent) {
        let now = self.scratch.now;
        self.notify_run(id, event);
        self.cache.evolve_run(id, event, now);
    }

    /// A run that fails at once is told why in the same words as one that fails in the end.
    pub(super) fn tell_first(&mut self, events: &mut [RunEvent]) -> Result<(), StoreError> {
        let [.., RunEvent::ScopeFailed { task, .. }, RunEvent::Failing { error }] = events else { return Ok(()) };
        *error = self.error_of(*task)?;
        Ok(())
    }

    /// A task of a run has ended.
    pub(super) fn step_ended(&mut self, id: RunId, ended: TaskEnded, task: &Task) -> Result<(), StoreError> {
        if self.load_run(id)?.is_err() {
            return Ok(());
        }
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        let (scope, slot) = (ended.scope, ended.slot);
        match ended.decide(run) {
            Ok(mut events) => {
                self.notify_ended(id, (scope, slot), task);
                self.tell_first(&mut events)?;
                events.iter().for_each(|event| self.record(id, event));
            }
            // Its row was open, so the run in memory is behind what another server wrote: decide all of it again.
            Err(_) => self.scratch.stale = true,
        }
        if !planted(Mutant::JoinForgotten) {
            self.scratch.touched.insert(id);
        }
        Ok(())
    }
}

/// A run as its row has it, none of its steps begun.
fn from_row(row: RunRow, definition: Arc<Definition>, order: Arc<dyn StepOrder>) -> Run {
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
    run
}

fn no_strategy(strategy: &Strategy) -> EngineError {
    let name = if let Strategy::Custom(name) = strategy { name.as_str() } else { "" };
    let known = Strategy::NAMES.join(", ");
    EngineError::InvalidInput(format!(
        "there is no strategy `{name}`: there are {known}, and those that were registered"
    ))
}
