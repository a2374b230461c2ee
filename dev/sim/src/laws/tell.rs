//! Checks of each journal entry at its position.

use kapelle_core::{
    TaskId, Timestamp,
    run::{Outcome, RunEvent, ScopeId, Slot, StatusKind},
    task::{StateKind, Task, TaskState},
};

use super::{
    begin::Began,
    model::{Expected, Layer, Model},
};
use crate::{
    disk::{Disk, RunShelf},
    flow::{OnError, Strategy, Table},
};

/// Lowest priority whose failure ends a run at once.
const FAIL_FAST_AT: i64 = 10;

impl Model {
    /// Reads the new journal entries of its run.
    pub(super) fn listen(&mut self, disk: &Disk, shelf: &RunShelf) -> Result<(), String> {
        while let Some(entry) = shelf.journal.get(self.told) {
            self.told += 1;
            self.tell(disk, shelf, &entry.event, entry.at)
                .map_err(|law| format!("{law}\n  at entry {}: {:?}", entry.seq, entry.event))?;
            self.latest = entry.at;
        }
        match self.expected.front() {
            Some(expected) => Err(format!("{expected:?} was to follow, and did not")),
            None => Ok(()),
        }
    }

    fn tell(&mut self, disk: &Disk, shelf: &RunShelf, event: &RunEvent, at: Timestamp) -> Result<(), String> {
        if self.over.is_some() {
            return Err("I3: it happened after its end".to_owned());
        }
        let follows = match event {
            RunEvent::ScopeFailed { scope, task, stops } => Some(Expected::ScopeFailed(*scope, *task, *stops)),
            RunEvent::Failing { .. } if !self.expected.is_empty() => Some(Expected::Failing),
            _ => None,
        };
        let expected = self.expected.pop_front();
        if follows != expected {
            return Err(format!("{expected:?} was to come now"));
        }
        match event {
            RunEvent::Started { .. } => {
                if self.told != 1 {
                    return Err("started twice".to_owned());
                }
                self.due = shelf.flow.table.timeout_ms.map(|timeout| Timestamp(at.0 + timeout));
            }
            RunEvent::StepStarted { scope, slot, task, signal } => {
                let signal = signal.as_ref().map(|name| name.to_string());
                self.begun(disk, shelf, (*scope, *slot), *task, &Began::Row(signal))?;
            }
            RunEvent::ScopeOpened { scope, slot, task, opening } => {
                self.begun(disk, shelf, (*scope, *slot), *task, &Began::Opened(*opening))?;
            }
            RunEvent::StepSkipped { scope, slot, task, .. } => {
                self.begun(disk, shelf, (*scope, *slot), *task, &Began::Skipped)?;
            }
            RunEvent::StepEnded { scope, slot, task, outcome } => {
                self.step_ended(disk, shelf, (*scope, *slot), *task, *outcome)?;
            }
            RunEvent::LoopEnded { scope } => {
                if !self.alive(*scope) || !self.enough(&shelf.flow.table, *scope) {
                    return Err("the loop was not over".to_owned());
                }
                self.change(*scope, |level| level.enough = true);
            }
            RunEvent::ScopeFailed { scope, stops, .. } => self.change(*scope, |level| {
                level.failed = true;
                level.stopped |= stops;
            }),
            RunEvent::Failing { .. } => self.failing_at(shelf, at, expected.is_some())?,
            RunEvent::Paused { .. }
            | RunEvent::Resumed { .. }
            | RunEvent::ClockPaused { .. }
            | RunEvent::ClockResumed { .. } => self.stands_still(disk, shelf, event, at)?,
            // No workflow here is started by the end of another.
            RunEvent::SignalKept { .. }
            | RunEvent::SignalLost { .. }
            | RunEvent::SignalTaken { .. }
            | RunEvent::Triggered { .. } => {}
            RunEvent::CancelRequested { .. } => self.cancelled(disk, shelf)?,
            RunEvent::TailOpened { scope } => self.tail_opened(&shelf.flow.table, *scope)?,
            RunEvent::Succeeded { .. } => self.over = Some(StatusKind::Succeeded),
            RunEvent::Failed { .. } => self.over = Some(StatusKind::Failed),
            RunEvent::Cancelled { .. } => self.over = Some(StatusKind::Cancelled),
        }
        Ok(())
    }

