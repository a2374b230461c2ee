//! How a run may change from one commit to the next, and what its journal must say.

use std::sync::Arc;

use kapelle_core::{
    Payload, TaskId,
    run::{Outcome, Phase, Run, RunEvent, RunStatus, ScopeId, ScopeKind, Slot, StatusKind},
    task::StateKind,
};
use kapelle_store::Batch;

use super::{
    mirror::{dead, seen},
    verdict::{Due, due},
};
use crate::disk::{Disk, RunShelf};

/// The row of a step of the outermost block.
fn row_of(shelf: &RunShelf, slot: usize) -> Option<TaskId> {
    shelf.steps.get(&(ScopeId::ROOT, Slot(slot as u32))).copied()
}

/// How the row of a step ended, if it has.
fn ended(disk: &Disk, shelf: &RunShelf, slot: usize) -> Option<StateKind> {
    let task = disk.task(row_of(shelf, slot)?)?;
    let kind = task.state.kind();
    kind.is_terminal().then_some(kind)
}

pub(super) fn check(disk: &Disk, batch: &Batch<'_>, run: &Run) -> Result<(), String> {
    let Some(shelf) = disk.runs.get(&run.id) else { return Err(format!("{} is not stored", run.id)) };
    let told = |law: String| format!("{}: {law}\n  journal: {:?}", run.id, shelf.journal);
    entries(disk, batch, shelf).map_err(told)?;
    if run.seq != shelf.journal.len() as u64 {
        return Err(told(format!("its number is {}, its journal has {} entries", run.seq, shelf.journal.len())));
    }
    mirrored(disk, shelf, run).map_err(told)?;
    // Fewer steps than a turn may cancel: nothing is left for a later turn, nor for the workers.
    if run.status.kind() == StatusKind::Cancelling {
        return Err(told("it was cancelled, and its tasks were left open".to_owned()));
    }
    if run.status.kind().is_terminal() {
        finished(disk, shelf, run).map_err(told)?;
        folded(disk, shelf, Some(run)).map_err(told)?;
    }
    Ok(())
}

/// The input that conditions look at.
fn input(shelf: &RunShelf) -> bool {
    shelf.row.inputs.inline().is_some_and(|bytes| bytes.windows(4).any(|four| four == b"true"))
}

/// Each new entry of the journal, at its place.
fn entries(disk: &Disk, batch: &Batch<'_>, shelf: &RunShelf) -> Result<(), String> {
    let fresh = batch.journal.iter().filter(|entry| entry.run == shelf.row.id).count();
    let old = shelf.journal.len() - fresh;
    for at in old..shelf.journal.len() {
        let earlier = &shelf.journal[..at];
        let event = &shelf.journal[at].event;
        let over = |event: &RunEvent| {
            matches!(event, RunEvent::Succeeded { .. } | RunEvent::Failed { .. } | RunEvent::Cancelled { .. })
        };
        if earlier.iter().any(|entry| over(&entry.event)) {
            return Err(format!("I3: {event:?} after its end"));
        }
        match event {
            RunEvent::Started { .. } if at != 0 => return Err("started twice".to_owned()),
            RunEvent::StepStarted { slot, task, .. } => begun(disk, shelf, earlier, (*slot, *task), Due::Start)?,
            RunEvent::StepSkipped { slot, task, .. } => begun(disk, shelf, earlier, (*slot, *task), Due::Skip)?,
            RunEvent::StepEnded { slot, outcome, .. } => {
                let expected = match ended(disk, shelf, slot.0 as usize) {
                    Some(StateKind::Succeeded) => Some(Outcome::Succeeded),
                    Some(StateKind::Failed) => Some(Outcome::Failed),
                    Some(StateKind::Cancelled) => Some(Outcome::Cancelled),
                    _ => None,
                };
                let twice =
                    earlier.iter().any(|e| matches!(&e.event, RunEvent::StepEnded { slot: s, .. } if s == slot));
                if expected != Some(*outcome) || twice {
                    return Err(format!("I6: step {} ended as {outcome:?}, its row as {expected:?}", slot.0));
                }
            }
            RunEvent::ScopeFailed { task, stops, .. } => {
                let place = shelf.steps.iter().find(|(_, step)| *step == task);
                let slot = place.map(|((_, slot), _)| slot.0 as usize).ok_or("stopped by no step")?;
                let kind = ended(disk, shelf, slot);
                let bad = matches!(kind, Some(StateKind::Failed | StateKind::Cancelled));
                if !bad || shelf.flow.steps[slot].tolerated || *stops == shelf.flow.goes_on {
                    return Err(format!("stopped by step {slot}, which is {kind:?}"));
                }
            }
            RunEvent::CancelRequested { .. } if !disk.moment.cancelled_runs.contains(&shelf.row.id) => {
                return Err("I5: cancelled, and nobody asked for it".to_owned());
            }
            _ => {}
        }
    }
    Ok(())
}

