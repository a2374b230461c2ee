//! Nodes that may begin, and the effect of beginning.

use kapelle_core::{
    Category, TaskError,
    definition::{Action, BlockIx, Definition, RunIf, StepIx, Strategy, Timer, WaitFor},
};
use serde_json::Value as Json;

use super::{
    model::{Address, End, Kind, Layer, Node, NodeAt, Outer, Phase, Reason, ScopeAt, Seen, Waits},
    run::{Change, Order, Reference},
};

impl Reference {
    /// Begins or skips one node. Returns false when no node may begin.
    pub(super) fn begin_something(&mut self, order: &dyn Order) -> bool {
        if self.paused || self.stage.is_none() {
            return false;
        }
        let candidates: Vec<NodeAt> = (0..self.scopes.len()).flat_map(|scope| self.candidates(scope)).collect();
        let rank = |at: &NodeAt| order.rank(&self.nodes[*at].seen.address);
        let allowed = candidates.into_iter().filter_map(|at| Some((rank(&at)?, at)));
        let first = allowed.min_by_key(|(rank, _)| *rank).map(|(_, at)| at);
        if let Some(at) = first {
            self.number(at, order);
            self.take(at);
        }
        first.is_some()
    }

    /// Begins or skips all nodes that may begin now. Returns false when no node may.
    pub(super) fn begin_all(&mut self, order: &dyn Order) -> bool {
        if self.paused || self.stage.is_none() {
            return false;
        }
        let candidates: Vec<NodeAt> = (0..self.scopes.len()).flat_map(|scope| self.candidates(scope)).collect();
        let rank = |at: &NodeAt| order.rank(&self.nodes[*at].seen.address);
        let mut candidates: Vec<(u64, NodeAt)> =
            candidates.into_iter().filter_map(|at| Some((rank(&at)?, at))).collect();
        candidates.sort_by_key(|(rank, _)| *rank);
        for (_, at) in &candidates {
            // One of them may have made the start of another one obsolete.
            if self.candidates(self.nodes[*at].scope).contains(at) {
                self.number(*at, order);
                self.take(*at);
            }
        }
        !candidates.is_empty()
    }

    /// Returns the nodes of a scope that may begin now.
    fn candidates(&self, at: ScopeAt) -> Vec<NodeAt> {
        let scope = &self.scopes[at];
        if scope.dead || scope.satisfied || Some(scope.outer) != self.stage {
            return Vec::new();
        }
        let phase = |at: &NodeAt| self.nodes[*at].seen.phase;
        let pending = |at: &NodeAt| phase(at) == Phase::Pending;
        let open = |at: &&NodeAt| matches!(phase(at), Phase::Open | Phase::Handling);
        match scope.kind {
            Kind::Block(_) => {
                let mut found: Vec<NodeAt> = scope.handlers.iter().copied().filter(pending).collect();
                let ready: Vec<NodeAt> = scope.nodes.iter().copied().filter(|at| self.is_ready(*at)).collect();
                if self.definition.strategy == Strategy::Sequential {
                    let busy = scope.nodes.iter().any(|at| open(&at));
                    found.extend(ready.first().filter(|_| !busy));
                } else {
                    found.extend(ready);
                }
                found
            }
            Kind::Items => {
                let Some(parent) = scope.parent else { return Vec::new() };
                let most = self.step_of(parent).for_each.as_ref().map_or(1, |each| each.max_parallel);
                // In order, but nodes for which there is room at once may overtake each other.
                let room = (most.min(1_000) as usize).saturating_sub(scope.nodes.iter().filter(open).count());
                let room = if scope.stopped { 0 } else { room };
                scope.nodes.iter().copied().filter(pending).take(room).collect()
            }
            Kind::Turns { .. } => scope.nodes.iter().copied().filter(pending).collect(),
        }
    }

    /// Tells whether all needs of a step of a block have ended.
    fn is_ready(&self, at: NodeAt) -> bool {
        let node = &self.nodes[at];
        let step = self.step_of(at);
        let needs = self.needs(at);
        let enough = step.needs_first.is_some_and(|first| succeeded(&needs) >= first);
        node.seen.phase == Phase::Pending && !step.is_handler && (enough || needs.iter().all(|phase| phase.has_ended()))
    }

    /// Returns the phases of the steps that a step needs.
    fn needs(&self, at: NodeAt) -> Vec<Phase> {
        let block = &self.scopes[self.nodes[at].scope].nodes;
        self.step_of(at).needs.iter().map(|need| self.nodes[block[need.0 as usize]].seen.phase).collect()
    }

