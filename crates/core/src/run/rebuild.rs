//! Recovery of a run from its rows.

use std::{collections::HashMap, sync::Arc};

use super::{
    model::{Run, RunStatus},
    scope::{BlockScope, Opening, Phase, Scope, ScopeId, ScopeKind, Slot, SlotState},
    slot_kind::SlotKind,
};
use crate::{
    Name,
    definition::{Action, OnError, OnItemError, StepDef},
    id::TaskId,
    mutant::{Mutant, planted},
    task::StateKind,
};

/// State of a slot as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct StepRow {
    pub scope: ScopeId,
    pub slot: Slot,
    /// Key of the row.
    pub task: TaskId,
    /// State of the row.
    pub state: StateKind,
    /// Scope that it waits for.
    pub opened: Option<Opening>,
    /// Signal that it waits for.
    pub signal: Option<Name>,
}

type Rows<'a> = HashMap<ScopeId, Vec<&'a StepRow>>;

impl Run {
    /// Restores the slots of a fresh run from their rows, and finds those that are ready.
    pub fn rebuild(&mut self, rows: &[StepRow]) {
        let stopped_by = self.failed_by();
        let mut scopes = Rows::new();
        for row in rows {
            scopes.entry(row.scope).or_default().push(row);
        }
        self.scopes.clear();
        self.awake.clear();
        self.done.clear();
        self.waiting.clear();
        self.to_cancel.clear();
        self.open_tasks = 0;
        self.leaves.clear();
        let root = self.definition.root;
        self.open_block(ScopeId::ROOT, None, root);
        for tail in [ScopeId::ON_ERROR, ScopeId::ON_CANCEL, ScopeId::FINALLY] {
            if let Some(block) = self.tail_block(tail).filter(|_| scopes.contains_key(&tail)) {
                self.open_block(tail, None, block);
            }
        }
        let mut left: Vec<ScopeId> = self.scopes.keys().copied().collect();
        while let Some(id) = left.pop() {
            let mut rows = scopes.remove(&id).unwrap_or_default();
            rows.sort_unstable_by_key(|row| row.slot);
            self.rebuild_scope(id, &rows);
            left.extend(self.rebuild_inner(id, &rows));
        }
        // Open rows of scopes that no longer exist: a user ended the step that held them.
        for row in scopes.values().flatten().filter(|row| !row.state.is_terminal()) {
            self.open_tasks += 1;
            self.to_cancel.insert(row.task);
        }
        if !matches!(self.status, RunStatus::Running) {
            self.tear_down_all();
        }
        let satisfied = self.scopes.get(&ScopeId::ROOT).is_some_and(|root| root.satisfied);
        if satisfied || !matches!(self.status, RunStatus::Running) {
            // A step that the end of its run cancelled looks like one that a person cancelled, which would stop it.
            self.set_failed_by(stopped_by);
        }
    }

    fn rebuild_scope(&mut self, id: ScopeId, rows: &[&StepRow]) {
        for row in rows.iter().filter(|row| !row.state.is_terminal()) {
            self.open_tasks += 1;
            if row.opened.is_none() {
                self.add_leaf(row.scope, row.slot, row.task, row.state == StateKind::Parked);
            }
            if let Some(name) = &row.signal {
                self.waiting.entry(name.clone()).or_default().insert(row.task);
            }
        }
        match self.scopes.get(&id).map(|scope| &scope.kind) {
            Some(ScopeKind::Block(_)) => self.rebuild_block(id, rows),
            Some(ScopeKind::Items(_)) => self.rebuild_items(id, rows),
            Some(ScopeKind::Turns(_)) => self.rebuild_turns(id, rows),
            None => {}
        }
        self.awake.insert(id);
        let ends_run = |row: &&&StepRow| self.step(id, row.slot).is_some_and(|step| step.ends_run);
        let ended = id == ScopeId::ROOT && rows.iter().filter(ends_run).any(|row| row.state == StateKind::Succeeded);
        if ended || self.has_enough(id) {
            self.satisfy(id);
        }
        self.note_done(id);
    }

