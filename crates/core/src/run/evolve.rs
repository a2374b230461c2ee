//! Effect of each event on a run.

use std::sync::Arc;

use super::{
    event::{Outcome, RunEvent},
    model::{Run, RunStatus},
    scope::{Phase, Scope, ScopeId, ScopeKind, Slot, SlotState},
};
use crate::{
    Payload,
    definition::OnError,
    id::TaskId,
    mutant::{Mutant, planted},
};

impl Run {
    /// Applies an event. Total: an event that `decide` returned cannot fail here.
    pub fn evolve(&mut self, event: &RunEvent) {
        self.seq += 1;
        match event {
            RunEvent::Started { at, .. } => self.created_at = *at,
            RunEvent::StepStarted { scope, slot, task, signal } => {
                self.begin(*scope, *slot, *task);
                self.add_leaf(*scope, *slot, *task, false);
                if let Some(name) = signal {
                    self.waiting.entry(name.clone()).or_default().insert(*task);
                }
            }
            RunEvent::ScopeOpened { scope, slot, task, opening } => {
                self.begin(*scope, *slot, *task);
                self.open_inner(*scope, *slot, *opening);
            }
            RunEvent::StepSkipped { scope, slot, task, .. } => {
                self.take(*scope, *slot, Phase::Skipped, *task);
                self.slot_ended(*scope, *slot, *task, Phase::Skipped);
            }
            RunEvent::StepEnded { scope, slot, task, outcome } => self.step_ended(*scope, *slot, *task, *outcome),
            RunEvent::LoopEnded { scope } => self.end_loop(*scope),
            RunEvent::ScopeFailed { scope, task, stops } => {
                if let Some(scope) = self.scopes.get_mut(scope) {
                    scope.fail(*task, *stops);
                }
                self.note_done(*scope);
            }
            RunEvent::Failing { error } => {
                self.status = RunStatus::Failing { error: Arc::clone(error) };
                self.tear_down_all();
            }
            RunEvent::TailOpened { scope } => {
                if let Some(block) = self.tail_block(*scope) {
                    self.open_block(*scope, None, block);
                }
            }
            RunEvent::Paused { at } => self.paused = Some(*at),
            RunEvent::Resumed { at } => {
                let since = self.paused.take();
                self.move_due(since, *at, self.clock_paused);
            }
            RunEvent::ClockPaused { at } => self.clock_paused = Some(*at),
            RunEvent::ClockResumed { at } => {
                let since = self.clock_paused.take();
                self.move_due(since, *at, self.paused);
            }
            // The payload is not in the journal: the caller that commits keeps it.
            RunEvent::SignalKept { .. } | RunEvent::SignalLost { .. } | RunEvent::Triggered { .. } => {}
            RunEvent::SignalTaken { name } => {
                if let Some(at) = self.mailbox.iter().position(|(kept, _)| kept == name) {
                    self.mailbox.remove(at);
                }
            }
            RunEvent::CancelRequested { reason } => {
                let hard = matches!(self.status, RunStatus::Cancelling { .. });
                self.status = RunStatus::Cancelling { reason: Arc::clone(reason), hard };
                self.tear_down_all();
            }
            RunEvent::Succeeded { at } => {
                // The outputs are a payload, which the journal does not carry: the caller that commits adds them.
                self.status = RunStatus::Succeeded { outputs: Payload::None, ended_at: *at };
            }
            RunEvent::Failed { error, at } => {
                self.status = RunStatus::Failed { error: Arc::clone(error), ended_at: *at };
            }
            RunEvent::Cancelled { at } => {
                self.status = RunStatus::Cancelled { reason: self.cancel_reason(), ended_at: *at };
            }
        }
    }

    fn cancel_reason(&self) -> Arc<str> {
        match &self.status {
            RunStatus::Cancelling { reason, .. } => Arc::clone(reason),
            _ => Arc::from(""),
        }
    }