    /// Returns the reason to skip a step, from its needs alone.
    fn skipped_by_needs(&self, at: NodeAt) -> Option<Reason> {
        let scope = &self.scopes[self.nodes[at].scope];
        let step = self.step_of(at);
        let needs = self.needs(at);
        let others = step.unless_begun.iter().map(|other| self.nodes[scope.nodes[other.0 as usize]].seen.phase);
        if others.into_iter().any(|phase| !matches!(phase, Phase::Pending | Phase::Skipped)) {
            return Some(Reason::TooLate);
        }
        let any = |phases: &[Phase]| needs.iter().any(|phase| phases.contains(phase));
        let failed = any(&[Phase::Failed, Phase::Cancelled]);
        if let Some(first) = step.needs_first {
            return match succeeded(&needs) >= first {
                true if !scope.stopped => None,
                _ if failed => Some(Reason::NeedFailed),
                true => Some(Reason::RunStopped),
                false => Some(Reason::TooFew),
            };
        }
        match step.run_if {
            RunIf::Always => None,
            RunIf::Failure if failed || any(&[Phase::Tolerated]) => None,
            RunIf::Failure => Some(Reason::NothingFailed),
            _ if scope.stopped && !failed => Some(Reason::RunStopped),
            RunIf::AnySuccess if needs.is_empty() || any(&[Phase::Succeeded]) => None,
            RunIf::AnySuccess => Some(Reason::NothingSucceeded),
            RunIf::Success if failed => Some(Reason::NeedFailed),
            RunIf::Success if !needs.is_empty() && needs.iter().all(|phase| *phase == Phase::Skipped) => {
                Some(Reason::NeedsSkipped)
            }
            RunIf::Success => None,
        }
    }

    /// Records the age of a node: its position in the order, or after all that have one.
    pub(super) fn number(&mut self, at: NodeAt, order: &dyn Order) {
        let place = order.rank(&self.nodes[at].seen.address).unwrap_or(u64::MAX);
        self.nodes[at].begun = Some((place, self.begun));
        self.begun += 1;
    }

    fn take(&mut self, at: NodeAt) {
        let address = self.nodes[at].seen.address.clone();
        let undecided = self.nodes[at].seen.error.take();
        match undecided.map_or_else(|| self.open(at), Err) {
            Ok(None) => {
                if self.nodes[at].seen.phase == Phase::Pending {
                    self.nodes[at].seen.phase = Phase::Open;
                    self.changes.push(Change::Began(address));
                    self.answer_at_once(at);
                }
            }
            Ok(Some(reason)) => {
                self.nodes[at].seen.phase = Phase::Skipped;
                self.nodes[at].seen.reason = Some(reason);
                self.changes.push(Change::Skipped(address));
                self.ended(at);
            }
            Err(error) => {
                self.nodes[at].seen.phase = Phase::Open;
                self.end(at, End::Failed(error));
            }
        }
    }

    /// Delivers a signal that arrived before its step.
    fn answer_at_once(&mut self, at: NodeAt) {
        let Some(Waits::Signal(name)) = self.nodes[at].seen.waits.clone() else { return };
        if matches!(&self.step_of(at).action, Action::Wait(wait) if wait.drops_early) {
            return;
        }
        if let Some(place) = self.signals.iter().position(|(known, _)| *known == name) {
            let (_, payload) = self.signals.remove(place);
            self.end(at, End::Succeeded(payload));
        }
    }

    /// Opens the next layer of a node, or returns the reason to skip it.
    fn open(&mut self, at: NodeAt) -> Result<Option<Reason>, TaskError> {
        let layer = self.nodes[at].layer;
        let definition = std::sync::Arc::clone(&self.definition);
        let (block, step_ix) = self.nodes[at].step;
        let step = definition.step(block, step_ix);
        let outer = self.scopes[self.nodes[at].scope].outer;
        let handler = self.nodes[at].handles.is_some();
        let branch = matches!(step.action, Action::Branch { .. });
        if layer == Layer::Step {
            if let Some(reason) = self.skipped_by_needs(at).filter(|_| !handler) {
                return Ok(Some(reason));
            }
            if let Some(condition) = step.condition.as_ref().filter(|_| !branch)
                && !self.holds(condition, "if", at, None)?
            {
                return Ok(Some(Reason::Condition));
            }
        }
        if layer == Layer::Step && step.for_each.is_some() {
            return self.open_items(at, outer).map(|()| None);
        }
        if layer != Layer::Turn && step.repeat.is_some() {
            let scope = self.open_scope(Some(at), outer, Kind::Turns { over: false });
            self.push_node(scope, 0, Layer::Turn, None);
            return Ok(None);
        }
        if !matches!(step.action, Action::Worker { .. }) {
            self.nodes[at].limit = step.timeout.map(|span| self.now + span.0 as i64);
        }
        match &step.action {
            Action::Worker { worker, with } => {
                let input = self.rendered(with, "with", at)?;
                self.nodes[at].seen.worker = Some(worker.to_string());
                self.nodes[at].seen.input = Some(input);
            }
            Action::Steps(inner) => self.open_block(Some(at), outer, *inner),
            Action::Branch { then, otherwise } => {
                let condition = step.condition.as_ref();
                let holds = condition.map_or(Ok(true), |condition| self.holds(condition, "if", at, None))?;
                match if holds { Some(*then) } else { *otherwise } {
                    Some(inner) => self.open_block(Some(at), outer, inner),
                    None => return Ok(Some(Reason::Condition)),
                }
            }
            Action::Wait(wait) => self.open_wait(at, wait)?,
            // Tests that start other workflows check them themselves.
            Action::Workflow { .. } => {
                return Err(TaskError::new(Category::Internal, "the reference starts no other workflow"));
            }
        }
        Ok(None)
    }

