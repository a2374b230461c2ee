//! Effect of a node's end on its scope, and of a scope's end on its node.

use kapelle_core::{
    Category, TaskError,
    definition::{OnError, OnItemError, Strategy},
};
use serde_json::{Map, Value as Json, json};

use super::{
    model::{End, Kind, Layer, NodeAt, Outer, Phase, ScopeAt, Verdict},
    run::{Change, Order, Reference},
};

impl Reference {
    /// Ends an open node.
    pub(super) fn end(&mut self, at: NodeAt, end: End) {
        self.close(at, end);
        self.ended(at);
    }

    /// Records the end of an open node; [`Reference::ended`] handles its effects.
    pub(super) fn close(&mut self, at: NodeAt, end: End) {
        let seen = &mut self.nodes[at].seen;
        seen.due = None;
        match end {
            End::Succeeded(output) => {
                seen.phase = Phase::Succeeded;
                seen.output = output;
            }
            End::Failed(error) => {
                seen.phase = Phase::Failed;
                seen.error = Some(error);
            }
            End::Cancelled(reason) => {
                seen.phase = Phase::Cancelled;
                seen.error = Some(TaskError::new(Category::Cancelled, reason));
            }
        }
        let address = seen.address.clone();
        self.nodes[at].limit = None;
        self.changes.push(Change::Ended(address));
        if let Some(inner) = self.nodes[at].inner {
            self.kill(inner);
        }
    }

    /// Handles the effects of a node's end on its scope.
    pub(super) fn ended(&mut self, at: NodeAt) {
        let scope = self.nodes[at].scope;
        if self.scopes[scope].dead || self.scopes[scope].satisfied {
            return;
        }
        self.settle_failure(at);
        let ends_run = self.scopes[scope].parent.is_none()
            && self.scopes[scope].outer == Outer::Root
            && self.step_of(at).ends_run
            && self.nodes[at].seen.phase == Phase::Succeeded;
        let won = self.scopes[scope].nodes.iter().filter(|at| self.nodes[**at].seen.phase == Phase::Succeeded).count();
        if ends_run || self.first_of(scope).is_some_and(|first| won as u32 >= first) {
            self.scopes[scope].satisfied = true;
            self.cancel_inside(scope);
        }
    }

    /// Returns the number of successes after which a scope ends, if it does not wait for all.
    fn first_of(&self, scope: ScopeAt) -> Option<u32> {
        let step = self.step_of(self.scopes[scope].parent?);
        match self.scopes[scope].kind {
            Kind::Items => step.first,
            Kind::Block(_) if step.for_each.is_none() => step.first,
            _ => None,
        }
    }

    /// Handles the effects of a failure.
    fn settle_failure(&mut self, at: NodeAt) {
        let scope = self.nodes[at].scope;
        let phase = self.nodes[at].seen.phase;
        if let Some(failed) = self.nodes[at].handles {
            self.nodes[failed].seen.phase = if phase == Phase::Succeeded { Phase::Tolerated } else { Phase::Failed };
            // The handler gives the reason; if it was skipped, the failure itself does.
            match phase {
                Phase::Succeeded => {}
                Phase::Skipped => self.stop(scope, failed, failed),
                _ => self.stop(scope, failed, at),
            }
            return;
        }
        if !matches!(phase, Phase::Failed | Phase::Cancelled) {
            return;
        }
        match self.scopes[scope].kind {
            Kind::Block(_) => match (self.step_of(at).on_error, phase) {
                (OnError::Continue, Phase::Failed) => self.nodes[at].seen.phase = Phase::Tolerated,
                (OnError::Continue, _) => {}
                (OnError::Run(_), Phase::Failed) => self.handle(at),
                _ => self.stop(scope, at, at),
            },
            Kind::Items => {
                let each = self.step_of(at).for_each.as_ref();
                if each.is_some_and(|each| each.on_item_error == OnItemError::Fail) {
                    self.blame(scope, at);
                    self.scopes[scope].stopped = self.first_of(scope).is_none();
                }
            }
            Kind::Turns { .. } => self.blame(scope, at),
        }
    }

    fn handle(&mut self, failed: NodeAt) {
        self.nodes[failed].seen.phase = Phase::Handling;
        let scope = self.nodes[failed].scope;
        let Kind::Block(block) = self.scopes[scope].kind else { return };
        let slot = self.definition.block(block).steps.len() as u32 + self.nodes[failed].step.1.0;
        let handler = self.push_node(scope, slot, Layer::Step, None);
        self.scopes[scope].nodes.pop();
        self.scopes[scope].handlers.push(handler);
        self.nodes[handler].handles = Some(failed);
    }

