//! Looking at runs without working on them.

use kapelle_core::{
    TaskId,
    definition::Definition,
    run::{Opening, Phase, Run, RunStatus, ScopeKind, Slot, StepRow, built_in},
    task::{HoldReason, Task, TaskState, WaitFor},
};
use kapelle_store::{Reader, RunRow};

use crate::error::Error;

/// Why a step is as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The path of the step.
    pub path: String,
    /// Its state.
    pub state: &'static str,
    /// Nothing follows it.
    pub ended: bool,
    /// Why, for people.
    pub why: String,
    /// The task that lacks nothing but a slot, and its worker: a server that works on it may know better why.
    pub ready: Option<(TaskId, String)>,
}

/// Rows read at a time.
const PAGE: u32 = 1_000;

/// Why the steps of a run are as they are: those that have a row, and those of the scopes under way that have none yet.
/// `serves` tells whether a worker of that name is known here.
///
/// # Errors
/// When the run or its definition cannot be read.
pub fn explain(reader: &dyn Reader, row: &RunRow, serves: &dyn Fn(&str) -> bool) -> Result<Vec<Reason>, Error> {
    let mut reasons = Vec::new();
    let mut rows = Vec::new();
    let mut after = TaskId(0);
    loop {
        let page = reader.steps(row.id, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for task in &page {
            rows.extend(step_row(task));
            reasons.push(of_task(task, row, serves));
        }
    }
    if row.status.kind().is_terminal() {
        return Ok(reasons);
    }
    let Some(version) = reader.version(row.tenant, row.version)? else { return Ok(reasons) };
    let definition = Definition::parse(&version.source, &version.file).map_err(Error::Definition)?;
    let mut run = Run::new(row.id, row.tenant, row.version, std::sync::Arc::new(definition), row.inputs.clone());
    if let Some(order) = built_in(&row.strategy) {
        run = run.with_strategy(row.strategy.clone(), order);
    }
    run.status = row.status.clone();
    run.rebuild(&rows);
    reasons.extend(pending(&run, row));
    Ok(reasons)
}

fn step_row(task: &Task) -> Option<StepRow> {
    let origin = task.origin.as_ref()?;
    let (opened, signal) = match &task.state {
        TaskState::Waiting(WaitFor::Scope(opening)) => (Some(*opening), None),
        TaskState::Waiting(WaitFor::Signal { name, .. }) => (None, Some(name.clone())),
        _ => (None, None),
    };
    let state = task.state.kind();
    Some(StepRow { scope: origin.scope, slot: origin.slot, task: task.id, state, opened, signal })
}

fn of_task(task: &Task, row: &RunRow, serves: &dyn Fn(&str) -> bool) -> Reason {
    let why = match &task.state {
        TaskState::Scheduled { at } => format!("it begins not before {}", at.0),
        TaskState::Ready { .. } if row.paused.is_some() => HoldReason::RunPaused.as_str().to_owned(),
        TaskState::Ready { .. } if !task.policy.requires.is_empty() => {
            format!("it waits for a host with the labels {}", task.policy.requires)
        }
        TaskState::Ready { .. } if !serves(task.worker.as_str()) => {
            format!("nobody here serves the worker `{}`", task.worker)
        }
        TaskState::Ready { .. } => format!("it waits for a slot of the queue `{}`", task.queue),
        TaskState::Running(lease) => format!("attempt {} is under way", lease.epoch),
        TaskState::Retrying { error, .. } => format!("it is tried again soon, after: {error}"),
        TaskState::Held { reason, .. } => HoldReason::as_str(*reason).to_owned(),
        TaskState::Parked { needs, .. } => format!("there is no money left: its next call may cost {needs}"),
        TaskState::Waiting(wait) => match wait {
            WaitFor::Scope(Opening::Items { total }) => format!("its {total} items have not all ended"),
            WaitFor::Scope(Opening::Turns) => "its turns are not over".to_owned(),
            WaitFor::Scope(Opening::Block(_)) => "its steps have not all ended".to_owned(),
            WaitFor::Run(run) => format!("it waits for {run}"),
            WaitFor::Timer { .. } => "it waits for its time".to_owned(),
            WaitFor::Signal { name, .. } => format!("it waits for the signal `{name}`"),
            WaitFor::Approval { .. } => format!("it waits for an approval: kapelle approvals approve {}", task.id),
        },
        TaskState::Succeeded { .. } => "it is done".to_owned(),
        TaskState::Failed { error, .. } => error.to_string(),
        TaskState::Discarded { .. } => "it was given up, and discarded by hand".to_owned(),
        TaskState::Cancelled { reason, .. } | TaskState::Skipped { reason, .. } => reason.to_string(),
    };
    let path = task.origin.as_ref().map_or_else(|| task.id.to_string(), |origin| origin.path.to_string());
    let ready = matches!(task.state, TaskState::Ready { .. }).then(|| (task.id, task.worker.to_string()));
    Reason { path, state: task.state.kind().as_str(), ended: task.state.kind().is_terminal(), why, ready }
}

/// What has no row yet, in the scopes under way.
fn pending(run: &Run, row: &RunRow) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (id, scope) in run.scopes.iter().filter(|(_, scope)| !scope.dead && !scope.closed) {
        let mut add =
            |path: String, why: String| reasons.push(Reason { path, state: "pending", ended: false, why, ready: None });
        match &scope.kind {
            ScopeKind::Block(block) => {
                let busy = block.slots.iter().enumerate().find(|(_, slot)| slot.phase == Phase::Open);
                let steps = &run.definition.block(block.block).steps;
                for (at, slot) in block.slots.iter().enumerate().filter(|(_, slot)| slot.phase == Phase::Pending) {
                    let Some(step) = steps.get(at) else { continue };
                    let open = |need: &&kapelle_core::definition::StepIx| {
                        block.slots.get(need.0 as usize).is_some_and(|slot| !slot.phase.has_ended())
                    };
                    let needs: Vec<&str> =
                        step.needs.iter().filter(open).map(|need| steps[need.0 as usize].name.as_str()).collect();
                    let why = match (needs.is_empty(), busy) {
                        _ if row.paused.is_some() => "the run is paused".to_owned(),
                        (false, _) => format!("it needs {}, which {} not ended", needs.join(", "), plural(needs.len())),
                        (true, Some((other, _))) if slot.unmet == 0 => {
                            format!("one step after the other: {} is under way", run.path(*id, Slot(other as u32)))
                        }
                        _ => "it is about to begin".to_owned(),
                    };
                    add(run.path(*id, Slot(at as u32)), why);
                }
            }
            ScopeKind::Items(items) if items.next < items.total && !scope.stopped => {
                let left = items.total - items.next;
                let why = match row.paused {
                    Some(_) => "the run is paused".to_owned(),
                    None => format!("as many items as may are under way ({}); {left} are left", items.open.len()),
                };
                add(run.path(*id, Slot(items.next)), why);
            }
            ScopeKind::Turns(turns) if turns.state.phase == Phase::Pending && !turns.over => {
                add(run.path(*id, Slot(turns.turn)), "its `until` is about to be looked at".to_owned());
            }
            _ => {}
        }
    }
    if matches!(run.status, RunStatus::Running) {
        for (name, block) in [("finally", run.definition.finally)] {
            if block.is_some() && !run.scopes.contains_key(&kapelle_core::run::ScopeId::FINALLY) {
                let why = "it begins when the steps of the run are over".to_owned();
                reasons.push(Reason { path: name.to_owned(), state: "pending", ended: false, why, ready: None });
            }
        }
    }
    reasons
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "has" } else { "have" }
}
