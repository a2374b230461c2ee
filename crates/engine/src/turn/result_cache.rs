//! Reuse of answers.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, TaskId, TenantId, Timestamp,
    cache::{Cacheable, Earlier},
    task::TaskState,
    worker::Provenance,
};
use kapelle_store::{AnswerRow, StoreError};

use super::state::LoopState;

/// Time that an entry outlives its answer's age, for answers that took long.
const SLACK: DurationMs = DurationMs(86_400_000);

/// Returns the state of a task whose cache key was answered before: Succeeded, without an attempt or a cost, marked
/// `cached`. Returns `None` when it has to be run; then [`LoopState::remember_question`] follows once it has an id.
///
/// A step calls this when its input is known and before its row is made, with the key of [`crate::question::cacheable`]
/// (computed where the input is evaluated, not on the loop); the step then ends with that state, as a skipped one does.
///
/// # Errors
/// When the store fails.
pub(super) fn cached_answer(
    state: &mut LoopState,
    tenant: TenantId,
    question: &Cacheable,
) -> Result<Option<TaskState>, StoreError> {
    let now = state.rows.now;
    let Some(earlier) = earlier(state, tenant, question)? else { return Ok(None) };
    if !state.rows.load(earlier)? {
        return Ok(None);
    }
    let Some(task) = state.rows.cache.task(earlier) else { return Ok(None) };
    if question.rule.judge(task, now) != Earlier::Answered {
        return Ok(None);
    }
    let TaskState::Succeeded { output, provenance, .. } = &task.state else { return Ok(None) };
    let provenance = Provenance {
        provider: provenance.provider.clone(),
        model: provenance.model.clone(),
        truncated: provenance.truncated,
        cached: true,
        ..Provenance::default()
    };
    let (output, provenance) = (output.clone(), Arc::new(provenance));
    Ok(Some(TaskState::Succeeded { output, provenance, started_at: now, ended_at: now }))
}

/// Records a task that is about to run and whose answer may be reused. An earlier task in progress with this key stays
/// the one that counts.
pub(super) fn remember_question(
    state: &mut LoopState,
    tenant: TenantId,
    question: &Cacheable,
    task: TaskId,
) -> Result<(), StoreError> {
    let now = state.rows.now;
    if let Some(earlier) = earlier(state, tenant, question)?
        && state.rows.load(earlier)?
        && state.rows.cache.task(earlier).is_some_and(|task| question.rule.judge(task, now) == Earlier::Open)
    {
        return Ok(());
    }
    // Without an age an answer is reused as long as its task is kept.
    let age = question.rule.max_age.unwrap_or(state.rows.options.task_retention.max(state.rows.options.run_retention));
    state.rows.cache.answers.push(AnswerRow { tenant, key: question.key, task, until: now + age + SLACK });
    Ok(())
}

pub(super) fn earlier(
    state: &mut LoopState,
    tenant: TenantId,
    question: &Cacheable,
) -> Result<Option<TaskId>, StoreError> {
    let now: Timestamp = state.rows.now;
    let mut fresh = state.rows.cache.answers.iter().rev();
    match fresh.find(|row| row.tenant == tenant && row.key == question.key) {
        Some(row) => Ok(Some(row.task)),
        None => state.rows.store.answer(tenant, question.key, now),
    }
}
