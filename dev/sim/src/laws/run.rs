//! Allowed changes of a run from one commit to the next.

use std::sync::Arc;

use kapelle_core::{
    Payload, RunId,
    run::{Run, RunStatus, STUCK, ScopeId},
    task::{Task, TaskState, WaitFor},
};
use kapelle_store::Batch;

use super::{
    mirror::{dead, seen},
    model::Model,
};
use crate::disk::{Disk, RunShelf};

/// Interval of commits at which a journal is folded.
const FOLDED_EVERY: u64 = 8;

pub(super) fn check(disk: &mut Disk, batch: &Batch<'_>, run: &Run) -> Result<(), String> {
    let Some(mut shelf) = disk.runs.remove(&run.id) else { return Err(format!("{} is not stored", run.id)) };
    let mut model = shelf.model.take().unwrap_or_else(|| Model::new(input(&shelf)));
    let checked = checked(disk, batch, run, (&shelf, &mut model));
    let told = checked.map_err(|law| {
        let journal: Vec<_> = shelf.journal.iter().map(|entry| &entry.event).collect();
        let text = String::from_utf8_lossy(&shelf.flow.source).into_owned();
        format!("{}: {law}\n  journal: {journal:?}\n  model: {model:?}\n{text}", run.id)
    });
    shelf.model = Some(model);
    disk.runs.insert(run.id, shelf);
    told
}

fn checked(disk: &Disk, _batch: &Batch<'_>, run: &Run, (shelf, model): (&RunShelf, &mut Model)) -> Result<(), String> {
    if run.seq != shelf.journal.len() as u64 {
        return Err(format!("its number is {}, its journal has {} entries", run.seq, shelf.journal.len()));
    }
    model.listen(disk, shelf)?;
    let open = rows(disk, shelf, model)?;
    if open != run.open_tasks {
        return Err(format!("I6: {} rows are open in memory, {open} are stored", run.open_tasks));
    }
    if run.status.kind().is_terminal() {
        never_stuck(&run.status)?;
        let unreadable = matches!(&run.status, RunStatus::Failed { error, .. } if error.message.contains("`outputs`"));
        model.finished(&shelf.flow.table, unreadable)?;
    }
    rebuilt(disk, shelf, run)?;
    if run.seq.is_multiple_of(FOLDED_EVERY) || run.status.kind().is_terminal() {
        folded(disk, shelf, Some(run))?;
    }
    Ok(())
}

/// Checks that a run never waits for nothing: the watchdog has no run to end.
fn never_stuck(status: &RunStatus) -> Result<(), String> {
    let why = match status {
        RunStatus::Failed { error, .. } => error.message.as_str(),
        RunStatus::Cancelled { reason, .. } => &**reason,
        _ => return Ok(()),
    };
    if why.starts_with(STUCK) { Err(format!("I11: an open run waited for nothing: {why}")) } else { Ok(()) }
}

/// Returns the input that conditions read.
fn input(shelf: &RunShelf) -> bool {
    shelf.row.inputs.inline().is_some_and(|bytes| bytes.windows(4).any(|four| four == b"true"))
}

/// Checks that every row matches the journal, and that ended levels have no open rows. Returns the number of open rows.
fn rows(disk: &Disk, shelf: &RunShelf, model: &Model) -> Result<u32, String> {
    let mut open = 0;
    for ((scope, slot), task) in &shelf.steps {
        let Some(task) = disk.task(*task) else { return Err(format!("{task} is gone")) };
        let kind = task.state.kind();
        let told = model.row(*scope, slot.0).filter(|row| row.task == task.id);
        let Some(told) = told else { return Err(format!("I6: the journal does not know {task:?}")) };
        if told.ended != kind.is_terminal().then_some(kind) {
            return Err(format!("I6: {:?} in the journal is {task:?}", told.ended));
        }
        if kind.is_terminal() {
            continue;
        }
        open += 1;
        // Fewer than a turn may cancel: nothing is left for a later turn, nor for the workers.
        if !model.alive(*scope) {
            return Err(format!("what holds it was ended, and it was left open: {task:?}"));
        }
        child(disk, shelf.row.id, task)?;
    }
    Ok(open)
}

/// Checks that a step that waits for a run has ended with it.
fn child(disk: &Disk, run: RunId, task: &Task) -> Result<(), String> {
    let TaskState::Waiting(WaitFor::Run(child)) = &task.state else { return Ok(()) };
    let Some(shelf) = disk.runs.get(child) else { return Err(format!("{task:?} waits for a run that is not there")) };
    let parent = shelf.row.parent;
    if parent.is_none_or(|parent| parent.run != run) || shelf.row.status.kind().is_terminal() {
        return Err(format!("{task:?} waits for {:?}", shelf.row));
    }
    Ok(())
}

fn fresh(shelf: &RunShelf) -> Run {
    let row = &shelf.row;
    Run::new(row.id, row.tenant, row.version, Arc::clone(&shelf.flow.definition), Payload::None)
}

/// Checks that a recovery would find in the rows what the server has in memory.
fn rebuilt(disk: &Disk, shelf: &RunShelf, live: &Run) -> Result<(), String> {
    let mut rebuilt = fresh(shelf);
    rebuilt.status = shelf.row.status.clone();
    rebuilt.set_failed_by(shelf.row.stopped_by);
    rebuilt.rebuild(&disk.rows(shelf));
    differ("memory", live, "rows", &rebuilt)
}

fn differ(one: &str, left: &Run, other: &str, right: &Run) -> Result<(), String> {
    let dead = dead(left).into_iter().chain(dead(right)).collect();
    let (left, right) = (seen(left, &dead), seen(right, &dead));
    if left == right {
        return Ok(());
    }
    Err(format!("the {one} and the {other} disagree\n  {one}: {left:?}\n  {other}: {right:?}"))
}

/// Checks that folding the journal gives the state of the rows and of the memory.
///
/// # Errors
/// The difference.
pub fn folded(disk: &Disk, shelf: &RunShelf, live: Option<&Run>) -> Result<(), String> {
    let row = &shelf.row;
    let mut folded = fresh(shelf);
    shelf.journal.iter().for_each(|entry| folded.evolve(&entry.event));
    rebuilt(disk, shelf, &folded)?;
    let stopped = dead(&folded).contains(&ScopeId::ROOT) || folded.failed_by() == row.stopped_by;
    if folded.status.kind() != row.status.kind() || !stopped || folded.seq != row.seq {
        return Err(format!("the journal and the row of the run disagree: {row:?}, {folded:?}"));
    }
    match live {
        Some(run) => differ("journal", &folded, "memory", run),
        None => Ok(()),
    }
}
