//! Dead letters: standalone tasks that failed for good, until they are retried or discarded.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{
    TaskId, TenantId,
    task::{StateKind, Task},
};
use kapelle_engine::command;
use kapelle_store::TaskFilter;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cursor, idempotency,
    tasks::{name_parameter, reason},
    to_api,
};

impl App {
    /// Returns dead letters, newest first: standalone tasks that failed for good and were not retried or discarded.
    ///
    /// # Errors
    /// When a filter cannot be read.
    pub async fn dead_letters(self: &Arc<Self>, by: &Caller, given: api::DeadQuery) -> Result<api::TaskPage, AppError> {
        by.allow(Permission::Read)?;
        let page = cursor::page_of(given.limit, given.cursor.as_deref())?;
        let filter = TaskFilter {
            state: Some(StateKind::Failed),
            queue: name_parameter("queue", given.queue)?,
            worker: name_parameter("worker", given.worker)?,
            ..TaskFilter::default()
        };
        self.task_page(by.tenant, filter, page).await
    }

    /// A dead letter. A step that failed is dealt with by its run.
    fn letter(&self, tenant: TenantId, id: TaskId) -> Result<Arc<Task>, AppError> {
        let task = self.one_task(tenant, id)?;
        if let Some(origin) = task.origin.as_ref().filter(|_| task.state.kind() == StateKind::Failed) {
            let run = origin.run;
            return Err(AppError::conflict(format!("{id} is a step of {run}: POST /api/v1/runs/{run}/rerun")));
        }
        Ok(task)
    }

    /// Retries a dead letter, its counts at zero.
    ///
    /// # Errors
    /// When the tenant has no such task, it has not failed, or it is a step of a run.
    pub async fn retry_dead(&self, by: &Caller, id: TaskId, key: Option<&str>) -> Result<api::Task, AppError> {
        by.allow(Permission::Operate)?;
        self.letter(by.tenant, id)?;
        let key = idempotency::key(&format!("/api/v1/dead/{id}/retry"), key, &())?.map(|key| (by.tenant, key));
        self.act(by, "dead.retry", &id.to_string(), command::RetryByHand { task: id, key }).await?;
        to_api::whole_task(self, &*self.letter(by.tenant, id)?)
    }

    /// Discards a dead letter. Nothing of it is deleted before its retention is over.
    ///
    /// # Errors
    /// When the tenant has no such task, it has not failed, or it is a step of a run.
    pub async fn discard_dead(&self, by: &Caller, id: TaskId, given: api::Reason) -> Result<api::Task, AppError> {
        by.allow(Permission::Operate)?;
        self.letter(by.tenant, id)?;
        let reason = reason(by, given);
        self.act(by, "dead.discard", &id.to_string(), command::Discard { task: id, reason }).await?;
        to_api::whole_task(self, &*self.letter(by.tenant, id)?)
    }
}
