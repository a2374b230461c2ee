//! A run according to its journal, kept apart from the code that it checks: every level and every row stays.

use std::collections::{BTreeMap, VecDeque};

use kapelle_core::{
    TaskId, Timestamp,
    run::{ScopeId, Slot, StatusKind},
    task::StateKind,
};

use super::verdict::End;
use crate::flow::{Act, FlowStep, OnError, Table};

/// Model of a run.
#[derive(Debug)]
pub struct Model {
    pub(super) levels: BTreeMap<ScopeId, Level>,
    pub(super) cancels: u32,
    pub(super) failing: bool,
    /// Whether `finally` was in progress when it was cancelled.
    pub(super) late: bool,
    /// Whether `finally` was open at the cancel and none of its steps had begun: a restarted server does not know it.
    pub(super) unsure: bool,
    pub(super) paused: Option<Timestamp>,
    pub(super) clock_paused: Option<Timestamp>,
    /// Time of its limit.
    pub(super) due: Option<Timestamp>,
    pub(super) over: Option<StatusKind>,
    /// Time of the entry before.
    pub(super) latest: Timestamp,
    /// Events that must come next.
    pub(super) expected: VecDeque<Expected>,
    /// Journal entries that were read.
    pub(super) told: usize,
    /// Value that conditions read.
    pub(super) input: bool,
}

/// An event that must follow another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    ScopeFailed(ScopeId, TaskId, bool),
    Failing,
}

/// Contents of the run, or of a step of it.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) outer: Option<(ScopeId, u32)>,
    pub(super) outermost: ScopeId,
    pub(super) layer: Layer,
    pub(super) rows: BTreeMap<u32, Row>,
    pub(super) failed: bool,
    pub(super) stopped: bool,
    /// Whether the loop was ended by its `until`.
    pub(super) enough: bool,
    /// Whether it was ended from outside.
    pub(super) dead: bool,
}

/// Kind of the slots of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// The steps of that block.
    Block(usize),
    /// The items of that step of that block.
    Items(usize, usize),
    /// Turns of that step of that block.
    Turns(usize, usize),
}

/// A slot that was begun or skipped.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) task: TaskId,
    pub(super) ended: Option<StateKind>,
    pub(super) holds: bool,
}

impl Model {
    /// Makes the model of a run that has just been started.
    pub fn new(input: bool) -> Model {
        let mut model = Model {
            levels: BTreeMap::new(),
            cancels: 0,
            failing: false,
            late: false,
            unsure: false,
            paused: None,
            clock_paused: None,
            due: None,
            over: None,
            latest: Timestamp::default(),
            expected: VecDeque::new(),
            told: 0,
            input,
        };
        model.open(ScopeId::ROOT, None, Layer::Block(0));
        model
    }

    pub(super) fn open(&mut self, id: ScopeId, outer: Option<(ScopeId, u32)>, layer: Layer) {
        let outermost = outer.map_or(id, |(outer, _)| self.levels.get(&outer).map_or(id, |level| level.outermost));
        let rows = BTreeMap::new();
        let level = Level { outer, outermost, layer, rows, failed: false, stopped: false, enough: false, dead: false };
        self.levels.insert(id, level);
    }

    /// Tells whether steps may still begin in the level: neither it nor an outer level was ended.
    pub(super) fn alive(&self, id: ScopeId) -> bool {
        let Some(level) = self.levels.get(&id) else { return false };
        match level.outer {
            _ if level.dead => false,
            None => true,
            Some((outer, slot)) => {
                let open = self.row(outer, slot).is_some_and(|row| row.ended.is_none());
                open && self.alive(outer)
            }
        }
    }

    /// Tells whether a step of the level was begun: only then a restarted server finds it.
    pub(super) fn has_begun(&self, id: ScopeId) -> bool {
        self.levels.get(&id).is_some_and(|level| !level.rows.is_empty())
    }

    /// Tells whether tasks are open and all of them only wait.
    pub(super) fn only_waits(&self, table: &Table) -> bool {
        let rows = self.levels.iter().flat_map(|(id, level)| level.rows.iter().map(|(slot, row)| (*id, *slot, row)));
        let mut open = rows.filter(|(.., row)| row.ended.is_none() && !row.holds).peekable();
        let waits = |act: &Act| matches!(act, Act::Signal(_) | Act::Timer | Act::Approval);
        open.peek().is_some()
            && open.all(|(id, slot, _)| self.step(table, id, slot).is_some_and(|step| waits(&step.act)))
    }

