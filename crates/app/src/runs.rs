//! Runs: wait, list, steps, journal, control, rerun. They are started in `run_start.rs`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use kapelle_api as api;
use kapelle_core::{
    Name, RunId, TaskId, TenantId,
    definition::nearest,
    run::{Rerun, RunStatus},
    task::StateKind,
};
use kapelle_engine::{Ask, EngineError, NewRun, VersionRef, command};
use kapelle_store::RunRow;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cursor, filters, idempotency, run_view,
    tasks::reason,
    to_api,
};

impl App {
    /// Returns a run once it has ended or `wait` has passed. The second value is its state.
    ///
    /// # Errors
    /// When the tenant has no such run.
    pub async fn run(&self, by: &Caller, id: RunId, wait: Option<Duration>) -> Result<(api::Run, String), AppError> {
        by.allow(Permission::Read)?;
        let row = match wait {
            None => self.one_run(by.tenant, id)?,
            Some(wait) => {
                let mut draining = self.draining();
                tokio::select! {
                    ended = tokio::time::timeout(wait, self.engine.wait_run(by.tenant, id)) => match ended {
                        Ok(Ok(row)) => row,
                        Ok(Err(EngineError::Stopped)) | Err(_) => self.one_run(by.tenant, id)?,
                        Ok(Err(error)) => return Err(error.into()),
                    },
                    _ = draining.wait_for(|draining| *draining) => self.one_run(by.tenant, id)?,
                }
            }
        };
        let mut run = run_view::whole(self, &row)?;
        if let RunStatus::Succeeded { outputs, .. } = &row.status {
            run.outputs = Some(self.engine.value(outputs)?);
        }
        Ok((run, format!("{id}-{}", row.revision)))
    }