    /// Handles a failure of that step that nothing tolerates, with the error of that node.
    fn stop(&mut self, scope: ScopeAt, step: NodeAt, by: NodeAt) {
        self.blame(scope, by);
        if self.first_of(scope).is_some() {
            // The others may still be enough.
            return;
        }
        let Strategy::Priority { fail_fast_at } = self.definition.strategy else {
            self.scopes[scope].stopped = true;
            return;
        };
        if self.step_of(step).priority >= fail_fast_at.unwrap_or(Strategy::FAIL_FAST_AT) {
            self.scopes[scope].stopped = true;
            // The end part is not ended by one of its own steps.
            if self.scopes[scope].outer == Outer::Root {
                self.fast = Some(by);
                self.kill(0);
            }
        }
    }

    /// Records a failure; of several the one that began first counts.
    fn blame(&mut self, scope: ScopeAt, by: NodeAt) {
        let known = self.scopes[scope].failed_by;
        let age = |at: NodeAt| self.nodes[at].begun;
        let older = known.is_none_or(|known| age(by) < age(known));
        if older {
            self.scopes[scope].failed_by = Some(by);
        }
    }

    /// Cancels all open nodes in a scope and below it, and stops it.
    pub(super) fn kill(&mut self, scope: ScopeAt) {
        self.scopes[scope].dead = true;
        self.cancel_inside(scope);
    }

    fn cancel_inside(&mut self, scope: ScopeAt) {
        let inside = [self.scopes[scope].nodes.clone(), self.scopes[scope].handlers.clone()].concat();
        for at in inside {
            if let Some(inner) = self.nodes[at].inner {
                self.kill(inner);
            }
            let seen = &mut self.nodes[at].seen;
            match seen.phase {
                Phase::Open => {
                    seen.phase = Phase::Cancelled;
                    self.changes.push(Change::Ended(seen.address.clone()));
                }
                Phase::Handling => seen.phase = Phase::Failed,
                _ => {}
            }
        }
    }

    /// Ends one containing node, turns one loop, or moves the run on. Returns false when there is nothing to do. `lot`
    /// says where the search begins.
    pub(super) fn end_something(&mut self, order: &dyn Order, lot: u64) -> bool {
        let scopes = self.scopes.len();
        let first = usize::try_from(lot % scopes.max(1) as u64).unwrap_or(0);
        for scope in (first..scopes).chain(0..first) {
            let Some(parent) = self.scopes[scope].parent else { continue };
            if self.scopes[scope].dead || self.nodes[parent].seen.phase != Phase::Open {
                continue;
            }
            if self.turn_loop(scope) {
                return true;
            }
            if self.is_done(scope) && order.may_end(&self.nodes[parent].seen.address) {
                let end = self.result(scope);
                // Its contents have ended; nothing is left to cancel.
                self.scopes[scope].dead = true;
                self.end(parent, end);
                return true;
            }
        }
        self.next_stage()
    }

    /// Ends the loop or begins another turn after a turn that succeeded.
    fn turn_loop(&mut self, scope: ScopeAt) -> bool {
        let Kind::Turns { over: false } = self.scopes[scope].kind else { return false };
        let Some((last, parent)) = self.scopes[scope].nodes.last().copied().zip(self.scopes[scope].parent) else {
            return false;
        };
        let phase = self.nodes[last].seen.phase;
        if !phase.has_ended() {
            return false;
        }
        let definition = std::sync::Arc::clone(&self.definition);
        let (block, step) = self.nodes[parent].step;
        let Some(repeat) = &definition.step(block, step).repeat else { return false };
        let turns = self.scopes[scope].nodes.len() as u32;
        let over = match &repeat.until {
            _ if !matches!(phase, Phase::Succeeded | Phase::Skipped) || turns >= repeat.max => Ok(true),
            // The decision about another turn is a part of beginning it.
            Some(_) if self.paused => return false,
            Some(until) => self.holds(until, "until", parent, Some(last)),
            None => Ok(false),
        };
        match over {
            Ok(true) => self.scopes[scope].kind = Kind::Turns { over: true },
            Ok(false) => {
                self.push_node(scope, turns, Layer::Turn, None);
            }
            // A turn that cannot be decided fails, when its position in the order comes.
            Err(error) => {
                let turn = self.push_node(scope, turns, Layer::Turn, None);
                self.nodes[turn].seen.error = Some(error);
            }
        }
        true
    }

