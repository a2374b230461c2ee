//! Names that an expression can use at its position: steps, the item, the handled failure.

use std::sync::Arc;

use kapelle_core::{
    Name, TaskError, TaskId,
    expr::{Path, Shared},
    run::{Phase, Run, RunStatus, ScopeId, ScopeKind, Slot},
};

/// A step that is referred to.
#[derive(Debug, Clone)]
pub(super) struct StepValue {
    pub name: Name,
    pub task: Option<TaskId>,
    pub phase: Phase,
}

/// The item of a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Row whose input is the list.
    pub list: TaskId,
    pub index: u32,
}

/// The loop turn that a step is part of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub number: u32,
    /// Row of the turn before.
    pub before: Option<TaskId>,
}

/// Failure that a step handles.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The failure of a task, as it failed.
    Of(TaskId),
    /// The failure of a task with the name of the step, as at the end of the run.
    Told(TaskId),
    /// This error.
    Is(Arc<TaskError>),
}

/// Names available at a position.
#[derive(Debug, Clone, Default)]
pub(super) struct Bindings {
    pub steps: Vec<StepValue>,
    pub item: Option<Item>,
    pub turn: Option<Turn>,
    pub failure: Option<Failure>,
    /// Whether `inputs` or `vars` are referred to.
    pub inputs: bool,
}

/// Relevant first parts of the paths that expressions refer to.
#[derive(Debug, Default)]
pub(super) struct Names<'d> {
    steps: Vec<&'d str>,
    item: bool,
    turn: bool,
    failure: bool,
    inputs: bool,
}

impl<'d> Names<'d> {
    pub fn note(&mut self, paths: impl IntoIterator<Item = &'d Path>) {
        for path in paths {
            match (path.root(), path.part(1)) {
                ("steps", Some(name)) if !self.steps.contains(&name) => self.steps.push(name),
                ("item" | "index", _) => self.item = true,
                ("turn" | "previous", _) => self.turn = true,
                ("error", _) => self.failure = true,
                ("inputs" | "vars", _) => self.inputs = true,
                _ => {}
            }
        }
    }
}

impl Bindings {
    /// Resolves the names for a slot of a scope; with `turn`, the steps of the turn before come first.
    pub fn from(run: &Run, scope: ScopeId, slot: Slot, names: &Names<'_>) -> Bindings {
        let find = |name: &&str| step_value(run, scope, slot, name);
        Bindings {
            steps: names.steps.iter().filter_map(find).collect(),
            item: if names.item { item(run, scope, slot) } else { None },
            turn: if names.turn { turn(run, scope, slot) } else { None },
            failure: if names.failure { failure(run, scope, slot) } else { None },
            inputs: names.inputs,
        }
    }
}

/// Returns the scopes around a slot with the slot in each, from the inside.
fn around(run: &Run, scope: ScopeId, slot: Slot) -> impl Iterator<Item = (ScopeId, Slot)> {
    let mut at = Some((scope, slot));
    std::iter::from_fn(move || {
        let (scope, slot) = at?;
        at = run.scopes.get(&scope).and_then(|scope| scope.parent);
        Some((scope, slot))
    })
}

fn step_value(run: &Run, scope: ScopeId, slot: Slot, name: &str) -> Option<StepValue> {
    let named = |task, phase| Some(StepValue { name: Name::new(name), task, phase });
    // A loop's `until` reads the steps of the turn before, or the step itself.
    if let Some(ScopeKind::Turns(turns)) = run.scopes.get(&scope).map(|scope| &scope.kind)
        && let Some(before) = slot.0.checked_sub(1)
    {
        if let Some(found) = in_block(run, ScopeId::inner(scope, Slot(before)), name) {
            return named(found.0, found.1);
        }
        if run.step(scope, slot).is_some_and(|step| step.name.as_str() == name) {
            return named(turns.last, if turns.left_out { Phase::Skipped } else { Phase::Succeeded });
        }
    }
    let outer = around(run, scope, slot).find_map(|(scope, _)| in_block(run, scope, name));
    let (task, phase) = outer.or_else(|| in_block(run, ScopeId::ROOT, name))?;
    named(task, phase)
}

fn in_block(run: &Run, scope: ScopeId, name: &str) -> Option<(Option<TaskId>, Phase)> {
    let ScopeKind::Block(block) = &run.scopes.get(&scope)?.kind else { return None };
    let at = run.definition.block(block.block).find(name)?;
    let state = block.slots.get(at.0 as usize)?;
    if !run.definition.step(block.block, at).is_handler {
        return Some((state.task, state.phase));
    }
    // A handler's error is that of its first answer.
    let of_it =
        |failed: &u32| run.step_place(scope, block.handler_of(Slot(*failed))).is_some_and(|(_, step)| step == at);
    let handled = block.handlers.iter().find(|(failed, _)| of_it(failed));
    Some(handled.map_or((None, Phase::Skipped), |(_, state)| (state.task, state.phase)))
}

fn item(run: &Run, scope: ScopeId, slot: Slot) -> Option<Item> {
    let found = around(run, scope, slot)
        .find(|(scope, _)| matches!(run.scopes.get(scope).map(|scope| &scope.kind), Some(ScopeKind::Items(_))));
    let (items, index) = found?;
    let (outer, holder) = run.scopes.get(&items)?.parent?;
    Some(Item { list: run.slot(outer, holder)?.task?, index: index.0 })
}

fn turn(run: &Run, scope: ScopeId, slot: Slot) -> Option<Turn> {
    around(run, scope, slot).find_map(|(scope, slot)| match run.scopes.get(&scope).map(|scope| &scope.kind) {
        Some(ScopeKind::Turns(turns)) => Some(Turn { number: slot.0, before: turns.last.filter(|_| slot.0 > 0) }),
        _ => None,
    })
}

fn failure(run: &Run, scope: ScopeId, slot: Slot) -> Option<Failure> {
    for (scope, slot) in around(run, scope, slot) {
        let Some(ScopeKind::Block(block)) = run.scopes.get(&scope).map(|scope| &scope.kind) else { continue };
        if let Some(failed) = block.handled(slot) {
            return Some(Failure::Of(block.slots.get(failed.0 as usize)?.task?));
        }
        if scope == ScopeId::ON_ERROR || scope == ScopeId::FINALLY {
            return match (&run.status, run.failed_by()) {
                (RunStatus::Failing { error }, _) => Some(Failure::Is(Arc::clone(error))),
                (_, task) => task.map(Failure::Told),
            };
        }
    }
    None
}

/// Converts the error for expressions.
pub(super) fn error_value(error: &TaskError) -> Shared {
    Shared::from_json(&serde_json::json!({ "category": error.category.as_str(), "message": error.message }))
}