    fn end_loop(&mut self, scope: ScopeId) {
        if let Some(Scope { kind: ScopeKind::Turns(turns), .. }) = self.scopes.get_mut(&scope) {
            turns.over = true;
        }
        self.note_done(scope);
    }

    fn begin(&mut self, scope: ScopeId, slot: Slot, task: TaskId) {
        self.take(scope, slot, Phase::Open, task);
        self.open_tasks += 1;
        // The turn before has been read for the last time.
        if let Some(Scope { kind: ScopeKind::Turns(_), .. }) = self.scopes.get(&scope)
            && let Some(before) = slot.0.checked_sub(1)
        {
            self.drop_inner(scope, Slot(before));
        }
    }

    /// Assigns a row to a slot, even if it was never taken off the ready list because the journal is being folded.
    fn take(&mut self, id: ScopeId, slot: Slot, phase: Phase, task: TaskId) {
        let Some(scope) = self.scopes.get_mut(&id) else { return };
        let queued = scope.slot(slot).is_some_and(|state| state.phase == Phase::Queued);
        match &mut scope.kind {
            ScopeKind::Block(block) if !queued => {
                block.ready.retain(|_, ready| *ready != slot);
                block.busy += 1;
            }
            ScopeKind::Items(items) if !queued => {
                // Slots between were taken up before it, and begin later.
                items.gaps.extend(items.next..slot.0);
                items.gaps.retain(|gap| *gap != slot.0);
                items.next = items.next.max(slot.0 + 1);
                items.open.insert(slot.0, SlotState::QUEUED);
            }
            _ => {}
        }
        if let Some(state) = scope.slot_mut(slot) {
            (state.phase, state.task) = (phase, Some(task));
        }
    }

    fn step_ended(&mut self, id: ScopeId, slot: Slot, task: TaskId, outcome: Outcome) {
        self.open_tasks = self.open_tasks.saturating_sub(1);
        self.leaves.remove(task);
        self.waiting.retain(|_, tasks| {
            tasks.remove(&task);
            !tasks.is_empty()
        });
        let to_cancel = self.to_cancel.remove(&task);
        self.leave_inner(id, slot);
        let on_error = self.step(id, slot).map_or(OnError::Stop, |step| step.on_error);
        let mut phase = match outcome {
            Outcome::Succeeded => Phase::Succeeded,
            Outcome::Failed => Phase::Failed,
            Outcome::Cancelled => Phase::Cancelled,
        };
        let Some(scope) = self.scopes.get_mut(&id) else { return };
        if let (ScopeKind::Block(block), Outcome::Failed) = (&mut scope.kind, outcome) {
            let own = block.handled(slot).is_none();
            phase = match on_error {
                OnError::Continue if own => Phase::Tolerated,
                OnError::Run(_) if own && !to_cancel => Phase::Handling,
                _ => Phase::Failed,
            };
        }
        if let Some(state) = scope.slot_mut(slot) {
            state.phase = phase;
        }
        if to_cancel {
            // The failed step whose failure it handled ends with it.
            if let ScopeKind::Block(block) = &mut scope.kind
                && let Some(failed) = block.handled(slot)
            {
                block.handling_ended(failed, phase);
            }
            if scope.satisfied {
                scope.leaving = scope.leaving.saturating_sub(1);
                self.note_done(id);
            }
            return;
        }
        if phase == Phase::Handling {
            self.call_handler(id, slot);
        } else {
            self.slot_ended(id, slot, task, phase);
        }
    }

    /// Makes the handler of a failed step ready, in its place.
    pub(super) fn call_handler(&mut self, id: ScopeId, failed: Slot) {
        let Some(Scope { kind: ScopeKind::Block(block), .. }) = self.scopes.get_mut(&id) else { return };
        block.handlers.insert(failed.0, SlotState::FRESH);
        // It replaces the failed step among those in progress.
        block.busy = block.busy.saturating_sub(1);
        let handler = block.handler_of(failed);
        if !planted(Mutant::HandlerForgotten) {
            self.push_ready(id, handler);
        }
    }