fn stopped(earlier: &[kapelle_store::JournalEntry]) -> bool {
    earlier.iter().any(|entry| matches!(entry.event, RunEvent::ScopeFailed { stops: true, .. }))
}

/// A step was begun or left out: once, with a row, and as its needs demand.
fn begun(
    disk: &Disk,
    shelf: &RunShelf,
    earlier: &[kapelle_store::JournalEntry],
    (slot, task): (Slot, TaskId),
    done: Due,
) -> Result<(), String> {
    let at = slot.0 as usize;
    let before = |event: &RunEvent| match event {
        RunEvent::StepStarted { slot: other, .. } | RunEvent::StepSkipped { slot: other, .. } => *other == slot,
        _ => false,
    };
    if earlier.iter().any(|entry| before(&entry.event)) {
        return Err(format!("I6: step {at} began twice"));
    }
    if earlier.iter().any(|entry| matches!(entry.event, RunEvent::CancelRequested { .. })) {
        return Err(format!("step {at} began after the run was cancelled"));
    }
    if row_of(shelf, at) != Some(task) || disk.task(task).is_none() {
        return Err(format!("I6: step {at} has no row"));
    }
    let step = &shelf.flow.steps[at];
    // Needs must have ended by this entry of the journal, not only by the end of the turn.
    let known = |need: usize| {
        let told = earlier.iter().any(|entry| match &entry.event {
            RunEvent::StepEnded { slot, .. } | RunEvent::StepSkipped { slot, .. } => slot.0 as usize == need,
            _ => false,
        });
        if told { ended(disk, shelf, need) } else { None }
    };
    let expected = due(step, &known, &|need| shelf.flow.steps[need].tolerated, stopped(earlier), input(shelf));
    if expected != done {
        return Err(format!("step {at} is to {expected:?}, and the run did {done:?}"));
    }
    Ok(())
}

/// The live run is what its rows say.
fn mirrored(disk: &Disk, shelf: &RunShelf, run: &Run) -> Result<(), String> {
    let root = run.scopes.get(&ScopeId::ROOT);
    // What was left open when it was cancelled ends and is not counted any more.
    let dead = root.is_some_and(|scope| scope.dead);
    let Some(ScopeKind::Block(scope)) = root.map(|scope| &scope.kind) else { return Err("it has no steps".to_owned()) };
    let (mut open, mut unfinished) = (0, 0);
    for (at, step) in shelf.flow.steps.iter().enumerate() {
        let state = &scope.slots[at];
        let row = row_of(shelf, at).and_then(|task| disk.task(task));
        let expected = match row.map(|task| task.state.kind()) {
            None => Phase::Pending,
            Some(StateKind::Succeeded) => Phase::Succeeded,
            Some(StateKind::Failed) if step.tolerated => Phase::Tolerated,
            Some(StateKind::Failed) => Phase::Failed,
            Some(StateKind::Cancelled) => Phase::Cancelled,
            Some(StateKind::Skipped) => Phase::Skipped,
            Some(_) => Phase::Open,
        };
        open += u32::from(expected == Phase::Open);
        unfinished += u32::from(!expected.has_ended());
        let unmet = step.needs.iter().filter(|need| ended(disk, shelf, **need).is_none()).count() as u32;
        let phase = if state.phase == Phase::Queued { Phase::Pending } else { state.phase };
        if phase != expected || (state.unmet != unmet && !dead) || state.task != row_of(shelf, at) {
            return Err(format!("step {at} is {state:?} in memory, {expected:?} with {unmet} unmet in its rows"));
        }
    }
    if run.open_tasks != open || (scope.unfinished != unfinished && !dead) {
        let live = (run.open_tasks, scope.unfinished);
        return Err(format!("I6: open and unfinished are {live:?} in memory, {:?} in the rows", (open, unfinished)));
    }
    if shelf.flow.sequential && open > 1 {
        return Err(format!("{open} steps of a sequential run are open"));
    }
    Ok(())
}