    pub(super) fn row(&self, id: ScopeId, slot: u32) -> Option<&Row> {
        self.levels.get(&id)?.rows.get(&slot)
    }

    /// Returns the step that a slot is, or is an item or turn of.
    pub(super) fn step<'t>(&self, table: &'t Table, id: ScopeId, slot: u32) -> Option<&'t FlowStep> {
        let level = self.levels.get(&id)?;
        let (block, at) = match level.layer {
            Layer::Items(block, at) | Layer::Turns(block, at) => (block, at),
            Layer::Block(block) => (block, self.step_at(table, block, slot)?),
        };
        table.blocks.get(block)?.get(at)
    }

    /// Returns the number of the step of a block's slot: handlers stand after the steps.
    pub(super) fn step_at(&self, table: &Table, block: usize, slot: u32) -> Option<usize> {
        let steps = table.blocks.get(block)?;
        match (slot as usize).checked_sub(steps.len()) {
            None => Some(slot as usize),
            Some(failed) => match steps.get(failed)?.on_error {
                OnError::Run(handler) => Some(handler),
                _ => None,
            },
        }
    }

    /// Returns the end of a step of a block, if it has ended; a failed step whose failure is being handled has not.
    pub(super) fn end(&self, table: &Table, id: ScopeId, at: usize) -> Option<End> {
        let level = self.levels.get(&id)?;
        let Layer::Block(block) = level.layer else { return None };
        let steps = table.blocks.get(block)?;
        match (level.rows.get(&(at as u32))?.ended?, steps.get(at)?.on_error) {
            (StateKind::Succeeded, _) => Some(End::Good),
            (StateKind::Skipped, _) => Some(End::Skipped),
            (StateKind::Failed, OnError::Continue) => Some(End::Soft),
            (StateKind::Failed, OnError::Run(_)) => {
                let handler = level.rows.get(&((steps.len() + at) as u32))?.ended?;
                Some(if handler == StateKind::Succeeded { End::Soft } else { End::Bad })
            }
            _ => Some(End::Bad),
        }
    }

    /// Tells whether a level has no work left.
    pub(super) fn done(&self, table: &Table, id: ScopeId) -> bool {
        let Some(level) = self.levels.get(&id) else { return false };
        if level.rows.values().any(|row| row.ended.is_none()) {
            return false;
        }
        match level.layer {
            Layer::Block(block) => {
                let steps = table.blocks[block].iter().enumerate();
                steps.filter(|(_, step)| !step.handler).all(|(at, _)| self.end(table, id, at).is_some())
            }
            Layer::Items(block, at) => {
                let total = table.blocks[block][at].items.map_or(0, |items| items.total);
                level.stopped || level.rows.len() == total as usize
            }
            Layer::Turns(block, at) => {
                let max = table.blocks[block][at].turns.map_or(0, |turns| turns.max);
                level.failed || level.enough || level.rows.len() == max as usize
            }
        }
    }

    /// Counts the steps of a block in progress.
    pub(super) fn busy(&self, table: &Table, id: ScopeId) -> usize {
        let Some(level) = self.levels.get(&id) else { return 0 };
        let Layer::Block(block) = level.layer else { return 0 };
        let begun = |at: &usize| level.rows.contains_key(&(*at as u32)) && self.end(table, id, *at).is_none();
        (0..table.blocks[block].len()).filter(begun).count()
    }

    /// Ends levels from outside, except these blocks of the run.
    pub(super) fn kill(&mut self, spared: &[ScopeId]) {
        let levels = self.levels.values_mut();
        levels.filter(|level| !spared.contains(&level.outermost)).for_each(|level| level.dead = true);
    }

    /// Tells whether the `until` of a loop holds after its latest turn.
    pub(super) fn enough(&self, table: &Table, id: ScopeId) -> bool {
        let Some(level) = self.levels.get(&id) else { return false };
        let Layer::Turns(block, at) = level.layer else { return false };
        let step = &table.blocks[block][at];
        let Some(turns) = step.turns else { return false };
        let Some((turn, row)) = level.rows.last_key_value() else { return false };
        match turns.until {
            crate::flow::Until::Never => false,
            crate::flow::Until::Input => self.input,
            crate::flow::Until::Succeeded(inner) => {
                let inside = ScopeId::inner(id, Slot(*turn));
                let ran = matches!(step.act, Act::Block(_)) && row.holds;
                ran && self.end(table, inside, inner) == Some(End::Good)
            }
        }
    }
}