    /// Tells whether it has no work left.
    fn is_done(&self, scope: ScopeAt) -> bool {
        let state = &self.scopes[scope];
        if state.satisfied {
            return true;
        }
        let ended = |at: &NodeAt| self.nodes[*at].seen.phase.has_ended();
        match state.kind {
            Kind::Block(_) => state.nodes.iter().all(|at| ended(at) || self.step_of(*at).is_handler),
            Kind::Items if state.stopped => {
                state.nodes.iter().all(|at| ended(at) || self.nodes[*at].seen.phase == Phase::Pending)
            }
            Kind::Items => state.nodes.iter().all(ended),
            Kind::Turns { over } => over,
        }
    }

    /// Returns the result of a done scope for its node.
    fn result(&self, scope: ScopeAt) -> End {
        let state = &self.scopes[scope];
        if let Some(by) = state.failed_by.filter(|_| !state.satisfied) {
            return End::Failed(self.blamed(by));
        }
        let seen = |at: &NodeAt| &self.nodes[*at].seen;
        let output = match state.kind {
            Kind::Block(_) => {
                let succeeded = state.nodes.iter().filter(|at| seen(at).phase == Phase::Succeeded);
                let entry = |at: &NodeAt| (self.step_of(*at).name.to_string(), seen(at).output.clone());
                Json::Object(succeeded.map(entry).collect::<Map<String, Json>>())
            }
            Kind::Items if self.first_of(scope).is_some() => {
                state.nodes.iter().map(|at| seen(at).output.clone()).collect()
            }
            Kind::Items => state.nodes.iter().map(|at| self.collected(*at)).collect(),
            Kind::Turns { .. } => state.nodes.last().map_or(Json::Null, |at| seen(at).output.clone()),
        };
        End::Succeeded(output)
    }

    /// Returns the result of an item for the list.
    fn collected(&self, at: NodeAt) -> Json {
        let seen = &self.nodes[at].seen;
        match (seen.phase, &seen.error) {
            (Phase::Failed, Some(error)) => {
                json!({ "error": { "category": error.category.as_str(), "message": error.message } })
            }
            (Phase::Cancelled, Some(error)) => {
                json!({ "error": { "category": "cancelled", "message": error.message } })
            }
            _ => seen.output.clone(),
        }
    }

    /// Returns the error of a scope that failed by that node.
    pub(super) fn blamed(&self, by: NodeAt) -> TaskError {
        let seen = &self.nodes[by].seen;
        match &seen.error {
            // A step that holds others has the error of the inner step, which names that step.
            Some(error) if seen.phase != Phase::Cancelled && error.message.starts_with("step `") => error.clone(),
            Some(error) if seen.phase != Phase::Cancelled => {
                TaskError { message: format!("step `{}` failed: {}", seen.path, error.message), ..error.clone() }
            }
            _ => TaskError::new(Category::Cancelled, format!("step `{}` was cancelled", seen.path)),
        }
    }

    /// Moves the run on to its next block, or ends it.
    fn next_stage(&mut self) -> bool {
        let Some(stage) = self.stage else { return false };
        let scope = self.scopes.iter().position(|scope| scope.outer == stage && scope.parent.is_none());
        let failed_by = scope.and_then(|scope| self.scopes[scope].failed_by);
        if scope.is_some_and(|scope| !self.scopes[scope].dead && !self.is_done(scope)) {
            return false;
        }
        let cancelled = self.cancels > 0;
        if stage == Outer::Root && !cancelled {
            self.failure = self.fast.or(failed_by).map(|by| self.blamed(by));
        }
        let next = match stage {
            Outer::Root | Outer::OnError if cancelled => Outer::OnCancel,
            Outer::Root if self.failure.is_some() => Outer::OnError,
            Outer::Root | Outer::OnError | Outer::OnCancel => Outer::Finally,
            Outer::Finally => {
                self.stage = None;
                let cleaning = failed_by.map(|by| self.blamed(by));
                let failure = self.failure.take().or(cleaning);
                self.verdict = Some(if cancelled {
                    Verdict::Cancelled
                } else if let Some(error) = failure {
                    Verdict::Failed(error)
                } else {
                    self.outputs()
                });
                return true;
            }
        };
        self.stage = Some(next);
        let block = match next {
            Outer::OnError => self.definition.on_error,
            Outer::OnCancel => self.definition.on_cancel,
            _ => self.definition.finally,
        };
        if let Some(block) = block.filter(|_| self.cancels < 2) {
            self.open_block(None, next, block);
        }
        true
    }
}