/// A run that ended has nothing left, and ended as its steps did.
fn finished(disk: &Disk, shelf: &RunShelf, run: &Run) -> Result<(), String> {
    let kinds: Vec<Option<StateKind>> = (0..shelf.flow.steps.len()).map(|at| ended(disk, shelf, at)).collect();
    let open = (0..kinds.len()).any(|at| row_of(shelf, at).is_some() && kinds[at].is_none());
    if open {
        return Err("it ended with an open task".to_owned());
    }
    let bad = |at: usize| matches!(kinds[at], Some(StateKind::Failed)) && !shelf.flow.steps[at].tolerated;
    let ended_by_hand = |at: usize| matches!(kinds[at], Some(StateKind::Cancelled)) && !shelf.flow.steps[at].tolerated;
    let fails = (0..kinds.len()).any(|at| bad(at) || ended_by_hand(at));
    let asked = shelf.journal.iter().any(|entry| matches!(entry.event, RunEvent::CancelRequested { .. }));
    let expected = match (asked, fails) {
        (true, _) => StatusKind::Cancelled,
        (false, true) => StatusKind::Failed,
        (false, false) => StatusKind::Succeeded,
    };
    let status = run.status.kind();
    let unreadable = matches!(&run.status, RunStatus::Failed { error, .. } if error.message.contains("`outputs`"));
    if status != expected && !unreadable {
        return Err(format!("it is {}, and should be {}", status.as_str(), expected.as_str()));
    }
    if status != StatusKind::Cancelled && kinds.iter().any(Option::is_none) {
        return Err("I6: it ended before all of its steps".to_owned());
    }
    Ok(())
}

/// Folding the journal gives what the rows give, and what is in memory.
///
/// # Errors
/// Where they differ.
pub fn folded(disk: &Disk, shelf: &RunShelf, live: Option<&Run>) -> Result<(), String> {
    let row = &shelf.row;
    let fresh = || Run::new(row.id, row.tenant, row.version, Arc::clone(&shelf.flow.definition), Payload::None);
    let mut folded = fresh();
    shelf.journal.iter().for_each(|entry| folded.evolve(&entry.event));
    let mut rebuilt = fresh();
    rebuilt.status = row.status.clone();
    rebuilt.rebuild(&disk.rows(shelf));
    let told = |what: &str, folded: String, other: String| {
        Err(format!("the journal and the {what} disagree\n  journal: {folded}\n  {what}: {other}"))
    };
    let dead = dead(&folded);
    let mine = seen(&folded, &dead);
    if mine != seen(&rebuilt, &dead) {
        return told("rows of the steps", format!("{mine:?}"), format!("{:?}", seen(&rebuilt, &dead)));
    }
    let stopped = dead.contains(&ScopeId::ROOT) || folded.failed_by() == row.stopped_by;
    if folded.status.kind() != row.status.kind() || !stopped || folded.seq != row.seq {
        return told("row of the run", format!("{folded:?}"), format!("{row:?}"));
    }
    match live {
        Some(run) if seen(run, &dead) != mine => {
            told("run in memory", format!("{mine:?}"), format!("{:?}", seen(run, &dead)))
        }
        _ => Ok(()),
    }
}
