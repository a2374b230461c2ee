//! The progress of runs.

use std::collections::BTreeMap;

use kapelle_core::{
    RunId, TaskId, TenantId,
    run::{ScopeId, Slot},
    task::{Rank, StateKind, Task, TaskState, WaitFor},
};

use super::reader::MemReader;
use crate::{
    contract::Lane,
    error::StoreError,
    progress::{Attention, ProgressReader, Replays, StepProgress, StepTotals},
};

impl ProgressReader for MemReader {
    fn step_progress(&self, run: RunId, scope: Option<ScopeId>) -> Result<Vec<StepProgress>, StoreError> {
        let state = self.state();
        let (first, last) = scope.map_or((ScopeId(i64::MIN), ScopeId(i64::MAX)), |scope| (scope, scope));
        let rows = state.steps.range((run, first, Slot(0))..=(run, last, Slot(u32::MAX)));
        let found = rows.filter_map(|(&(_, scope, slot), id)| {
            let task = state.tasks.get(id)?;
            let path = std::sync::Arc::clone(&task.origin.as_ref()?.path);
            Some(StepProgress { scope, slot, task: task.id, state: task.state.kind(), path })
        });
        Ok(found.collect())
    }

    fn step_at(&self, run: RunId, path: &str) -> Result<Option<Task>, StoreError> {
        let state = self.state();
        let at = |task: &&Task| task.origin.as_ref().is_some_and(|origin| origin.run == run && *origin.path == *path);
        Ok(state.tasks.values().rev().find(at).cloned())
    }

    fn step_totals(&self, run: RunId, most: u32) -> Result<StepTotals, StoreError> {
        let rows = self.step_progress(run, None)?;
        let state = self.state();
        let (mut states, mut totals): (BTreeMap<StateKind, u64>, _) = (BTreeMap::new(), StepTotals::default());
        for row in rows.iter().take(most as usize) {
            *states.entry(row.state).or_default() += 1;
            let degraded = |task: &Task| match &task.state {
                TaskState::Succeeded { provenance, .. } => provenance.degraded.is_some(),
                _ => false,
            };
            totals.degraded += u64::from(state.tasks.get(&row.task).is_some_and(degraded));
        }
        totals.states = states.into_iter().collect();
        totals.more = rows.len() >= most as usize;
        Ok(totals)
    }

    fn replayed(&self, of: Replays) -> Result<u64, StoreError> {
        let tasks: Vec<TaskId> = match of {
            Replays::Task(task) => vec![task],
            Replays::Run(run, most) => {
                self.step_progress(run, None)?.iter().take(most as usize).map(|row| row.task).collect()
            }
        };
        let state = self.state();
        let rows = tasks.iter().filter_map(|task| state.tasks.get(task));
        Ok(rows.map(|task| state.ledger.replayed_to(task)).sum())
    }

    fn children(&self, tenant: TenantId, run: RunId, most: u32) -> Result<Vec<RunId>, StoreError> {
        let state = self.state();
        let of = |parent: Option<kapelle_core::run::Parent>| parent.is_some_and(|parent| parent.run == run);
        let rows = state.runs.values().filter(|row| row.tenant == tenant && of(row.parent));
        Ok(rows.map(|row| row.id).take(most as usize).collect())
    }

    fn attention(&self, tenant: TenantId, most: u32) -> Result<Attention, StoreError> {
        let state = self.state();
        let open = || state.runs.values().filter(|run| run.tenant == tenant && !run.status.kind().is_terminal());
        let of = |kind: StateKind| {
            let tasks = state.tasks.values().filter(move |task| task.tenant == tenant && task.state.kind() == kind);
            tasks.take(most as usize)
        };
        let asks = |task: &&Task| matches!(task.state, TaskState::Waiting(WaitFor::Approval { .. }));
        Ok(Attention {
            open_runs: open().count() as u64,
            paused_runs: open().filter(|run| run.paused.is_some()).count() as u64,
            dead: of(StateKind::Failed).filter(|task| task.origin.is_none()).count() as u64,
            approvals: of(StateKind::Waiting).filter(asks).count() as u64,
        })
    }

    fn newest_successes(
        &self,
        tenant: TenantId,
        before: Option<TaskId>,
        looked_at: u32,
    ) -> Result<Vec<Task>, StoreError> {
        let state = self.state();
        let newest = state.tasks.range(..before.unwrap_or(TaskId(i64::MAX))).rev().take(looked_at as usize);
        let own = |task: &&Task| task.tenant == tenant && task.state.kind() == StateKind::Succeeded;
        Ok(newest.map(|(_, task)| task).filter(own).cloned().collect())
    }

    fn ahead(&self, lane: &Lane, before: (Rank, TaskId), most: u32) -> Result<u32, StoreError> {
        let state = self.state();
        let ready = state.ready.get(lane).map_or(0, |ready| ready.range(..before).take(most as usize).count());
        Ok(u32::try_from(ready).unwrap_or(most))
    }
}