    fn open_items(&mut self, at: NodeAt, outer: Outer) -> Result<(), TaskError> {
        let list = self.items(at)?;
        let scope = self.open_scope(Some(at), outer, Kind::Items);
        for (number, item) in list.into_iter().enumerate() {
            self.push_node(scope, number as u32, Layer::Item, Some((item, number as u32)));
        }
        Ok(())
    }

    fn open_wait(&mut self, at: NodeAt, wait: &kapelle_core::definition::Wait) -> Result<(), TaskError> {
        let mut due = wait.timeout.map(|limit| self.now + limit.0 as i64);
        let waits = match &wait.target {
            WaitFor::Signal(name) => Waits::Signal(name.to_string()),
            WaitFor::Approval(text) => {
                let text = self.rendered(text, "wait.approval", at)?;
                self.nodes[at].seen.input = Some(text);
                Waits::Approval
            }
            WaitFor::Timer(timer) => {
                let span = match timer {
                    Timer::Fixed(span) => span.0 as i64,
                    Timer::Computed(expression) => self.span(expression, at)?,
                };
                due = Some(due.map_or(self.now + span, |due| due.min(self.now + span)));
                Waits::Timer
            }
        };
        self.nodes[at].seen.waits = Some(waits);
        self.nodes[at].seen.due = due;
        Ok(())
    }

    pub(super) fn open_block(&mut self, parent: Option<NodeAt>, outer: Outer, block: BlockIx) {
        let scope = self.open_scope(parent, outer, Kind::Block(block));
        for slot in 0..self.definition.block(block).steps.len() as u32 {
            self.push_node(scope, slot, Layer::Step, None);
        }
    }

    /// Adds a node to a scope. In a block its slot is the number of its step.
    pub(super) fn push_node(&mut self, scope: ScopeAt, slot: u32, layer: Layer, item: Option<(Json, u32)>) -> NodeAt {
        let state = &self.scopes[scope];
        let (mut slots, mut path) = match state.parent {
            Some(parent) => (self.nodes[parent].seen.address.slots.clone(), self.nodes[parent].seen.path.clone()),
            None => (Vec::new(), prefix(state.outer).to_owned()),
        };
        slots.push(slot);
        let step = match (state.kind, state.parent) {
            (Kind::Block(block), _) => {
                let steps = self.definition.block(block).steps.len() as u32;
                let handled = slot.checked_sub(steps).map(StepIx);
                let step = handled.map_or(StepIx(slot), |failed| handler_of(&self.definition, block, failed));
                path.push_str(if path.is_empty() { "" } else { "." });
                path.push_str(self.definition.step(block, step).name.as_str());
                if let Some(failed) = handled {
                    path.push_str(&format!("({})", self.definition.step(block, failed).name));
                }
                (block, step)
            }
            (_, parent) => {
                path.push_str(&format!("[{slot}]"));
                parent.map_or((BlockIx(0), StepIx(0)), |parent| self.nodes[parent].step)
            }
        };
        let seen = Seen {
            address: Address { outer: state.outer, slots },
            path,
            phase: Phase::Pending,
            worker: None,
            input: None,
            output: Json::Null,
            error: None,
            reason: None,
            waits: None,
            due: None,
        };
        let handles = None;
        let node = Node { seen, scope, step, layer, handles, begun: None, inner: None, item, limit: None };
        self.nodes.push(node);
        let at = self.nodes.len() - 1;
        self.scopes[scope].nodes.push(at);
        at
    }
}

fn succeeded(phases: &[Phase]) -> u32 {
    phases.iter().filter(|phase| **phase == Phase::Succeeded).count() as u32
}

fn prefix(outer: Outer) -> &'static str {
    match outer {
        Outer::Root => "",
        Outer::OnError => "on_error",
        Outer::OnCancel => "on_cancel",
        Outer::Finally => "finally",
    }
}

fn handler_of(definition: &Definition, block: BlockIx, failed: StepIx) -> StepIx {
    match definition.step(block, failed).on_error {
        kapelle_core::definition::OnError::Run(handler) => handler,
        _ => failed,
    }
}
