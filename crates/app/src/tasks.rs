//! Tasks: submit, wait, list, cancel, retry.

use std::{sync::Arc, time::Duration};

use kapelle_api as api;
use kapelle_core::{Name, TaskId, TenantId, task::Task};
use kapelle_engine::{EngineError, command};
use kapelle_store::TaskFilter;
use tokio::sync::oneshot;

use crate::{
    app::App,
    app_error::AppError,
    batch_check,
    caller::{Caller, Permission},
    cursor, filters, idempotency, submission, to_api,
};

/// Tasks of one batch.
const BATCH_MAX: usize = 10_000;
/// Characters of a reason.
const REASON_MAX: usize = 500;
/// The request kind of idempotency keys of tasks and batches.
const SUBMIT: &str = "/api/v1/tasks";
const SUBMIT_BATCH: &str = "/api/v1/tasks/batch";

/// Refuses a batch of no tasks, or of too many.
fn batch_size(count: usize) -> Result<(), AppError> {
    if (1..=BATCH_MAX).contains(&count) {
        return Ok(());
    }
    Err(AppError::input("tasks", format!("there are {count}, and 1 to {BATCH_MAX} are possible")))
}

/// A task that was recorded, and a receiver of its end.
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Watched {
    pub id: TaskId,
    ended: Option<oneshot::Receiver<Arc<Task>>>,
}

impl App {
    /// Submits a task. It survives a crash once this has returned.
    ///
    /// # Errors
    /// An invalid request; an idempotency key that was used for another one.
    pub async fn submit(
        self: &Arc<Self>,
        by: &Caller,
        given: api::SubmitTask,
        key: Option<&str>,
    ) -> Result<api::Submitted, AppError> {
        self.submit_to(by, given, key, None).await
    }

    /// Submits a task, and sends its end to a stream of results. A stream that the key does not have is ignored.
    ///
    /// # Errors
    /// As [`App::submit`].
    pub async fn submit_to(
        self: &Arc<Self>,
        by: &Caller,
        given: api::SubmitTask,
        key: Option<&str>,
        results: Option<&str>,
    ) -> Result<api::Submitted, AppError> {
        let state = if given.delay_ms > 0 { api::TaskState::Scheduled } else { api::TaskState::Ready };
        let id = self.submit_one(by, given, key, results).await?;
        Ok(api::Submitted { id: id.to_string(), state, attempt: 0 })
    }

    /// Submits a task, and returns its numeric id.
    ///
    /// # Errors
    /// As [`App::submit`].
    pub async fn submit_task(
        self: &Arc<Self>,
        by: &Caller,
        given: api::SubmitTask,
        key: Option<&str>,
    ) -> Result<TaskId, AppError> {
        self.submit_one(by, given, key, None).await
    }

    async fn submit_one(
        self: &Arc<Self>,
        by: &Caller,
        given: api::SubmitTask,
        key: Option<&str>,
        results: Option<&str>,
    ) -> Result<TaskId, AppError> {
        by.allow(Permission::Submit)?;
        self.accepting()?;
        let key = idempotency::key(SUBMIT, key, &given)?;
        let task = self.prepared(by.tenant, given).await?;
        self.recorded(by, vec![task], key, results).await
    }

    /// Records tasks, and sends their ends to a stream of results, if one is named.
    async fn recorded(
        &self,
        by: &Caller,
        tasks: Vec<kapelle_engine::SubmitTask>,
        key: Option<kapelle_engine::Key>,
        results: Option<&str>,
    ) -> Result<TaskId, AppError> {
        let Some(ended) = results.and_then(|id| self.results_of(by, id)) else {
            return Ok(self.engine.submit(by.tenant, tasks, key).await?);
        };
        Self::has_room(&ended, tasks.len())?;
        Ok(self.engine.submit_into(by.tenant, tasks, key, &ended).await?)
    }

    /// Submits a task, to wait for its end with [`App::ended`].
    ///
    /// # Errors
    /// As [`App::submit`].
    pub async fn submit_watched(
        self: &Arc<Self>,
        by: &Caller,
        given: api::SubmitTask,
        key: Option<&str>,
    ) -> Result<Watched, AppError> {
        if key.is_some() {
            // The task may exist already: its end is looked up.
            return Ok(Watched { id: self.submit_task(by, given, key).await?, ended: None });
        }
        by.allow(Permission::Submit)?;
        self.accepting()?;
        let task = self.prepared(by.tenant, given).await?;
        let (id, ended) = self.engine.submit_watched(by.tenant, task).await?;
        Ok(Watched { id, ended: Some(ended) })
    }