    /// Returns runs of the tenant, newest first.
    ///
    /// # Errors
    /// When a filter cannot be read.
    pub async fn runs(self: &Arc<Self>, by: &Caller, given: api::RunQuery) -> Result<api::RunPage, AppError> {
        by.allow(Permission::Read)?;
        let (cursor, before) = (given.cursor.as_deref(), given.before.as_deref());
        let page = cursor::page_before(given.limit, cursor, before, |run: RunId| run.0)?;
        let (filter, words) = filters::of_runs(&given)?;
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let read = |page| Ok(app.reader().runs(tenant, &filter, page)?);
            let keep = |row: &RunRow| {
                if !words.fits_run(row) {
                    return Ok(None);
                }
                let run = run_view::listed(app, row)?;
                Ok(Some(run).filter(|run| !words.degraded || run.degraded > 0))
            };
            let (runs, next_cursor) = filters::scan(page, words.is_plain(), read, |row| row.id.0, keep)?;
            Ok(api::RunPage { runs, next_cursor })
        });
        listed.await
    }

    /// Returns the steps of a run that have begun or been skipped, in that order.
    ///
    /// # Errors
    /// When the tenant has no such run.
    pub async fn steps(
        self: &Arc<Self>,
        by: &Caller,
        id: RunId,
        given: api::StepQuery,
    ) -> Result<api::StepList, AppError> {
        by.allow(Permission::Read)?;
        let run = self.one_run(by.tenant, id)?.id;
        let page = cursor::page_of(given.limit, given.cursor.as_deref())?;
        let outputs = given.outputs.unwrap_or(true);
        let most_bytes = self.settings().page_bytes;
        let listed = self.list_for(by.tenant, move |app| {
            let rows = app.reader().steps(run, TaskId(page.before.unwrap_or(0)), page.most)?;
            let (mut steps, mut bytes) = (Vec::new(), 0);
            for row in &rows {
                let mut step = if outputs { to_api::whole_task(app, row)? } else { to_api::listed_task(app, row)? };
                if step.started_at.is_none() && row.state.kind() == StateKind::Failed {
                    step.started_at = app.reader().attempts(row.id)?.last().map(|last| to_api::time(last.started_at));
                }
                bytes += step.output.as_ref().map_or(0, |output| output.get().len());
                steps.push(step);
                if bytes >= most_bytes {
                    break;
                }
            }
            // A page that its outputs have filled is full, whatever the number of its rows.
            let is_full = steps.len() < rows.len();
            let last = rows.get(steps.len().saturating_sub(1)).map(|row| row.id.0);
            let next_cursor = cursor::after(steps.len(), if is_full { 0 } else { page.most }, last);
            Ok(api::StepList { steps, next_cursor })
        });
        listed.await
    }

    /// Returns entries of the journal of a run.
    ///
    /// # Errors
    /// When the tenant has no such run.
    pub async fn journal(
        self: &Arc<Self>,
        by: &Caller,
        id: RunId,
        given: api::JournalQuery,
    ) -> Result<api::JournalPage, AppError> {
        by.allow(Permission::Read)?;
        self.one_run(by.tenant, id)?;
        let from = given.from.unwrap_or(0).min(i64::MAX as u64);
        let most = cursor::page_of(given.limit, None)?.most;
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let entries = app.entries(tenant, id, from, most)?;
            let next = entries.last().map_or(from, |entry| entry.seq + 1);
            Ok(api::JournalPage { entries, next })
        });
        listed.await
    }

    /// Returns entries of a journal with the paths of their steps.
    ///
    /// # Errors
    /// When the store fails.
    pub fn entries(
        &self,
        tenant: TenantId,
        id: RunId,
        from: u64,
        most: u32,
    ) -> Result<Vec<api::JournalEntry>, AppError> {
        let entries = self.reader().journal(id, from, most)?;
        let mut paths: HashMap<TaskId, Option<String>> = HashMap::new();
        let mut shown = Vec::with_capacity(entries.len());
        for entry in &entries {
            let path = match to_api::step_task(&entry.event) {
                Some(task) => match paths.get(&task) {
                    Some(known) => known.clone(),
                    None => {
                        let row = self.reader().task(tenant, task)?;
                        let path = row.and_then(|row| row.origin.map(|origin| origin.path.to_string()));
                        paths.insert(task, path.clone());
                        path
                    }
                },
                None => None,
            };
            shown.push(to_api::entry(entry, path.as_deref()));
        }
        Ok(shown)
    }

    /// Cancels a run: open tasks are cancelled, then the steps of its `on_cancel` run. A second call cancels those,
    /// too.
    ///
    /// # Errors
    /// When the tenant has no such run, or it has ended already.
    pub async fn cancel_run(&self, by: &Caller, id: RunId, given: api::Reason) -> Result<api::Run, AppError> {
        let reason = reason(by, given);
        self.control(by, (id, "run.cancel"), command::CancelRun { run: id, reason }).await
    }

    /// Pauses a run: nothing further begins until it is resumed.
    ///
    /// # Errors
    /// When the tenant has no such run, it is paused already, or has ended.
    pub async fn pause_run(&self, by: &Caller, id: RunId) -> Result<api::Run, AppError> {
        self.control(by, (id, "run.pause"), command::PauseRun { run: id }).await
    }

    /// Resumes a paused run.
    ///
    /// # Errors
    /// When the tenant has no such run, it is not paused, or has ended.
    pub async fn resume_run(&self, by: &Caller, id: RunId) -> Result<api::Run, AppError> {
        self.control(by, (id, "run.resume"), command::ResumeRun { run: id }).await
    }

    /// Sends a signal to a run.
    ///
    /// # Errors
    /// When the tenant has no such run, it has ended, or it keeps too many signals that no step waited for.
    pub async fn signal(
        &self,
        by: &Caller,
        id: RunId,
        (name, given): (&str, api::Signal),
        key: Option<&str>,
    ) -> Result<api::Run, AppError> {
        let kind = format!("/api/v1/runs/{id}/signals/{name}");
        let key = idempotency::key(&kind, key, &given)?.map(|key| (by.tenant, key));
        let name = Name::parse(name).map_err(|error| AppError::input("name", error))?;
        let payload = self.engine.payload(&given.payload)?;
        self.control(by, (id, "run.signal"), command::Signal { run: id, name, payload, key }).await
    }

    async fn control<C: Ask>(
        &self,
        by: &Caller,
        (id, action): (RunId, &str),
        command: C,
    ) -> Result<api::Run, AppError> {
        by.allow(Permission::Submit)?;
        self.one_run(by.tenant, id)?;
        self.act(by, action, &id.to_string(), command).await?;
        run_view::listed(self, &self.one_run(by.tenant, id)?)
    }

    /// Starts a new run of the version and inputs of one that has ended, with the results of its steps that succeeded.
    ///
    /// # Errors
    /// When the tenant has no such run, it has not ended, or the step `from` does not exist.
    pub async fn rerun(
        self: &Arc<Self>,
        by: &Caller,
        id: RunId,
        given: api::Rerun,
        key: Option<&str>,
    ) -> Result<RunId, AppError> {
        by.allow(Permission::Submit)?;
        let key = idempotency::key(&format!("/api/v1/runs/{id}/rerun"), key, &given)?;
        let row = self.one_run(by.tenant, id)?;
        self.accepting()?;
        let status = row.status.kind();
        if !status.is_terminal() {
            let message = format!("{id} is {}: a rerun needs a run that has ended", status.as_str());
            return Err(AppError::conflict(message));
        }
        let (tenant, starter) = (by.tenant, by.starter());
        let new = self.list_for(tenant, move |app| {
            let from = given.from.as_deref().map(Name::parse).transpose();
            let from = from.map_err(|error| AppError::input("from", error))?;
            if let Some(step) = &from {
                app.check_step(tenant, &row, step)?;
            }
            let inputs = app.engine.payload(&app.engine.value(&row.inputs)?)?;
            let rerun = Some(Rerun { of: row.id, from, recorded: given.recorded });
            let (version, strategy) = (VersionRef::Stored(row.version), Some(row.strategy));
            Ok(NewRun { version, inputs, strategy, rerun, by: starter })
        });
        let command = command::StartRun { tenant, run: new.await?, key };
        Ok(self.act(by, "run.rerun", &id.to_string(), command).await?.run)
    }

    fn check_step(&self, tenant: TenantId, row: &RunRow, step: &Name) -> Result<(), AppError> {
        let definition = self.stored_definition(tenant, row.version)?;
        let root = definition.block(definition.root);
        if root.find(step.as_str()).is_some() {
            return Ok(());
        }
        let names = root.steps.iter().map(|step| step.name.as_str());
        let hint = match nearest(step.as_str(), names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", names.take(20).collect::<Vec<_>>().join(", ")),
        };
        Err(AppError::input("from", format!("{} has no step `{step}`: {hint}", row.id)))
    }

    /// Returns whether a run has ended, and the number of its next journal entry; `None` when the tenant has no such
    /// run.
    ///
    /// # Errors
    /// When the store fails.
    pub fn run_end(&self, tenant: TenantId, id: RunId) -> Result<Option<(bool, u64)>, AppError> {
        let row = self.reader().run(tenant, id)?;
        Ok(row.map(|row| (row.status.kind().is_terminal(), row.seq)))
    }

    /// Refuses a run that the tenant does not have.
    ///
    /// # Errors
    /// When it does not exist, or the store fails.
    pub fn has_run(&self, by: &Caller, id: RunId) -> Result<RunId, AppError> {
        by.allow(Permission::Read)?;
        Ok(self.one_run(by.tenant, id)?.id)
    }

    pub(crate) fn one_run(&self, tenant: TenantId, id: RunId) -> Result<RunRow, AppError> {
        self.reader().run(tenant, id)?.ok_or_else(|| AppError::not_found(id))
    }
}
