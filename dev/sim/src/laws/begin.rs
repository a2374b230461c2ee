//! Rules about when a slot may begin, and as what.

use kapelle_core::{
    TaskId,
    run::{Opening, ScopeId, Slot},
    task::{StateKind, TaskState},
};

use super::{
    model::{Layer, Model, Row},
    verdict::{Due, due, holds},
};
use crate::{
    disk::{Disk, RunShelf},
    flow::{Act, FlowStep, OnError, Strategy, Table},
};

/// Actual start of a slot.
#[derive(Debug, Clone)]
pub(super) enum Began {
    /// A row of its own, which waits for that signal.
    Row(Option<String>),
    Opened(Opening),
    Skipped,
}

/// Required start of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    Skip,
    Items(u32),
    Turns,
    Block(usize),
    Row,
    Signal(&'static str),
}

impl Model {
    pub(super) fn begun(
        &mut self,
        disk: &Disk,
        shelf: &RunShelf,
        (scope, slot): (ScopeId, Slot),
        task: TaskId,
        began: &Began,
    ) -> Result<(), String> {
        let table = &shelf.flow.table;
        if self.row(scope, slot.0).is_some() {
            return Err(format!("I6: slot {} of {scope:?} began twice", slot.0));
        }
        if !self.alive(scope) {
            return Err(format!("slot {} of {scope:?} began after that was ended", slot.0));
        }
        if self.paused.is_some() {
            return Err(format!("slot {} of {scope:?} began while the run was paused", slot.0));
        }
        let stored = disk.task(task).filter(|_| shelf.steps.get(&(scope, slot)) == Some(&task));
        let Some(stored) = stored else { return Err(format!("I6: slot {} of {scope:?} has no row", slot.0)) };
        let must = self.must(table, scope, slot.0)?;
        let fits = match (must, began) {
            (Must::Skip, Began::Skipped) | (Must::Row, Began::Row(None)) => true,
            (Must::Signal(name), Began::Row(Some(told))) => name == told,
            (Must::Items(total), Began::Opened(Opening::Items { total: told })) => total == *told,
            (Must::Turns, Began::Opened(Opening::Turns)) => true,
            (Must::Block(block), Began::Opened(Opening::Block(at))) => {
                let first = shelf.flow.definition.block(*at).steps.first();
                first
                    .is_some_and(|step| table.blocks[block].first().is_some_and(|mine| mine.name == step.name.as_str()))
            }
            _ => false,
        };
        if !fits {
            return Err(format!("slot {} of {scope:?} is to {must:?}, and the run did {began:?}", slot.0));
        }
        if let Began::Opened(opening) = began {
            let layer = self.inside(table, scope, slot.0, must).ok_or_else(|| format!("{opening:?} is not there"))?;
            self.open(ScopeId::inner(scope, slot), Some((scope, slot.0)), layer);
        }
        let ended = matches!(began, Began::Skipped).then_some(StateKind::Skipped);
        if ended.is_some() && stored.state.kind() != StateKind::Skipped {
            return Err(format!("I6: slot {} of {scope:?} was skipped, and its row is {:?}", slot.0, stored.state));
        }
        if matches!(stored.state, TaskState::Waiting(_)) && matches!(began, Began::Row(_)) {
            let worker = self.step(table, scope, slot.0).is_some_and(|step| matches!(step.act, Act::Worker));
            if worker {
                return Err(format!("slot {} of {scope:?} is work, and waits", slot.0));
            }
        }
        let row = Row { task, ended, holds: matches!(began, Began::Opened(_)) };
        if let Some(level) = self.levels.get_mut(&scope) {
            level.rows.insert(slot.0, row);
        }
        Ok(())
    }

    /// Returns the kind of the slots inside of a slot.
    fn inside(&self, table: &Table, scope: ScopeId, slot: u32, must: Must) -> Option<Layer> {
        let (block, at) = match self.levels.get(&scope)?.layer {
            Layer::Block(block) => (block, self.step_at(table, block, slot)?),
            Layer::Items(block, at) | Layer::Turns(block, at) => (block, at),
        };
        match must {
            Must::Items(_) => Some(Layer::Items(block, at)),
            Must::Turns => Some(Layer::Turns(block, at)),
            Must::Block(inner) => Some(Layer::Block(inner)),
            _ => None,
        }
    }

