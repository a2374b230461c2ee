//! Changes as they travel.

use kapelle_api as api;
use kapelle_core::Timestamp;
use kapelle_engine::{BudgetChange, GateChange, RunChange, TaskChange};
use kapelle_store::CallRow;

use crate::{calls, to_api};

pub(super) fn run(change: &RunChange) -> api::RunDelta {
    api::RunDelta {
        id: change.id.to_string(),
        workflow: change.workflow.to_string(),
        state: to_api::run_state(change.status),
        paused: change.paused,
        seq: change.seq,
        created_at: to_api::time(change.created_at),
        ended_at: change.ended_at.map(to_api::time),
    }
}

pub(super) fn task(change: &TaskChange, at: Timestamp) -> api::TaskDelta {
    api::TaskDelta {
        id: change.id.to_string(),
        worker: change.worker.to_string(),
        queue: change.queue.to_string(),
        state: to_api::state(change.state),
        attempt: change.attempt,
        run: change.step.as_ref().map(|(run, _)| run.to_string()),
        step: change.step.as_ref().map(|(_, path)| path.to_string()),
        at: to_api::time(at),
        created_at: to_api::time(change.created_at),
        started_at: change.started_at.map(to_api::time),
        ended_at: change.ended_at.map(to_api::time),
        wait: change.wait.map(str::to_owned),
        category: change.category.map(str::to_owned),
        degraded: change.degraded,
        stand_in: change.stand_in,
        cached: change.cached,
        cost_nanousd: Some(change.cost.0).filter(|cost| *cost > 0),
        needs_nanousd: change.needs.map(|needs| needs.0),
    }
}

pub(super) fn gate(change: &GateChange) -> api::GateDelta {
    api::GateDelta { kind: change.kind.as_str().to_owned(), name: change.name.to_string(), paused: change.paused }
}

pub(super) fn budget(change: &BudgetChange) -> api::BudgetDelta {
    api::BudgetDelta { account: change.account.written(), limit_nanousd: change.limit.0 }
}

pub(super) fn call(row: &CallRow) -> api::CallDelta {
    api::CallDelta {
        id: row.id.to_string(),
        task: row.task.map(|task| task.to_string()),
        run: row.run.map(|run| run.to_string()),
        provider: row.provider.to_string(),
        model: row.model.to_string(),
        state: calls::call_state(row.state),
        cost_nanousd: row.cost.0,
        input_tokens: row.input,
        output_tokens: row.output,
    }
}
