//! Kinds of slots.

use super::{
    model::Run,
    scope::{ScopeId, ScopeKind, Slot},
};
use crate::definition::{Action, BlockIx, ForEach, OnError, Repeat, StepDef, StepIx};

/// Kind of a slot, seen from its scope: a step with `for_each` works on items, an item of a step with `repeat` takes
/// turns.
#[derive(Debug, Clone, Copy)]
pub enum SlotKind<'d> {
    /// Works on the items of a list.
    Items(&'d ForEach),
    /// Takes turns.
    Turns(&'d Repeat),
    /// Runs the action of its step.
    Action(&'d Action),
}

impl Run {
    /// Returns the definition of the step that a slot is, or is an item or turn of.
    #[must_use]
    pub fn step(&self, scope: ScopeId, slot: Slot) -> Option<&StepDef> {
        let (block, at) = self.step_place(scope, slot)?;
        self.definition.block(block).steps.get(at.0 as usize)
    }

    /// Returns the position of the definition of a slot's step.
    #[must_use]
    pub fn step_place(&self, scope: ScopeId, slot: Slot) -> Option<(BlockIx, StepIx)> {
        let (mut scope, mut slot) = (self.scopes.get(&scope)?, slot);
        loop {
            match (&scope.kind, scope.parent) {
                (ScopeKind::Block(block), _) => {
                    let Some(failed) = block.handled(slot) else { return Some((block.block, StepIx(slot.0))) };
                    let failed = self.definition.block(block.block).steps.get(failed.0 as usize)?;
                    let OnError::Run(handler) = failed.on_error else { return None };
                    return Some((block.block, handler));
                }
                (_, Some((outer, holder))) => (scope, slot) = (self.scopes.get(&outer)?, holder),
                (_, None) => return None,
            }
        }
    }

    /// Returns the kind of a slot.
    #[must_use]
    pub fn slot_kind(&self, scope: ScopeId, slot: Slot) -> Option<SlotKind<'_>> {
        let step = self.step(scope, slot)?;
        let layer = &self.scopes.get(&scope)?.kind;
        let items = step.for_each.as_ref().filter(|_| matches!(layer, ScopeKind::Block(_)));
        let turns = step.repeat.as_ref().filter(|_| !matches!(layer, ScopeKind::Turns(_)));
        Some(match (items, turns) {
            (Some(items), _) => SlotKind::Items(items),
            (None, Some(turns)) => SlotKind::Turns(turns),
            (None, None) => SlotKind::Action(&step.action),
        })
    }
}