    fn rebuild_block(&mut self, id: ScopeId, rows: &[&StepRow]) {
        let definition = Arc::clone(&self.definition);
        let order = Arc::clone(&self.order);
        let first = self.first_of(id).is_some();
        let Some(scope) = self.scopes.get_mut(&id) else { return };
        let ScopeKind::Block(block) = &mut scope.kind else { return };
        block.ready.clear();
        let steps = &definition.block(block.block).steps;
        let mut failures = Vec::new();
        let mut handling: Vec<(Slot, TaskId)> = Vec::new();
        for row in rows {
            let mut phase = phase_of(row.state);
            let at = row.slot.0 as usize;
            let state = |phase| SlotState { phase, unmet: 0, task: Some(row.task) };
            if let Some(failed) = block.handled(row.slot) {
                // Slots are sorted: the failed step has been seen.
                block.handlers.insert(failed.0, state(phase));
                handling.retain(|(slot, _)| *slot != failed);
                let outcome = match phase {
                    Phase::Succeeded => Phase::Tolerated,
                    phase if phase.has_ended() => Phase::Failed,
                    _ => Phase::Handling,
                };
                block.busy += u32::from(outcome == Phase::Handling);
                let Some(slot) = block.slots.get_mut(failed.0 as usize) else { continue };
                slot.phase = outcome;
                if outcome == Phase::Failed {
                    let left_out = slot.task.filter(|_| phase == Phase::Skipped);
                    failures.push((failed, left_out.unwrap_or(row.task)));
                }
                continue;
            }
            let (Some(step), Some(slot)) = (steps.get(at), block.slots.get_mut(at)) else { continue };
            match (phase, step.on_error) {
                (Phase::Failed, OnError::Continue) => phase = Phase::Tolerated,
                (Phase::Failed, OnError::Run(_)) => {
                    phase = Phase::Handling;
                    handling.push((row.slot, row.task));
                }
                (Phase::Failed, OnError::Stop) | (Phase::Cancelled, OnError::Stop | OnError::Run(_)) => {
                    failures.push((row.slot, row.task));
                }
                _ => {}
            }
            block.busy += u32::from(phase == Phase::Open);
            (slot.phase, slot.task) = (phase, Some(row.task));
        }
        count(block, steps);
        let ready = block.slots.iter().enumerate().filter(|(_, slot)| slot.phase == Phase::Pending && slot.unmet == 0);
        let ready: Vec<Slot> = ready.map(|(at, _)| Slot(at as u32)).collect();
        for (slot, task) in failures {
            let reaction = steps.get(slot.0 as usize).map(|step| order.on_failure(step));
            scope.fail(task, !first && reaction != Some(super::order::Reaction::GoOn));
        }
        for (slot, _) in handling {
            self.call_handler_again(id, slot);
        }
        ready.into_iter().for_each(|slot| self.push_ready(id, slot));
    }

    /// Makes a handler ready that had not begun.
    fn call_handler_again(&mut self, id: ScopeId, failed: Slot) {
        if let Some(Scope { kind: ScopeKind::Block(block), .. }) = self.scopes.get_mut(&id) {
            block.busy += 1;
        }
        self.call_handler(id, failed);
    }

    fn rebuild_items(&mut self, id: ScopeId, rows: &[&StepRow]) {
        let parent = self.scopes.get(&id).and_then(|scope| scope.parent);
        let step = parent.and_then(|(outer, slot)| self.step(outer, slot));
        let collect = step.and_then(|step| step.for_each.as_ref()).map(|list| list.on_item_error);
        let first = self.first_of(id).is_some();
        let Some(scope) = self.scopes.get_mut(&id) else { return };
        let mut failures = Vec::new();
        let ScopeKind::Items(items) = &mut scope.kind else { return };
        for row in rows {
            // Rows are sorted: slots between two of them were taken up and not begun.
            items.gaps.extend((items.next..row.slot.0).filter(|_| !planted(Mutant::GapForgotten)));
            items.next = row.slot.0 + 1;
            let phase = phase_of(row.state);
            if phase.has_ended() {
                items.ended += 1;
                items.succeeded += u32::from(phase == Phase::Succeeded);
                if matches!(phase, Phase::Failed | Phase::Cancelled) && collect == Some(OnItemError::Fail) {
                    failures.push(row.task);
                }
            } else {
                items.open.insert(row.slot.0, SlotState { phase, unmet: 0, task: Some(row.task) });
            }
        }
        failures.into_iter().for_each(|task| scope.fail(task, !first));
    }