    /// Waits for the end of a submitted task, at most for `wait`, and returns its state then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ended(&self, by: &Caller, watched: Watched, wait: Duration) -> Result<api::Task, AppError> {
        let Watched { id, ended } = watched;
        let ended = match ended {
            Some(ended) => tokio::time::timeout(wait, ended).await.ok().and_then(Result::ok),
            None => tokio::time::timeout(wait, self.engine.wait(by.tenant, id)).await.ok().transpose()?,
        };
        match ended {
            Some(task) => to_api::whole_task(self, &task),
            None => to_api::whole_task(self, &*self.one_task(by.tenant, id)?),
        }
    }

    async fn prepared(
        self: &Arc<Self>,
        tenant: TenantId,
        given: api::SubmitTask,
    ) -> Result<kapelle_engine::SubmitTask, AppError> {
        if self.is_quick(tenant, &given.worker, &given.input) {
            return submission::task(self, tenant, given);
        }
        self.check(tenant, move |app| submission::task(app, tenant, given)).await
    }

    /// Submits many tasks, all or none, in order. Returns the id of the first; the others follow without gaps.
    ///
    /// # Errors
    /// An invalid task; an idempotency key that was used for another batch.
    pub async fn submit_tasks(
        self: &Arc<Self>,
        by: &Caller,
        given: api::SubmitBatch,
        key: Option<&str>,
    ) -> Result<TaskId, AppError> {
        self.submit_many(by, given, key, None).await
    }

    async fn submit_many(
        self: &Arc<Self>,
        by: &Caller,
        given: api::SubmitBatch,
        key: Option<&str>,
        results: Option<&str>,
    ) -> Result<TaskId, AppError> {
        by.allow(Permission::Submit)?;
        batch_size(given.tasks.len())?;
        self.accepting()?;
        let key = idempotency::key(SUBMIT_BATCH, key, &given)?;
        let tenant = by.tenant;
        let tasks = given.tasks.into_iter().map(Ok);
        let tasks = self.check(tenant, move |app: &App| batch_check::tasks(app, tenant, tasks)).await?;
        self.recorded(by, tasks, key, results).await
    }

    /// Refuses a batch of which some tasks cannot be read: names these, and what is wrong with the others.
    ///
    /// # Errors
    /// Always, unless every task is right.
    pub async fn refuse_batch(
        self: &Arc<Self>,
        by: &Caller,
        given: Vec<Result<api::SubmitTask, AppError>>,
    ) -> Result<(), AppError> {
        by.allow(Permission::Submit)?;
        batch_size(given.len())?;
        let tenant = by.tenant;
        self.check(tenant, move |app: &App| batch_check::tasks(app, tenant, given.into_iter()).map(drop)).await
    }

    /// Submits many tasks, all or none, in order.
    ///
    /// # Errors
    /// As [`App::submit_tasks`].
    pub async fn submit_batch(
        self: &Arc<Self>,
        by: &Caller,
        given: api::SubmitBatch,
        key: Option<&str>,
    ) -> Result<api::BatchSubmitted, AppError> {
        self.submit_batch_to(by, given, key, None).await
    }

    /// Submits many tasks, all or none, and sends their ends to a stream of results, as [`App::submit_to`] does.
    ///
    /// # Errors
    /// As [`App::submit_tasks`].
    pub async fn submit_batch_to(
        self: &Arc<Self>,
        by: &Caller,
        given: api::SubmitBatch,
        key: Option<&str>,
        results: Option<&str>,
    ) -> Result<api::BatchSubmitted, AppError> {
        let count = given.tasks.len() as i64;
        let first = self.submit_many(by, given, key, results).await?;
        let ids = (0..count).map(|number| TaskId(first.0 + number).to_string()).collect();
        Ok(api::BatchSubmitted { ids })
    }

    /// Returns a task once it has ended or `wait` has passed. The second value is its state.
    ///
    /// # Errors
    /// When the tenant has no such task.
    pub async fn task(&self, by: &Caller, id: TaskId, wait: Option<Duration>) -> Result<(api::Task, String), AppError> {
        by.allow(Permission::Read)?;
        let task = match wait {
            None => self.one_task(by.tenant, id)?,
            Some(wait) => {
                let mut draining = self.draining();
                tokio::select! {
                    ended = tokio::time::timeout(wait, self.engine.wait(by.tenant, id)) => match ended {
                        Ok(Ok(task)) => task,
                        Ok(Err(EngineError::Stopped)) | Err(_) => self.one_task(by.tenant, id)?,
                        Ok(Err(error)) => return Err(error.into()),
                    },
                    _ = draining.wait_for(|draining| *draining) => self.one_task(by.tenant, id)?,
                }
            }
        };
        // One that waits asks again and again: its input is not sent each time.
        let shown = if wait.is_some() { to_api::whole_task(self, &task) } else { to_api::single_task(self, &task) };
        Ok((shown?, format!("{}-{}", task.id, task.revision)))
    }

    /// Returns tasks of the tenant, newest first.
    ///
    /// # Errors
    /// When a filter cannot be read.
    pub async fn tasks(self: &Arc<Self>, by: &Caller, given: api::TaskQuery) -> Result<api::TaskPage, AppError> {
        by.allow(Permission::Read)?;
        let (cursor, before) = (given.cursor.as_deref(), given.before.as_deref());
        let page = cursor::page_before(given.limit, cursor, before, |task: TaskId| task.0)?;
        let (filter, words) = filters::of_tasks(given)?;
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let read = |page| Ok(app.reader().tasks(tenant, &filter, page)?);
            let keep = |row: &Task| words.fits_task(row).then(|| to_api::listed_task(app, row)).transpose();
            let (tasks, next_cursor) = filters::scan(page, words.is_plain(), read, |row| row.id.0, keep)?;
            Ok(api::TaskPage { tasks, next_cursor })
        });
        listed.await
    }

    pub(crate) async fn task_page(
        self: &Arc<Self>,
        tenant: TenantId,
        filter: TaskFilter,
        page: kapelle_store::Page,
    ) -> Result<api::TaskPage, AppError> {
        let listed = self.list_for(tenant, move |app| {
            let rows = app.reader().tasks(tenant, &filter, page)?;
            let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id.0));
            let tasks = rows.iter().map(|row| to_api::listed_task(app, row)).collect::<Result<_, _>>()?;
            Ok(api::TaskPage { tasks, next_cursor })
        });
        listed.await
    }

    /// Cancels a task.
    ///
    /// # Errors
    /// When the tenant has no such task, or it has ended already.
    pub async fn cancel_task(&self, by: &Caller, id: TaskId, given: api::Reason) -> Result<api::Task, AppError> {
        by.allow(Permission::Submit)?;
        self.one_task(by.tenant, id)?;
        let reason = reason(by, given);
        self.act(by, "task.cancel", &id.to_string(), command::Cancel { task: id, reason }).await?;
        to_api::whole_task(self, &*self.one_task(by.tenant, id)?)
    }

    /// Retries a failed task, its counts at zero.
    ///
    /// # Errors
    /// When the tenant has no such task, it has not failed, or it is a step of a run.
    pub async fn retry_task(&self, by: &Caller, id: TaskId, key: Option<&str>) -> Result<api::Task, AppError> {
        by.allow(Permission::Operate)?;
        self.one_task(by.tenant, id)?;
        let key = idempotency::key(&format!("/api/v1/tasks/{id}/retry"), key, &())?.map(|key| (by.tenant, key));
        self.act(by, "task.retry", &id.to_string(), command::RetryByHand { task: id, key }).await?;
        to_api::whole_task(self, &*self.one_task(by.tenant, id)?)
    }

    pub(crate) fn one_task(&self, tenant: TenantId, id: TaskId) -> Result<Arc<Task>, AppError> {
        let task = self.reader().task(tenant, id)?;
        task.map(Arc::new).ok_or_else(|| AppError::not_found(id))
    }
}

/// Returns the reason for an end, with the person who requested it.
pub(crate) fn reason(by: &Caller, given: api::Reason) -> Arc<str> {
    match given.reason.filter(|reason| !reason.trim().is_empty()) {
        Some(reason) => {
            let reason: String = reason.chars().take(REASON_MAX).collect();
            Arc::from(by.signed(reason))
        }
        None => Arc::from(format!("cancelled by {}", by.actor)),
    }
}

/// Parses a name in a filter.
pub(crate) fn name_parameter(field: &str, given: Option<String>) -> Result<Option<Name>, AppError> {
    let parsed = given.map(|text| Name::parse(&text)).transpose();
    parsed.map_err(|error| AppError::parameter(field, error))
}
