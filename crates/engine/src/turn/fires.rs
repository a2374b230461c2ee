//! Fires of schedules: the times that are due, and what each of them starts.

use std::sync::Arc;

use kapelle_core::{
    Name, RunId, Timestamp,
    run::Run,
    schedule::{self, FireContext, FireKind, FireOutcome, Open, Overlap, Plan, QUEUED_MAX, Target},
};
use kapelle_store::{FireRow, IdKind, ScheduleRow, StoreError};

use super::{
    command::{SubmitTask, VersionRef},
    control,
    payload::NewPayload,
    rows::Rows,
    runs, schedules,
    schedules::ScheduleKey,
    state::LoopState,
    tasks,
};

/// Schedules that one turn fires: ten thousand that are due at once share the loop with other work.
const SCHEDULES_MAX: u32 = 64;

/// Fires what is due, and what waited for an end.
pub(super) fn fire_due(state: &mut LoopState) -> Result<(), StoreError> {
    let (now, stopped) = (state.rows.now, state.schedules.stopped);
    if !state.rows.options.schedules || stopped {
        return Ok(());
    }
    if !state.schedules.woken.is_empty() {
        for key in std::mem::take(state.schedules.woken.change()) {
            fire_queued(state, &key)?;
        }
    }
    if !state.schedules.is_due(now) {
        return Ok(());
    }
    let due = state.rows.store.due_schedules(now, SCHEDULES_MAX)?;
    state.scratch.more_due |= due.len() == SCHEDULES_MAX as usize;
    for row in due {
        let key = (row.tenant, row.name);
        let Some(row) = schedules::load(&mut state.rows, &key)? else { continue };
        // The turn may have fired, changed or paused it already.
        if row.due_at.is_some_and(|at| at <= now) {
            fire_times(state, row)?;
        }
    }
    Ok(())
}

fn fire_times(state: &mut LoopState, mut row: ScheduleRow) -> Result<(), StoreError> {
    let (Ok(plan), Some(next)) = (row.spec.plan(), row.state.next) else {
        row.state.next = None;
        schedules::put(state, row);
        return Ok(());
    };
    let due = schedule::due(&plan, &row.spec, next, state.rows.now);
    if let Some(missed) = due.missed {
        schedules::record(&mut state.rows, &row, missed.first, FireKind::Due, FireOutcome::Missed(missed));
    }
    for time in due.fires {
        // A backfill may have been faster.
        let known = known(&mut state.rows, &row, time, FireKind::Due)?;
        if !known.is_some_and(|fire| fire.outcome.is_taken()) {
            let overlap = row.spec.overlap;
            fire(state, (&mut row, &plan), (time, FireKind::Due), overlap)?;
        }
    }
    row.state.next = due.next;
    schedules::put(state, row);
    Ok(())
}

/// Returns what became of a time, as the turn has it.
pub(super) fn known(
    rows: &mut Rows,
    row: &ScheduleRow,
    scheduled: Timestamp,
    kind: FireKind,
) -> Result<Option<FireRow>, StoreError> {
    let of = |fire: &&FireRow| {
        (fire.tenant, &fire.schedule, fire.scheduled, fire.kind) == (row.tenant, &row.name, scheduled, kind)
    };
    if let Some(fire) = rows.cache.fires.iter().rev().find(of) {
        return Ok(Some(fire.clone()));
    }
    rows.store.fire(row.tenant, &row.name, scheduled, kind)
}

/// Returns the rule for many times at once: one after another, unless all may work at the same time.
pub(super) fn one_by_one(overlap: Overlap) -> Overlap {
    if overlap == Overlap::Allow { overlap } else { Overlap::Queue }
}

/// Fires one time, and records what became of it.
pub(super) fn fire(
    state: &mut LoopState,
    (row, plan): (&mut ScheduleRow, &Plan),
    (time, kind): (Timestamp, FireKind),
    overlap: Overlap,
) -> Result<FireOutcome, StoreError> {
    let open = match row.state.last {
        Some(last) if overlap != Overlap::Allow && is_open(&mut state.rows, last)? => Some(last),
        _ => None,
    };
    let before = open.or(row.state.last.filter(|_| !row.state.queued.is_empty()));
    let outcome = match (overlap, open, before) {
        (Overlap::Skip, Some(open), _) => FireOutcome::Overlapped(open),
        (Overlap::Queue, _, Some(_)) if row.state.queued.len() >= QUEUED_MAX => FireOutcome::QueueFull,
        (Overlap::Queue, _, Some(before)) => {
            row.state.queued.push((time, kind));
            if open.is_some() {
                state.schedules.waiting.change().insert(before, (row.tenant, row.name.clone()));
            }
            FireOutcome::Queued(before)
        }
        (Overlap::CancelRunning, Some(open), _) => {
            cancel(state, open, &row.name)?;
            start(state, row, plan, time)?
        }
        _ => start(state, row, plan, time)?,
    };
    row.state.last = outcome.started().or(row.state.last);
    schedules::record(&mut state.rows, row, time, kind, outcome.clone());
    Ok(outcome)
}