    fn rebuild_turns(&mut self, id: ScopeId, rows: &[&StepRow]) {
        let Some(scope) = self.scopes.get_mut(&id) else { return };
        let ScopeKind::Turns(turns) = &mut scope.kind else { return };
        let Some(last) = rows.last() else { return };
        turns.last = rows.len().checked_sub(2).and_then(|before| rows.get(before)).map(|row| row.task);
        let phase = phase_of(last.state);
        match phase {
            Phase::Succeeded | Phase::Skipped => {
                turns.turn = last.slot.0 + 1;
                (turns.last, turns.left_out) = (Some(last.task), phase == Phase::Skipped);
            }
            _ => {
                turns.turn = last.slot.0;
                turns.state = SlotState { phase, unmet: 0, task: Some(last.task) };
            }
        }
        if matches!(phase, Phase::Failed | Phase::Cancelled) {
            turns.over = true;
            turns.last = Some(last.task);
            scope.fail(last.task, true);
        }
        self.end_of_turns(id);
    }

    /// Opens the scopes that open rows wait for, and the steps of a turn that `until` has yet to read.
    fn rebuild_inner(&mut self, id: ScopeId, rows: &[&StepRow]) -> Vec<ScopeId> {
        let mut opened = Vec::new();
        if self.scopes.get(&id).is_some_and(|scope| scope.satisfied) {
            // The scopes inside of its open rows are gone.
            return opened;
        }
        for row in rows.iter().filter(|row| !row.state.is_terminal()) {
            if let Some(opening) = row.opened {
                self.open_inner(id, row.slot, opening);
                opened.push(ScopeId::inner(id, row.slot));
            }
        }
        let turns = matches!(self.scopes.get(&id), Some(Scope { kind: ScopeKind::Turns(turns), .. }) if !turns.over);
        if let Some(row) = rows.last().filter(|row| turns && row.state == StateKind::Succeeded)
            && let Some(SlotKind::Action(Action::Steps(block))) = self.slot_kind(id, row.slot)
        {
            let block = *block;
            self.open_inner(id, row.slot, Opening::Block(block));
            let inner = ScopeId::inner(id, row.slot);
            opened.push(inner);
            if let Some(scope) = self.scopes.get_mut(&inner) {
                scope.closed = true;
            }
        }
        opened
    }
}

/// Counts the steps of a block that have ended, and the needs that are left to those that have not begun.
fn count(block: &mut BlockScope, steps: &[StepDef]) {
    for (at, step) in steps.iter().enumerate() {
        let phase = block.slots.get(at).map_or(Phase::Pending, |slot| slot.phase);
        let ended = phase.has_ended() && !step.is_handler;
        if ended {
            block.unfinished = block.unfinished.saturating_sub(1);
            block.succeeded += u32::from(phase == Phase::Succeeded);
        }
        for dependent in step.dependents.iter().filter(|_| ended) {
            if let Some(slot) = block.slots.get_mut(dependent.0 as usize) {
                slot.unmet = slot.unmet.saturating_sub(1);
            }
        }
    }
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| step.needs_first.is_some()) {
        if block.have_enough(Some(step))
            && let Some(slot) = block.slots.get_mut(at)
        {
            slot.unmet = 0;
        }
    }
}

fn phase_of(state: StateKind) -> Phase {
    match state {
        StateKind::Succeeded => Phase::Succeeded,
        StateKind::Failed => Phase::Failed,
        StateKind::Cancelled => Phase::Cancelled,
        StateKind::Skipped => Phase::Skipped,
        _ => Phase::Open,
    }
}