    /// Checks a failure at once: by a step, as the entry before says, or by its time limit.
    fn failing_at(&mut self, shelf: &RunShelf, at: Timestamp, told: bool) -> Result<(), String> {
        let stood = [self.paused, self.clock_paused].into_iter().flatten().min();
        let late = self.due.is_some_and(|due| due <= stood.unwrap_or(at));
        // Work until the time limit ended in the same turn.
        let waited = self.due.is_some_and(|due| self.latest < due) && self.only_waits(&shelf.flow.table);
        if !told && waited {
            return Err("its time ran out while it only waited".to_owned());
        }
        if !told && !late || self.cancels > 0 || self.failing {
            return Err("it began to fail, and had time".to_owned());
        }
        self.failing = true;
        self.kill(&[ScopeId::ON_ERROR, ScopeId::ON_CANCEL, ScopeId::FINALLY]);
        Ok(())
    }

    /// Checks that its clock stops or runs again.
    fn stands_still(&mut self, disk: &Disk, shelf: &RunShelf, event: &RunEvent, at: Timestamp) -> Result<(), String> {
        match event {
            RunEvent::Paused { .. } if self.paused.is_none() && disk.moment.paused.contains(&shelf.row.id) => {
                self.paused = Some(at);
            }
            RunEvent::Resumed { .. } if disk.moment.resumed.contains(&shelf.row.id) => {
                let since = self.paused.take().ok_or("resumed, and not paused")?;
                self.stood_still(since, at, self.clock_paused);
            }
            RunEvent::ClockPaused { .. } => {
                if self.due.is_none() || self.clock_paused.is_some() || !self.only_waits(&shelf.flow.table) {
                    return Err("its time stands still, and it does not only wait".to_owned());
                }
                self.clock_paused = Some(at);
            }
            RunEvent::ClockResumed { .. } => {
                let since = self.clock_paused.take().ok_or("its time goes on, and did not stand still")?;
                self.stood_still(since, at, self.paused);
            }
            _ => return Err("nobody asked for it".to_owned()),
        }
        Ok(())
    }

    /// Records the end of one reason for a stopped clock; another may remain.
    fn stood_still(&mut self, since: Timestamp, at: Timestamp, other: Option<Timestamp>) {
        let until = other.map_or(at, |other| other.min(at));
        self.due = self.due.map(|due| Timestamp(due.0 + (until.0 - since.0).max(0)));
    }

    fn change(&mut self, scope: ScopeId, change: impl FnOnce(&mut super::model::Level)) {
        if let Some(level) = self.levels.get_mut(&scope) {
            change(level);
        }
    }

    fn cancelled(&mut self, disk: &Disk, shelf: &RunShelf) -> Result<(), String> {
        let asked = disk.moment.cancelled_runs.contains(&shelf.row.id);
        let left = shelf.row.parent.and_then(|parent| disk.task(parent.task?));
        let left = left.is_some_and(|task| task.state.kind().is_terminal());
        if !(asked || left) || self.cancels > 1 {
            return Err("I5: cancelled, and nobody asked for it".to_owned());
        }
        self.cancels += 1;
        self.late |= self.has_begun(ScopeId::FINALLY);
        self.unsure |= !self.late && self.levels.contains_key(&ScopeId::FINALLY);
        self.kill(if self.cancels == 1 { &[ScopeId::FINALLY] } else { &[] });
        Ok(())
    }

    fn step_ended(
        &mut self,
        disk: &Disk,
        shelf: &RunShelf,
        (scope, slot): (ScopeId, Slot),
        task: TaskId,
        outcome: Outcome,
    ) -> Result<(), String> {
        let table = &shelf.flow.table;
        let stored = disk.task(task).ok_or("I6: it has no row")?;
        let kind = match outcome {
            Outcome::Succeeded => StateKind::Succeeded,
            Outcome::Failed => StateKind::Failed,
            Outcome::Cancelled => StateKind::Cancelled,
        };
        let row = self.row(scope, slot.0).filter(|row| row.task == task && row.ended.is_none());
        let row = row.ok_or("I6: it is not open")?;
        if stored.state.kind() != kind {
            return Err(format!("I6: it ended as {outcome:?}, its row as {:?}", stored.state));
        }
        if row.holds {
            self.held(disk, table, ScopeId::inner(scope, slot), stored)?;
        }
        if let Some(row) = self.levels.get_mut(&scope).and_then(|level| level.rows.get_mut(&slot.0)) {
            row.ended = Some(kind);
        }
        if self.alive(scope) && outcome != Outcome::Succeeded {
            self.expect(table, (scope, slot), task, outcome);
        }
        Ok(())
    }

    /// Checks a row that holds others. It succeeds only when all of them have ended without failure; it fails when one
    /// of them did, or at its time limit.
    fn held(&self, disk: &Disk, table: &Table, inner: ScopeId, stored: &Task) -> Result<(), String> {
        let failed = self.levels.get(&inner).is_some_and(|level| level.failed);
        let late = stored.policy.deadline.is_some_and(|at| at <= disk.moment.now);
        let done = self.done(table, inner);
        match &stored.state {
            TaskState::Succeeded { output, .. } if done && !failed => {
                super::output::check(self, disk, table, inner, output)
            }
            TaskState::Failed { .. } if late || (done && failed) => Ok(()),
            TaskState::Cancelled { .. } => Ok(()),
            state => Err(format!("it ended as {state:?}; inside, done: {done}, failed: {failed}")),
        }
    }

