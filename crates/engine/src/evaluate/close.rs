//! The output of a scope that is done.

use kapelle_core::{
    TaskError,
    definition::BlockIx,
    mutant::{Mutant, planted},
    run::{Run, ScopeId, ScopeKind},
    task::{Task, TaskState},
};

use super::{
    evaluation::{Evaluated, Evaluation},
    value::Resolve,
};

/// A scope that is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Close {
    pub scope: ScopeId,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Block(BlockIx),
    Items {
        total: u32,
        /// Whether only items that succeeded are handed out.
        succeeded_only: bool,
    },
}

impl Close {
    pub fn new(run: &Run, scope: ScopeId) -> Option<Close> {
        let what = match &run.scopes.get(&scope)?.kind {
            ScopeKind::Block(block) => What::Block(block.block),
            ScopeKind::Items(items) => {
                What::Items { total: items.total, succeeded_only: run.first_of(scope).is_some() }
            }
            ScopeKind::Turns(_) => return None,
        };
        Some(Close { scope, what })
    }

    /// Outputs are joined in their stored form, without parsing, so this costs as much as copying them.
    pub fn evaluate(&self, whole: &Evaluation, resolve: &dyn Resolve) -> Option<Result<Evaluated, TaskError>> {
        let mut json = Vec::new();
        let put = match self.what {
            What::Block(block) => {
                let steps = &whole.definition.block(block).steps;
                json.push(b'{');
                let put = resolve.scope(whole.run, self.scope, &mut |task, output| {
                    let Some(origin) = &task.origin else { return Ok(()) };
                    // Handlers stand after the other steps and are not part of the output.
                    let Some(step) = steps.get(origin.slot.0 as usize) else { return Ok(()) };
                    if matches!(task.state, TaskState::Succeeded { .. }) {
                        separate(&mut json);
                        json.extend(serde_json::to_vec(step.name.as_str()).unwrap_or_default());
                        json.push(b':');
                        json.extend_from_slice(output);
                    }
                    Ok(())
                });
                json.push(b'}');
                put?
            }
            // There are zero rows to fetch.
            What::Items { total: 0, .. } => {
                json.extend_from_slice(b"[]");
                Ok(())
            }
            What::Items { total, succeeded_only } => {
                let mut next = 0;
                json.push(b'[');
                let put = resolve.scope(whole.run, self.scope, &mut |task, output| {
                    let slot = task.origin.as_ref().map_or(0, |origin| origin.slot.0);
                    // An item without a row never began; the positions of the others must not move.
                    (next..slot).for_each(|_| item(&mut json, b"null"));
                    let left_out = succeeded_only && !matches!(task.state, TaskState::Succeeded { .. });
                    let value = if left_out { b"null".to_vec() } else { of_item(task, output) };
                    item(&mut json, &value);
                    next = slot + 1;
                    Ok(())
                });
                (next..total).for_each(|_| item(&mut json, b"null"));
                json.push(b']');
                put?
            }
        };
        match put {
            Ok(()) => resolve.keep(json).map(|kept| kept.map(Evaluated::Value)),
            Err(error) => Some(Err(error)),
        }
    }
}

fn separate(json: &mut Vec<u8>) {
    if json.len() > 1 {
        json.push(b',');
    }
}

fn item(json: &mut Vec<u8>, value: &[u8]) {
    if planted(Mutant::ItemsUnordered) && json.len() > 1 {
        let rest = json.split_off(1);
        json.extend_from_slice(value);
        json.push(b',');
        json.extend(rest);
        return;
    }
    separate(json);
    json.extend_from_slice(value);
}

/// Returns the list entry of an item: its output, null when it was skipped, or its error.
fn of_item(task: &Task, output: &[u8]) -> Vec<u8> {
    let failed = |category: &str, message: &str| {
        let error = serde_json::json!({ "error": { "category": category, "message": message } });
        serde_json::to_vec(&error).unwrap_or_default()
    };
    match &task.state {
        TaskState::Succeeded { .. } => output.to_vec(),
        TaskState::Failed { error, .. } => failed(error.category.as_str(), &error.message),
        TaskState::Cancelled { reason, .. } => failed("cancelled", reason),
        _ => b"null".to_vec(),
    }
}