    fn must(&self, table: &Table, scope: ScopeId, slot: u32) -> Result<Must, String> {
        let Some(level) = self.levels.get(&scope) else { return Err(format!("{scope:?} is not open")) };
        let told = |law: &str| Err(format!("slot {slot} of {scope:?} {law}"));
        let Some(step) = self.step(table, scope, slot) else { return told("is not there") };
        match level.layer {
            Layer::Block(block) => self.must_in_block(table, scope, slot, (&table.blocks[block], step)),
            Layer::Items(..) => {
                let Some(items) = step.items else { return told("is no item") };
                let open = level.rows.values().filter(|row| row.ended.is_none()).count();
                match (open >= items.at_once, slot >= items.total) {
                    (_, true) => told("is no item of the list"),
                    _ if level.stopped => Ok(Must::Skip),
                    (true, _) => Err(format!("{open} items are open, and {} may be", items.at_once)),
                    _ => Ok(self.must_behind_items(table, scope, step)),
                }
            }
            Layer::Turns(..) => {
                let last = level.rows.values().next_back().map(|row| row.ended);
                let max = step.turns.map_or(0, |turns| turns.max);
                match last {
                    _ if slot as usize != level.rows.len() => told("is not the turn that is due"),
                    _ if slot >= max => told("is a turn too many"),
                    Some(ended) if !matches!(ended, Some(StateKind::Succeeded | StateKind::Skipped)) => {
                        told("is a turn after one that did not end well")
                    }
                    Some(_) if level.enough || self.enough(table, scope) => told("is a turn after the loop was over"),
                    _ => Ok(self.must_act(table, scope, step)),
                }
            }
        }
    }

    fn must_in_block(
        &self,
        table: &Table,
        scope: ScopeId,
        slot: u32,
        (steps, step): (&[FlowStep], &FlowStep),
    ) -> Result<Must, String> {
        let end = |at: usize| self.end(table, scope, at);
        let stopped = self.levels.get(&scope).is_some_and(|level| level.stopped);
        let handled = (slot as usize).checked_sub(steps.len());
        let verdict = match handled {
            Some(failed) => {
                let row = self.row(scope, failed as u32).and_then(|row| row.ended);
                let asks = matches!(steps[failed].on_error, OnError::Run(_));
                if asks && row == Some(StateKind::Failed) { Due::Start } else { Due::Wait }
            }
            None if step.handler => Due::Wait,
            None => due(step, &end, stopped),
        };
        let branch = matches!(step.act, Act::Branch(..));
        match verdict {
            Due::Wait => Err(format!("`{}` began before it was its turn", step.name)),
            Due::Skip => Ok(Must::Skip),
            Due::Start => {
                // A handler takes the place of the failed step.
                let others = self.busy(table, scope) - usize::from(handled.is_some());
                if table.strategy == Strategy::Sequential && others > 0 {
                    return Err(format!("`{}` began beside another step of a sequential run", step.name));
                }
                if !branch && !holds(step.condition, &end, self.input) {
                    return Ok(Must::Skip);
                }
                Ok(step.items.map_or_else(|| self.must_behind_items(table, scope, step), |i| Must::Items(i.total)))
            }
        }
    }

    fn must_behind_items(&self, table: &Table, scope: ScopeId, step: &FlowStep) -> Must {
        if step.turns.is_some() { Must::Turns } else { self.must_act(table, scope, step) }
    }

    fn must_act(&self, table: &Table, scope: ScopeId, step: &FlowStep) -> Must {
        match step.act {
            Act::Block(block) => Must::Block(block),
            Act::Branch(then, otherwise) => {
                let home = self.home(scope);
                let chosen = holds(step.condition, &|at| self.end(table, home, at), self.input);
                match (chosen, otherwise) {
                    (true, _) => Must::Block(then),
                    (false, Some(otherwise)) => Must::Block(otherwise),
                    (false, None) => Must::Skip,
                }
            }
            Act::Signal(name) => Must::Signal(name),
            Act::Worker | Act::Timer | Act::Approval | Act::Workflow(..) => Must::Row,
        }
    }

    /// Returns the block that contains the step of a slot.
    fn home(&self, mut id: ScopeId) -> ScopeId {
        while let Some(level) = self.levels.get(&id) {
            match (level.layer, level.outer) {
                (Layer::Items(..) | Layer::Turns(..), Some((outer, _))) => id = outer,
                _ => break,
            }
        }
        id
    }
}
