//! Values needed to begin a slot: conditions, inputs, lists, times.

use kapelle_core::{
    Category, TaskError, TenantId,
    definition::{Action, BlockIx, Definition, StepDef, StepIx, Timer, Wait, WaitFor},
    expr::{Context, Shared},
    mutant::{Mutant, planted},
    run::{Run, ScopeId, ScopeKind, Slot, SlotKind},
    time::DurationMs,
};
use serde_json::Value;

use super::{
    bindings::Names,
    evaluation::{Evaluated, Evaluation, Items, List, invalid, keep},
    value::Resolve,
};

/// A slot that may begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begin {
    pub scope: ScopeId,
    pub slot: Slot,
    block: BlockIx,
    step: StepIx,
    /// Whether the step's own `if` is to be evaluated.
    condition: bool,
    /// Whether the loop's `until` is to be evaluated.
    until: bool,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Items,
    Turns,
    Action,
}

impl Begin {
    pub fn new(run: &Run, scope: ScopeId, slot: Slot) -> Option<Begin> {
        let (block, step) = run.step_place(scope, slot)?;
        let kind = &run.scopes.get(&scope)?.kind;
        let what = match run.slot_kind(scope, slot)? {
            SlotKind::Items(_) => What::Items,
            SlotKind::Turns(_) => What::Turns,
            SlotKind::Action(_) => What::Action,
        };
        let branch = matches!(run.definition.step(block, step).action, Action::Branch { .. });
        let condition = !branch && matches!(kind, ScopeKind::Block(_));
        let until = slot.0 > 0 && matches!(kind, ScopeKind::Turns(_)) && !planted(Mutant::UntilIgnored);
        Some(Begin { scope, slot, block, step, condition, until, what })
    }

    /// Records the names that its expressions refer to.
    pub fn note<'d>(&self, definition: &'d Definition, names: &mut Names<'d>) {
        let step = definition.step(self.block, self.step);
        let branch = self.what == What::Action && matches!(step.action, Action::Branch { .. });
        if let Some(condition) = step.condition.as_ref().filter(|_| self.condition || branch) {
            names.note(condition.references());
        }
        if let Some(until) = step.repeat.as_ref().and_then(|repeat| repeat.until.as_ref()).filter(|_| self.until) {
            names.note(until.references());
        }
        match (self.what, &step.action) {
            (What::Items, _) => names.note(step.for_each.iter().flat_map(|list| list.list.references())),
            (What::Turns, _) => {}
            (What::Action, Action::Worker { with, .. } | Action::Workflow { with, .. }) => {
                names.note(with.references())
            }
            (What::Action, Action::Wait(Wait { target: WaitFor::Approval(message), .. })) => {
                names.note(message.references());
            }
            (What::Action, Action::Wait(Wait { target: WaitFor::Timer(Timer::Computed(time)), .. })) => {
                names.note(time.references());
            }
            _ => {}
        }
    }

    pub fn evaluate(&self, whole: &Evaluation, resolve: &dyn Resolve) -> Option<Result<Evaluated, TaskError>> {
        let step = whole.definition.step(self.block, self.step);
        let condition = step.condition.as_ref().filter(|_| self.condition);
        let until = step.repeat.as_ref().and_then(|repeat| repeat.until.as_ref()).filter(|_| self.until);
        if condition.is_none() && until.is_none() {
            match (self.what, &step.action) {
                (What::Turns, _) | (What::Action, Action::Steps(_)) => return Some(Ok(Evaluated::Open)),
                (What::Action, Action::Worker { with, .. }) => {
                    if let Some(constant) = with.as_constant() {
                        return keep(resolve, constant).map(|kept| kept.map(Evaluated::Value));
                    }
                }
                _ => {}
            }
        }
        let context = match whole.context(resolve)? {
            Ok(context) => context,
            Err(error) => return Some(Err(error)),
        };
        let holds = |expression: &kapelle_core::expr::Expression, field| {
            expression.eval_bool(&context).map_err(|error| invalid(field, &error))
        };
        match until.map(|until| holds(until, "until")) {
            Some(Ok(true)) => return Some(Ok(Evaluated::Enough)),
            Some(Err(error)) => return Some(Err(error)),
            _ => {}
        }
        match condition.map(|condition| holds(condition, "if")) {
            Some(Ok(false)) => return Some(Ok(Evaluated::Nothing)),
            Some(Err(error)) => return Some(Err(error)),
            _ => {}
        }
        match self.what {
            What::Items => items(step, &context, resolve),
            What::Turns => Some(Ok(Evaluated::Open)),
            What::Action => action(whole.tenant, step, &context, resolve),
        }
    }
}

