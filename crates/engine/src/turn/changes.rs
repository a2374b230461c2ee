//! Changes of a turn, for those who show the present state: what was written, reduced to what a list shows.

use std::sync::Arc;

use kapelle_core::{
    Account, CallId, Money, Name, RunId, TaskId, TenantId, Timestamp,
    run::{Run, StatusKind},
    task::{StateKind, Task, TaskState, WaitFor},
};
use kapelle_store::{Batch, CallState, CallWrite, GateKind};

/// Changes of a turn, sent after its commit.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Changes {
    pub at: Timestamp,
    pub tasks: Vec<TaskChange>,
    pub runs: Vec<RunChange>,
    pub gates: Vec<GateChange>,
    pub calls: Vec<CallChange>,
    pub budgets: Vec<BudgetChange>,
}

/// The new state of a task.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct TaskChange {
    pub id: TaskId,
    pub tenant: TenantId,
    pub worker: Name,
    pub queue: Name,
    pub state: StateKind,
    pub attempt: u32,
    /// The run and the path of the step, if it is one.
    pub step: Option<(RunId, Arc<str>)>,
    pub created_at: Timestamp,
    /// Start of the attempt, while it runs or after it succeeded.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// The word for what it waits for.
    pub wait: Option<&'static str>,
    /// The category of its error.
    pub category: Option<&'static str>,
    pub degraded: bool,
    pub stand_in: bool,
    pub cached: bool,
    pub cost: Money,
    /// Highest cost of the next call of a parked task.
    pub needs: Option<Money>,
}

/// The new state of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct RunChange {
    pub id: RunId,
    pub tenant: TenantId,
    pub workflow: Name,
    pub status: StatusKind,
    pub paused: bool,
    pub seq: u64,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// A queue or worker that was paused or resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct GateChange {
    pub tenant: TenantId,
    pub kind: GateKind,
    pub name: Name,
    pub paused: bool,
}

/// A call that was reserved or settled. Of a settled one only its id, its end and its cost are known here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct CallChange {
    pub id: CallId,
    pub opened: Option<OpenedCall>,
    pub state: CallState,
    pub cost: Money,
    pub input: u64,
    pub output: u64,
}

/// The beginning of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct OpenedCall {
    pub tenant: TenantId,
    pub task: Option<TaskId>,
    pub run: Option<RunId>,
    pub provider: Arc<str>,
    pub model: Arc<str>,
}

/// A budget that was set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct BudgetChange {
    pub tenant: TenantId,
    pub account: Account,
    pub limit: Money,
}

impl Changes {
    /// Returns the changes of a written batch; `None` when it changed nothing that is shown.
    pub(super) fn of(batch: &Batch<'_>, at: Timestamp) -> Option<Changes> {
        let changes = Changes {
            at,
            tasks: batch.tasks.iter().map(|write| task(write.task)).collect(),
            runs: batch.runs.iter().map(|write| run(write.run)).collect(),
            gates: batch
                .gates
                .iter()
                .map(|gate| GateChange {
                    tenant: gate.tenant,
                    kind: gate.kind,
                    name: gate.name.clone(),
                    paused: gate.paused,
                })
                .collect(),
            calls: batch.ledger.calls.iter().filter_map(call).collect(),
            budgets: batch
                .ledger
                .budgets
                .iter()
                .map(|row| BudgetChange { tenant: row.tenant, account: row.account.clone(), limit: row.limit })
                .collect(),
        };
        let nothing = changes.tasks.is_empty()
            && changes.runs.is_empty()
            && changes.gates.is_empty()
            && changes.calls.is_empty()
            && changes.budgets.is_empty();
        (!nothing).then_some(changes)
    }
}

fn task(task: &Task) -> TaskChange {
    let mut change = TaskChange {
        id: task.id,
        tenant: task.tenant,
        worker: task.worker.clone(),
        queue: task.queue.clone(),
        state: task.state.kind(),
        attempt: task.epoch,
        step: task.origin.as_ref().map(|origin| (origin.run, Arc::clone(&origin.path))),
        created_at: task.created_at,
        started_at: None,
        ended_at: task.ended_at(),
        wait: None,
        category: None,
        degraded: false,
        stand_in: false,
        cached: false,
        cost: Money::ZERO,
        needs: None,
    };
    match &task.state {
        TaskState::Running(lease) => change.started_at = Some(lease.started_at),
        TaskState::Waiting(wait) => change.wait = Some(word(wait)),
        TaskState::Parked { needs, .. } => change.needs = Some(*needs),
        TaskState::Retrying { error, .. } | TaskState::Failed { error, .. } | TaskState::Discarded { error, .. } => {
            change.category = Some(error.category.as_str());
            change.cost = error.cost;
        }
        TaskState::Succeeded { provenance, started_at, .. } => {
            change.started_at = Some(*started_at);
            change.degraded = provenance.degraded.is_some();
            (change.stand_in, change.cached, change.cost) =
                (provenance.stand_in, provenance.cached || provenance.reused.is_some(), provenance.cost);
        }
        _ => {}
    }
    change
}

fn word(wait: &WaitFor) -> &'static str {
    match wait {
        WaitFor::Scope(_) => "scope",
        WaitFor::Run(_) => "run",
        WaitFor::Timer { .. } => "timer",
        WaitFor::Signal { .. } => "signal",
        WaitFor::Approval { .. } => "approval",
    }
}

fn run(run: &Run) -> RunChange {
    RunChange {
        id: run.id,
        tenant: run.tenant,
        workflow: run.workflow.clone(),
        status: run.status.kind(),
        paused: run.paused.is_some(),
        seq: run.seq,
        created_at: run.created_at,
        ended_at: run.status.ended_at(),
    }
}

fn call(write: &CallWrite) -> Option<CallChange> {
    match write {
        CallWrite::New(row) => Some(CallChange {
            id: row.id,
            opened: Some(OpenedCall {
                tenant: row.tenant,
                task: row.task,
                run: row.run,
                provider: Arc::clone(&row.provider),
                model: Arc::clone(&row.model),
            }),
            state: row.state,
            cost: row.cost,
            input: row.input,
            output: row.output,
        }),
        CallWrite::End(id, end) => Some(CallChange {
            id: *id,
            opened: None,
            state: end.state,
            cost: end.cost,
            input: end.input,
            output: end.output,
        }),
        CallWrite::Answer(..) => None,
    }
}