    /// Adds the events that must follow a step without success.
    fn expect(&mut self, table: &Table, (scope, slot): (ScopeId, Slot), task: TaskId, outcome: Outcome) {
        let Some(level) = self.levels.get(&scope) else { return };
        let mut fast = false;
        let stops = match level.layer {
            Layer::Items(block, at) if table.blocks[block][at].items.is_some_and(|items| items.collect) => return,
            Layer::Items(..) | Layer::Turns(..) => true,
            Layer::Block(block) => {
                let steps = &table.blocks[block];
                let handled = (slot.0 as usize).checked_sub(steps.len());
                let step = &steps[handled.unwrap_or(slot.0 as usize)];
                match (step.on_error, outcome) {
                    (OnError::Continue, _) | (OnError::Run(_), Outcome::Failed) if handled.is_none() => return,
                    _ => {}
                }
                let high = step.priority >= FAIL_FAST_AT;
                let own = level.outermost == ScopeId::ROOT && self.cancels == 0 && !self.failing;
                fast = table.strategy == Strategy::Priority && high && own;
                table.strategy != Strategy::Priority || high
            }
        };
        self.expected.push_back(Expected::ScopeFailed(scope, task, stops));
        if fast {
            self.expected.push_back(Expected::Failing);
        }
    }

    fn failed(&self, id: ScopeId) -> bool {
        self.levels.get(&id).is_some_and(|level| level.failed)
    }

    /// Returns the blocks of the end part that have begun, in their order.
    fn tails(&self, table: &Table) -> Vec<(ScopeId, usize)> {
        let [on_error, on_cancel, finally] = table.tails;
        let failed = self.failed(ScopeId::ROOT) || self.failing;
        let first = match self.cancels {
            0 if failed => on_error.map(|block| (ScopeId::ON_ERROR, block)),
            // A cancel during `finally` is too late for further blocks.
            1 if !(self.late || (self.unsure && self.has_begun(ScopeId::FINALLY))) => {
                on_cancel.map(|block| (ScopeId::ON_CANCEL, block))
            }
            _ => None,
        };
        let last = finally.filter(|_| self.cancels < 2).map(|block| (ScopeId::FINALLY, block));
        first.into_iter().chain(last).collect()
    }

    fn tail_opened(&mut self, table: &Table, scope: ScopeId) -> Result<(), String> {
        if self.levels.values().any(|level| level.rows.values().any(|row| row.ended.is_none())) {
            return Err("something before it is still open".to_owned());
        }
        if self.cancels == 0 && !self.failing && !self.done(table, ScopeId::ROOT) {
            return Err("the run's own steps are not over".to_owned());
        }
        let tails = self.tails(table);
        let unsure = |id: &ScopeId| self.unsure && *id == ScopeId::ON_CANCEL && scope == ScopeId::FINALLY;
        let next = tails.iter().find(|(id, _)| !self.has_begun(*id) && !unsure(id));
        match next {
            Some((id, block)) if *id == scope => {
                self.open(scope, None, Layer::Block(*block));
                Ok(())
            }
            other => Err(format!("{other:?} was to come")),
        }
    }

    /// Checks that an ended run has no open work, and ended as its steps did.
    pub(super) fn finished(&self, table: &Table, unreadable: bool) -> Result<(), String> {
        let Some(over) = self.over else { return Err("it ended, and its journal does not say so".to_owned()) };
        if self.levels.values().any(|level| level.rows.values().any(|row| row.ended.is_none())) {
            return Err("it ended with an open task".to_owned());
        }
        let fails = self.failing || self.failed(ScopeId::ROOT) || self.failed(ScopeId::FINALLY);
        let expected = match (self.cancels, fails || unreadable) {
            (1.., _) => StatusKind::Cancelled,
            (0, true) => StatusKind::Failed,
            (0, false) => StatusKind::Succeeded,
        };
        if over != expected {
            return Err(format!("it is {}, and should be {}", over.as_str(), expected.as_str()));
        }
        if self.cancels == 0 && !self.failing && !self.done(table, ScopeId::ROOT) {
            return Err("I6: it ended before all of its steps".to_owned());
        }
        for (id, _) in self.tails(table) {
            if !self.done(table, id) {
                return Err(format!("it ended, and {id:?} did not run to its end"));
            }
        }
        Ok(())
    }
}
