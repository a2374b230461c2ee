//! The rows of one run, read out of a store and put into another.
//!
//! This is what a host that keeps a run alone carries from one life of it to the next: all that the loop needs to take
//! the run up again, and nothing of others. Leases go with it; the recovery of the loop makes them void, as after any
//! start.

use std::{collections::BTreeSet, sync::Arc};

use kapelle_core::{
    Account, Payload, PayloadId, RunId, TaskId, TenantId,
    definition::{Definition, Strategy},
    run::{Run, RunStatus, StepOrder, StepRow, built_in},
    task::{Attempt, Task, TaskState, WaitFor},
};
use kapelle_store::{
    AccountRow, AccountWrite, Batch, BudgetRow, Commit, IdKind, JournalEntry, LedgerWrites, PayloadBody, Reader,
    RunRow, RunWrite, Store, StoreError, TaskWrite, VersionRow,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::EngineError,
    turn::{Directory, run_from_row},
};

/// Rows read at a time.
const PAGE: u32 = 1_000;

/// The rows of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct RunRows {
    /// Version of the workflow that it uses.
    pub version: VersionRow,
    /// The run itself.
    pub run: RunRow,
    pub tasks: Vec<Task>,
    /// Unsuccessful attempts of its steps.
    pub attempts: Vec<Attempt>,
    pub journal: Vec<JournalEntry>,
    /// Payloads that the other rows name, by id.
    pub payloads: Vec<(PayloadId, PayloadBody)>,
    /// Limit of its spending.
    pub budget: Option<BudgetRow>,
    pub account: Option<AccountRow>,
}

impl RunRows {
    /// Reads the rows of a run. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read(
        store: &mut dyn Store,
        reader: &dyn Reader,
        (tenant, id): (TenantId, RunId),
    ) -> Result<Option<RunRows>, StoreError> {
        let Some(run) = reader.run(tenant, id)? else { return Ok(None) };
        let Some(version) = store.version(run.version)? else { return Ok(None) };
        let mut tasks: Vec<Task> = Vec::new();
        loop {
            let after = tasks.last().map_or(TaskId(0), |task| task.id);
            let page = reader.steps(id, after, PAGE)?;
            if page.is_empty() {
                break;
            }
            tasks.extend(page);
        }
        let mut journal: Vec<JournalEntry> = Vec::new();
        loop {
            let page = reader.journal(id, journal.len() as u64, PAGE)?;
            if page.is_empty() {
                break;
            }
            journal.extend(page);
        }
        let mut attempts = Vec::new();
        for task in &tasks {
            attempts.extend(reader.attempts(task.id)?);
        }
        let mut payloads = Vec::new();
        for payload in named(&run, &tasks) {
            payloads.extend(store.payload(payload)?.map(|body| (payload, body)));
        }
        let account = Account::Run(id);
        let (budget, account) = (store.budget(tenant, &account)?, store.account(tenant, &account, 0)?);
        Ok(Some(RunRows { version, run, tasks, attempts, journal, payloads, budget, account }))
    }

    /// Puts the rows into a store that has none of them. Ids that the store draws from then on follow those of the rows.
    ///
    /// # Errors
    /// When the store fails or has one of the rows, or the definition or the strategy of the run is not known.
    pub fn write(&self, store: &mut dyn Store, directory: &dyn Directory) -> Result<(), EngineError> {
        let VersionRow { source, file, .. } = &self.version;
        let definition = Definition::parse(source, file)
            .map_err(|problems| EngineError::Definition { run: self.run.id, message: problems.to_string() })?;
        let order = order(&self.run.strategy, directory)?;
        let mut run: Run = run_from_row(self.run.clone(), Arc::new(definition), order);
        run.rebuild(&self.tasks.iter().filter_map(step).collect::<Vec<_>>());
        pass(store, IdKind::Version, self.version.id)?;
        pass(store, IdKind::Run, self.run.id.0)?;
        pass(store, IdKind::Task, self.tasks.last().map_or(0, |task| task.id.0))?;
        pass(store, IdKind::Payload, self.payloads.last().map_or(0, |(id, _)| id.0))?;
        let accounts = self.account.iter().map(|row| AccountWrite { row: row.clone(), expected: None }).collect();
        let budgets = self.budget.iter().cloned().collect();
        let batch = Batch {
            versions: vec![self.version.clone()],
            payloads: self.payloads.clone(),
            runs: vec![RunWrite { run: &run, expected: None }],
            tasks: self.tasks.iter().map(|task| TaskWrite { task, expected: None }).collect(),
            attempts: self.attempts.clone(),
            journal: self.journal.clone(),
            ledger: LedgerWrites { accounts, budgets, ..LedgerWrites::default() },
            ..Batch::default()
        };
        match store.commit(&batch)? {
            Commit::Committed => Ok(()),
            Commit::Conflict { .. } => {
                Err(EngineError::InvalidInput(format!("{}: the store has rows of this run already", self.run.id)))
            }
        }
    }
}

/// Draws ids up to one that is taken.
fn pass(store: &mut dyn Store, kind: IdKind, last: i64) -> Result<(), StoreError> {
    let next = store.ids(kind, 1)?;
    match u32::try_from(last.saturating_sub(next)) {
        Ok(more) if more > 0 => store.ids(kind, more).map(drop),
        _ => Ok(()),
    }
}

fn order(strategy: &Strategy, directory: &dyn Directory) -> Result<Arc<dyn StepOrder>, EngineError> {
    let found = match strategy {
        Strategy::Custom(name) => directory.order(name),
        known => built_in(known),
    };
    found.ok_or_else(|| EngineError::InvalidInput(format!("strategy {strategy:?} is not registered")))
}

/// Returns the state of a slot as the row of its step has it.
fn step(task: &Task) -> Option<StepRow> {
    let origin = task.origin.as_ref()?;
    let (opened, signal) = match &task.state {
        TaskState::Waiting(WaitFor::Scope(opening)) => (Some(*opening), None),
        TaskState::Waiting(WaitFor::Signal { name, .. }) => (None, Some(name.clone())),
        _ => (None, None),
    };
    let (scope, slot, state) = (origin.scope, origin.slot, task.state.kind());
    Some(StepRow { scope, slot, task: task.id, state, opened, signal })
}

/// Returns the payload rows that a run and its steps name.
fn named(run: &RunRow, tasks: &[Task]) -> BTreeSet<PayloadId> {
    let outputs = match &run.status {
        RunStatus::Succeeded { outputs, .. } => Some(outputs),
        _ => None,
    };
    let of_run = [&run.inputs].into_iter().chain(outputs).chain(run.mailbox.iter().map(|(_, payload)| payload));
    let of_tasks = tasks.iter().flat_map(|task| {
        let output = match &task.state {
            TaskState::Succeeded { output, .. } => Some(output),
            _ => None,
        };
        [&task.input].into_iter().chain(output)
    });
    let rows = of_run.chain(of_tasks).filter_map(|payload| match payload {
        Payload::Row(id) => Some(*id),
        Payload::None | Payload::Inline(_) => None,
    });
    rows.collect()
}