fn items(step: &StepDef, context: &Context, resolve: &dyn Resolve) -> Option<Result<Evaluated, TaskError>> {
    let list = step.for_each.as_ref()?;
    let value = match list.list.render(context) {
        Ok(value) => value,
        Err(error) => return Some(Err(invalid("for_each", &error))),
    };
    let Value::Array(items) = &value else {
        let what = format!("`for_each` needs a list, and this is {}", kind(&value));
        return Some(Err(TaskError::new(Category::InvalidInput, what)));
    };
    let Ok(total) = u32::try_from(items.len()) else {
        let what = format!("`for_each` got a list of {} items, and {} are the most", items.len(), u32::MAX);
        return Some(Err(TaskError::new(Category::InvalidInput, what)));
    };
    let read = List(Shared::from_json(&value));
    keep(resolve, &value).map(|kept| kept.map(|list| Evaluated::Items(Items { list, total, value: read })))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn action(
    tenant: TenantId,
    step: &StepDef,
    context: &Context,
    resolve: &dyn Resolve,
) -> Option<Result<Evaluated, TaskError>> {
    match &step.action {
        Action::Worker { with, .. } => match with.render(context) {
            Ok(input) => keep(resolve, &input).map(|kept| kept.map(Evaluated::Value)),
            Err(error) => Some(Err(invalid("with", &error))),
        },
        Action::Workflow { workflow, with, .. } => match with.render(context) {
            Ok(inputs) => match resolve.admit(tenant, workflow, inputs)? {
                Ok(inputs) => keep(resolve, &inputs).map(|kept| kept.map(Evaluated::Value)),
                Err(error) => Some(Err(error)),
            },
            Err(error) => Some(Err(invalid("with", &error))),
        },
        Action::Wait(wait) => match &wait.target {
            WaitFor::Approval(message) => match message.render(context) {
                Ok(message) => keep(resolve, &message).map(|kept| kept.map(Evaluated::Value)),
                Err(error) => Some(Err(invalid("approval", &error))),
            },
            WaitFor::Signal(_) => Some(Ok(Evaluated::Open)),
            WaitFor::Timer(Timer::Fixed(time)) => Some(Ok(Evaluated::After(*time))),
            WaitFor::Timer(Timer::Computed(time)) => Some(match time.eval(context) {
                Ok(value) => duration(&value).map(Evaluated::After),
                Err(error) => Err(invalid("timer", &error)),
            }),
        },
        Action::Steps(_) => Some(Ok(Evaluated::Open)),
        Action::Branch { otherwise, .. } => {
            let condition = step.condition.as_ref()?;
            Some(match condition.eval_bool(context) {
                Ok(holds) if holds != planted(Mutant::BranchSwapped) => Ok(Evaluated::Open),
                Ok(_) if otherwise.is_some() => Ok(Evaluated::Otherwise),
                Ok(_) => Ok(Evaluated::Nothing),
                Err(error) => Err(invalid("if", &error)),
            })
        }
    }
}

/// Longest time of a timer, as in files: a hundred years and a little.
const LONGEST_MS: f64 = 3.2e12;

/// Reads text such as `5m`, or seconds as a number.
fn duration(value: &Value) -> Result<DurationMs, TaskError> {
    let wrong = || {
        let what = format!("a timer needs a time such as \"5m\", or seconds as a number, and this is {value}");
        TaskError::new(Category::InvalidInput, what)
    };
    match value {
        Value::String(text) => DurationMs::parse(text).map_err(|_| wrong()),
        Value::Number(seconds) => {
            let millis = seconds.as_f64().map(|seconds| seconds * 1_000.0).filter(|ms| (0.0..=LONGEST_MS).contains(ms));
            millis.map(|millis| DurationMs(millis as u64)).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}
