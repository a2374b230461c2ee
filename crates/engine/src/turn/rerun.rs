//! A run that reuses results of an earlier one.

use std::sync::Arc;

use kapelle_core::{
    Category, Payload, RunId, TaskError,
    definition::StepIx,
    run::{Beginning, Outcome, Run, TaskEnded},
    task::{Task, TaskState},
    worker::Provenance,
};
use kapelle_store::{PayloadBody, StoreError};

use super::{
    advance,
    payload::NewPayload,
    runs,
    state::LoopState,
    steps,
    steps::{Place, kind},
};

/// Returns the result of the step at the same position of the earlier run, if it may be reused: the step succeeded, on
/// the same input, and is neither the one from which to begin again nor waits for it.
pub(super) fn earlier_result(
    state: &mut LoopState,
    id: RunId,
    (scope, slot): Place,
    input: Option<&NewPayload>,
) -> Result<Option<TaskState>, StoreError> {
    let Some(run) = state.rows.cache.run(id) else { return Ok(None) };
    let Some(rerun) = run.rerun.clone() else { return Ok(None) };
    let again = match &rerun.from {
        Some(from) => is_behind(run, from.as_str(), (scope, slot)),
        None => rerun.recorded,
    };
    if again && !rerun.recorded {
        return Ok(None);
    }
    let Some(earlier) = state.rows.store.step(rerun.of, scope, slot)? else { return Ok(None) };
    let TaskState::Succeeded { output, provenance, .. } = &earlier.state else { return Ok(None) };
    // Where the earlier run called no model either, nothing was recorded. People's answers are not requested again.
    let nothing = provenance.reused.is_some() || provenance.cached || earlier.worker.as_str() == kind::WAIT;
    if again && !nothing {
        return Ok(None);
    }
    if !same_input(state, &earlier.input, input)? {
        return Ok(None);
    }
    let now = state.rows.now;
    // The earlier run paid for it.
    let provenance =
        Provenance { cost: kapelle_core::Money(0), reused: Some(earlier.id.to_string()), ..(**provenance).clone() };
    let (output, provenance) = (output.clone(), Arc::new(provenance));
    Ok(Some(TaskState::Succeeded { output, provenance, started_at: now, ended_at: now }))
}

/// Tells whether a run is answered from the record of another.
pub(super) fn is_recorded(state: &LoopState, id: RunId) -> bool {
    state.rows.cache.run(id).and_then(|run| run.rerun.as_ref()).is_some_and(|rerun| rerun.recorded)
}

/// Reuses the result of a step that starts a run, in a run that is answered from a record.
pub(super) fn repeat_child(
    state: &mut LoopState,
    id: RunId,
    place: Place,
    inputs: &NewPayload,
) -> Result<(), StoreError> {
    if let Some(TaskState::Succeeded { output, .. }) = child_result(state, id, place, inputs)? {
        let Some(task) = steps::begin_slot_with(state, id, place, Beginning::Wait(None), Some(inputs), None)? else {
            return Ok(());
        };
        return advance::resolve(state, task, Ok(output));
    }
    let what = "a run that is answered from the record of another starts no run, and this step had no result then, \
                or another input: run that one again by itself";
    let error = Arc::new(TaskError::new(Category::InvalidInput, what).permanent());
    steps::begin_slot(state, id, place, Beginning::Invalid(error), None)
}

pub(super) fn child_result(
    state: &mut LoopState,
    id: RunId,
    (scope, slot): Place,
    input: &NewPayload,
) -> Result<Option<TaskState>, StoreError> {
    let of = state.rows.cache.run(id).and_then(|run| run.rerun.as_ref()).map(|rerun| rerun.of);
    let Some(of) = of else { return Ok(None) };
    let Some(earlier) = state.rows.store.step(of, scope, slot)? else { return Ok(None) };
    Ok(same_input(state, &earlier.input, Some(input))?.then_some(earlier.state))
}

pub(super) fn same_input(
    state: &mut LoopState,
    earlier: &Payload,
    input: Option<&NewPayload>,
) -> Result<bool, StoreError> {
    let id = match (earlier, input) {
        (Payload::None, None | Some(NewPayload::None)) => return Ok(true),
        (Payload::Inline(bytes), Some(NewPayload::Bytes(new))) => return Ok(bytes == new),
        (Payload::Row(id), Some(NewPayload::Bytes(_) | NewPayload::File { .. })) => *id,
        _ => return Ok(false),
    };
    Ok(match (state.rows.store.payload(id)?, input) {
        (Some(PayloadBody::Bytes(bytes)), Some(NewPayload::Bytes(new))) => bytes == *new,
        (Some(PayloadBody::File { sha256, .. }), Some(NewPayload::File { sha256: new, .. })) => sha256 == *new,
        _ => false,
    })
}

/// Ends the row of a step whose result was reused.
pub(super) fn reused(state: &mut LoopState, id: RunId, (scope, slot): Place, task: &Task) -> Result<(), StoreError> {
    let ended = TaskEnded { scope, slot, task: task.id, outcome: Outcome::Succeeded, error: None };
    runs::step_ended(state, id, ended, task)
}

/// Tells whether the slot is that step of the outermost block, inside of it, or waits for it.
fn is_behind(run: &Run, from: &str, (mut scope, mut slot): Place) -> bool {
    while let Some((outer, holder)) = run.scopes.get(&scope).and_then(|scope| scope.parent) {
        (scope, slot) = (outer, holder);
    }
    let block = run.definition.block(run.definition.root);
    let Some(from) = block.find(from) else { return false };
    if scope != kapelle_core::run::ScopeId::ROOT {
        return true;
    }
    let mut left = vec![StepIx(slot.0)];
    let mut seen = std::collections::HashSet::new();
    while let Some(at) = left.pop() {
        if at == from {
            return true;
        }
        if seen.insert(at)
            && let Some(step) = block.steps.get(at.0 as usize)
        {
            left.extend(step.needs.iter().copied());
        }
    }
    false
}