/// Starts the next fires of a schedule that waited for an end.
fn fire_queued(state: &mut LoopState, key: &ScheduleKey) -> Result<(), StoreError> {
    let Some(mut row) = schedules::load(&mut state.rows, key)? else { return Ok(()) };
    let Ok(plan) = row.spec.plan() else { return Ok(()) };
    while !row.state.queued.is_empty() {
        if let Some(last) = row.state.last
            && is_open(&mut state.rows, last)?
        {
            state.schedules.waiting.change().insert(last, key.clone());
            break;
        }
        let (time, kind) = row.state.queued.remove(0);
        let outcome = start(state, &row, &plan, time)?;
        row.state.last = outcome.started().or(row.state.last);
        schedules::record(&mut state.rows, &row, time, kind, outcome);
    }
    schedules::put(state, row);
    Ok(())
}

/// Tells whether a run or task has not ended.
pub(super) fn is_open(rows: &mut Rows, open: Open) -> Result<bool, StoreError> {
    match open {
        Open::Run(id) => match rows.cache.run(id) {
            Some(run) => Ok(!run.status.kind().is_terminal()),
            None => Ok(rows.store.open_runs(RunId(id.0 - 1), 1)?.first() == Some(&id)),
        },
        Open::Task(id) => {
            Ok(rows.load(id)? && rows.cache.task(id).is_some_and(|task| !task.state.kind().is_terminal()))
        }
    }
}

fn cancel(state: &mut LoopState, open: Open, name: &Name) -> Result<(), StoreError> {
    let reason: Arc<str> = format!("schedule {name}: its next time has come").into();
    // A refusal means that it has ended meanwhile.
    let _ = match open {
        Open::Run(id) => control::cancel_run(state, id, &reason)?,
        Open::Task(id) => tasks::cancel(state, id, &reason)?,
    };
    Ok(())
}

/// Starts the run or task of a time.
fn start(
    state: &mut LoopState,
    row: &ScheduleRow,
    plan: &Plan,
    scheduled: Timestamp,
) -> Result<FireOutcome, StoreError> {
    let refuse = |what: String| Ok(FireOutcome::Refused(what.into()));
    let context = FireContext { schedule: &row.name, scheduled, time: state.rows.now, plan };
    let inputs = match row.spec.inputs(&context) {
        Ok(inputs) => inputs,
        Err(error) => return refuse(format!("with: {error}")),
    };
    match &row.spec.target {
        Target::Worker(worker) => {
            let task = SubmitTask::new(worker.clone(), NewPayload::Bytes(inputs.to_string().into_bytes().into()));
            match tasks::submit(state, row.tenant, &[task], None)? {
                Ok(made) => Ok(FireOutcome::Started(Open::Task(made.first))),
                Err(error) => refuse(error.to_string()),
            }
        }
        Target::Workflow(workflow) => match start_run(state, row, workflow, inputs)? {
            Ok(run) => Ok(FireOutcome::Started(Open::Run(run))),
            Err(error) => refuse(error),
        },
    }
}

/// Starts a run of the version that the workflow has now.
fn start_run(
    state: &mut LoopState,
    row: &ScheduleRow,
    workflow: &Name,
    inputs: serde_json::Value,
) -> Result<Result<RunId, String>, StoreError> {
    let version = match state.rows.directory.workflow(row.tenant, workflow) {
        Some(version) => version,
        None => match state.rows.store.newest_version(row.tenant, workflow)? {
            Some(stored) => VersionRef::Stored(stored.id),
            None => {
                return Ok(Err(format!("workflow: `{workflow}` does not exist; expected a workflow of the project")));
            }
        },
    };
    let (version, definition) = match state.definitions.version(&mut state.rows, row.tenant, &version)? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let inputs = match state.rows.directory.check_inputs(&definition, inputs) {
        Ok(inputs) => NewPayload::Bytes(inputs.to_string().into_bytes().into()),
        Err(error) => return Ok(Err(error.message)),
    };
    let strategy = definition.strategy.clone();
    let Some(order) = runs::order(state, &strategy) else {
        return Ok(Err(format!("`{workflow}` asks for a strategy that nobody registered")));
    };
    let id = RunId(state.rows.store.ids(IdKind::Run, 1)?);
    let inputs = state.rows.place(&inputs)?;
    let mut run = Run::new(id, row.tenant, version, definition, inputs).with_strategy(strategy, order);
    run.started_by.clone_from(&row.spec.by);
    runs::begin_run(state, run);
    Ok(Ok(id))
}