    /// Records the end of a slot: its scope counts, and checks its neighbours.
    fn slot_ended(&mut self, id: ScopeId, slot: Slot, task: TaskId, phase: Phase) {
        let Some(scope) = self.scopes.get_mut(&id) else { return };
        match &mut scope.kind {
            ScopeKind::Block(block) => {
                block.busy = block.busy.saturating_sub(1);
                let ended = match block.handled(slot) {
                    None => {
                        block.succeeded += u32::from(phase == Phase::Succeeded);
                        slot
                    }
                    Some(failed) => {
                        block.handling_ended(failed, phase);
                        failed
                    }
                };
                self.neighbours(id, ended);
            }
            ScopeKind::Items(items) => {
                items.open.remove(&slot.0);
                items.succeeded += u32::from(phase == Phase::Succeeded);
                items.ended += if planted(Mutant::JoinCountedTwice) { 2 } else { 1 };
            }
            ScopeKind::Turns(turns) => {
                (turns.last, turns.left_out) = (Some(task), phase == Phase::Skipped);
                if matches!(phase, Phase::Succeeded | Phase::Skipped) {
                    turns.turn = slot.0 + 1;
                    turns.state = SlotState::FRESH;
                } else {
                    turns.over = true;
                }
                self.end_of_turns(id);
            }
        }
        self.awake.insert(id);
        let ends_run = id == ScopeId::ROOT && self.step(id, slot).is_some_and(|step| step.ends_run);
        if self.has_enough(id) || (ends_run && phase == Phase::Succeeded && !planted(Mutant::EndIgnored)) {
            self.satisfy(id);
        }
        self.note_done(id);
    }

    /// Ends a loop that has reached its limit of turns.
    pub(super) fn end_of_turns(&mut self, id: ScopeId) {
        let step = self.scopes.get(&id).and_then(|scope| scope.parent).and_then(|(outer, slot)| self.step(outer, slot));
        let max = step.and_then(|step| step.repeat.as_ref()).map_or(0, |repeat| repeat.max);
        if let Some(Scope { kind: ScopeKind::Turns(turns), .. }) = self.scopes.get_mut(&id) {
            turns.over |= turns.turn >= max;
        }
    }

    /// Updates the neighbours: their counts go down, and those at zero become ready.
    fn neighbours(&mut self, id: ScopeId, slot: Slot) {
        let definition = Arc::clone(&self.definition);
        let Some(Scope { kind: ScopeKind::Block(block), .. }) = self.scopes.get_mut(&id) else { return };
        let joined = if planted(Mutant::JoinCountedTwice) { 2 } else { 1 };
        block.unfinished = block.unfinished.saturating_sub(joined);
        let steps = &definition.block(block.block).steps;
        let Some(step) = steps.get(slot.0 as usize) else { return };
        let mut ready = Vec::new();
        for dependent in &step.dependents {
            let Some(state) = block.slots.get_mut(dependent.0 as usize) else { continue };
            if state.unmet == 0 {
                // The first of its needs were enough.
                continue;
            }
            let met = if planted(Mutant::NeedCountedTwice) { 2 } else { 1 };
            state.unmet = state.unmet.saturating_sub(met);
            let allowed = if planted(Mutant::StartBeforeNeeds) { 1 } else { 0 };
            if state.unmet <= allowed && state.phase == Phase::Pending {
                ready.push(Slot(dependent.0));
            } else if block.have_enough(steps.get(dependent.0 as usize))
                && let Some(state) = block.slots.get_mut(dependent.0 as usize)
            {
                state.unmet = 0;
                ready.push(Slot(dependent.0));
            }
        }
        ready.into_iter().for_each(|slot| self.push_ready(id, slot));
    }
}
