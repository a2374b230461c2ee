//! Runs: start, wait, list, steps, journal, control, rerun.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use kapelle_api as api;
use kapelle_core::{
    Name, RunId, TaskId, TenantId,
    definition::{Action, Definition, Strategy, nearest},
    run::{Rerun, RunStatus},
};
use kapelle_engine::{Ask, EngineError, NewRun, VersionRef, command};
use kapelle_store::{Page, RunFilter, RunRow};
use kapelle_workers::inside;

use crate::{
    app::App,
    app_error::AppError,
    artifacts,
    caller::{Caller, Permission},
    cursor, idempotency,
    tasks::reason,
    to_api, workflow_files,
};

/// Versions of a workflow that are looked through for a number.
const VERSIONS_MAX: u32 = 1_000;
/// Bytes of a workflow file that are read; the parser refuses what is longer.
const FILE_MAX: u64 = (16 << 20) + 1;
/// What idempotency keys of runs are bound to.
const START: &str = "/api/v1/runs";

impl App {
    /// Starts a run.
    ///
    /// # Errors
    /// Every problem of the text with its place; inputs that do not fit; workers that are not known.
    pub async fn start(
        self: &Arc<Self>,
        by: &Caller,
        given: api::StartRun,
        key: Option<&str>,
    ) -> Result<api::StartedRun, AppError> {
        let id = self.start_run(by, given, key).await?;
        Ok(api::StartedRun { id: id.to_string(), state: api::RunState::Running })
    }

    /// Starts a run, and returns its id as it is inside.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_run(
        self: &Arc<Self>,
        by: &Caller,
        given: api::StartRun,
        key: Option<&str>,
    ) -> Result<RunId, AppError> {
        by.allow(Permission::Submit)?;
        self.accepting()?;
        let key = idempotency::key(START, key, &given)?;
        let tenant = by.tenant;
        let strategy = given.strategy.as_deref().map(strategy).transpose()?;
        let starter = by.starter();
        // Reading and checking a large definition takes a while: not on a thread that serves others.
        let run = self.list_for(tenant, move |app| {
            let (version, definition) = app.version_of(tenant, &given)?;
            app.new_run(tenant, (version, &definition), given.inputs, (strategy, starter))
        });
        Ok(self.engine.start_run(tenant, run.await?, key).await?)
    }

    /// Starts a run of a definition that was read before.
    ///
    /// # Errors
    /// Inputs that do not fit; workers that are not known.
    pub async fn start_version(
        &self,
        by: &Caller,
        version: VersionRef,
        inputs: serde_json::Value,
        strategy: Option<Strategy>,
    ) -> Result<RunId, AppError> {
        by.allow(Permission::Submit)?;
        self.accepting()?;
        let definition = match &version {
            VersionRef::Source { definition, .. } => Arc::clone(definition),
            VersionRef::Stored(id) => self.stored_definition(by.tenant, *id)?,
        };
        let run = self.new_run(by.tenant, (version, &definition), inputs, (strategy, by.starter()))?;
        Ok(self.engine.start_run(by.tenant, run, None).await?)
    }

    /// The rules of a start: layers, workers, inputs with their defaults, files.
    fn new_run(
        &self,
        tenant: TenantId,
        (version, definition): (VersionRef, &Definition),
        mut inputs: serde_json::Value,
        (strategy, by): (Option<Strategy>, Option<Arc<str>>),
    ) -> Result<NewRun, AppError> {
        for layer in &*self.layers {
            let started = layer.run_starting(definition.name.as_str(), &mut inputs);
            started.map_err(|error| AppError::input(format!("the start of `{}`", definition.name), error))?;
        }
        self.check_workers(tenant, definition)?;
        workflow_files::check_inputs(definition, &mut inputs).map_err(|error| AppError::input("inputs", error))?;
        artifacts::check(self, tenant, &inputs)?;
        Ok(NewRun { version, inputs: self.engine.payload(&inputs)?, strategy, rerun: None, by })
    }

    /// The definition to be run: a text, a stored version, or the file of the project with that name.
    fn version_of(&self, tenant: TenantId, given: &api::StartRun) -> Result<(VersionRef, Arc<Definition>), AppError> {
        if let Some(source) = &given.source {
            if given.workflow.is_some() || given.version.is_some() {
                return Err(AppError::input("source", "give either a text or the name of a workflow, not both"));
            }
            return load(source.as_bytes(), "workflow");
        }
        let Some(text) = &given.workflow else {
            return Err(AppError::input("workflow", "name one, or give its text as `source`"));
        };
        let name = Name::parse(text).map_err(|error| AppError::input("workflow", error))?;
        let settings = self.settings();
        let file = settings.workflows.as_deref().filter(|_| tenant == TenantId::DEFAULT && given.version.is_none());
        if let Some((source, file)) = file.and_then(|folder| project_file(folder, &name)) {
            return load(&source, &file);
        }
        let page = Page { before: None, most: VERSIONS_MAX };
        let versions = self.reader().versions(tenant, Some(&name), page)?;
        let found = match given.version {
            None => versions.into_iter().max_by_key(|row| row.number),
            Some(number) => versions.into_iter().find(|row| row.number == number),
        };
        let row = found.ok_or_else(|| AppError::input("workflow", format!("there is no `{name}` of that version")))?;
        let (_, definition) = load(&row.source, &row.file)?;
        Ok((VersionRef::Stored(row.id), definition))
    }

    fn stored_definition(&self, tenant: TenantId, version: i64) -> Result<Arc<Definition>, AppError> {
        let stored = self.reader().version(tenant, version)?;
        let stored = stored.ok_or_else(|| AppError::internal("the version of the run is not stored"))?;
        Ok(load(&stored.source, &stored.file)?.1)
    }

    fn check_workers(&self, tenant: TenantId, definition: &Definition) -> Result<(), AppError> {
        for step in definition.blocks.iter().flat_map(|block| &block.steps) {
            if let Action::Worker { worker, .. } = &step.action {
                self.known(tenant, worker)
                    .map_err(|error| error.within(&format!("line {}: step `{}`", step.line, step.name)))?;
            }
        }
        Ok(())
    }

    /// A run as it stands, once it has ended or that long has passed. The second value names its state.
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
        let mut run = to_api::run_and_cost(self, &row)?;
        if let RunStatus::Succeeded { outputs, .. } = &row.status {
            run.outputs = Some(self.engine.value(outputs)?);
        }
        Ok((run, format!("{id}-{}", row.revision)))
    }

    /// Runs of the tenant, newest first.
    ///
    /// # Errors
    /// When a filter cannot be read.
    pub async fn runs(self: &Arc<Self>, by: &Caller, given: api::RunQuery) -> Result<api::RunPage, AppError> {
        by.allow(Permission::Read)?;
        let page = cursor::page_of(given.limit, given.cursor.as_deref())?;
        let workflow = given.workflow.as_deref().map(Name::parse).transpose();
        let workflow = workflow.map_err(|error| AppError::parameter("workflow", error))?;
        let filter = RunFilter { workflow, open: given.open.unwrap_or(false) };
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let rows = app.reader().runs(tenant, &filter, page)?;
            let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id.0));
            Ok(api::RunPage { runs: rows.iter().map(to_api::run).collect(), next_cursor })
        });
        listed.await
    }

    /// Steps of a run that have begun or been left out, in that order.
    ///
    /// # Errors
    /// When the tenant has no such run.
    pub async fn steps(
        self: &Arc<Self>,
        by: &Caller,
        id: RunId,
        given: api::Paging,
    ) -> Result<api::StepList, AppError> {
        by.allow(Permission::Read)?;
        let run = self.one_run(by.tenant, id)?.id;
        let page = cursor::page(&given)?;
        let most_bytes = self.settings().page_bytes;
        let listed = self.list_for(by.tenant, move |app| {
            let rows = app.reader().steps(run, TaskId(page.before.unwrap_or(0)), page.most)?;
            let (mut steps, mut bytes) = (Vec::new(), 0);
            for row in &rows {
                let step = to_api::whole_task(app, row)?;
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

    /// Entries of the journal of a run.
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

    /// Entries of a journal with the paths of their steps.
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

    /// Ends a run: open tasks are cancelled, then the steps of its `on_cancel` run. Asked again, those are ended, too.
    ///
    /// # Errors
    /// When the tenant has no such run, or it has ended already.
    pub async fn cancel_run(&self, by: &Caller, id: RunId, given: api::Reason) -> Result<api::Run, AppError> {
        let reason = reason(by, given);
        self.control(by, (id, "run.cancel"), command::CancelRun { run: id, reason }).await
    }

    /// Begins nothing further of a run until it is resumed.
    ///
    /// # Errors
    /// When the tenant has no such run, it is paused already, or has ended.
    pub async fn pause_run(&self, by: &Caller, id: RunId) -> Result<api::Run, AppError> {
        self.control(by, (id, "run.pause"), command::PauseRun { run: id }).await
    }

    /// Goes on with a run that was paused.
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
    pub async fn signal(&self, by: &Caller, id: RunId, name: &str, given: api::Signal) -> Result<api::Run, AppError> {
        let name = Name::parse(name).map_err(|error| AppError::input("name", error))?;
        let payload = self.engine.payload(&given.payload)?;
        self.control(by, (id, "run.signal"), command::Signal { run: id, name, payload }).await
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
        Ok(to_api::run(&self.one_run(by.tenant, id)?))
    }

    /// Starts a new run of the version and inputs of one that has ended, with the results of its steps that succeeded.
    ///
    /// # Errors
    /// When the tenant has no such run, it has not ended, or there is no step `from`.
    pub async fn rerun(self: &Arc<Self>, by: &Caller, id: RunId, given: api::Rerun) -> Result<RunId, AppError> {
        by.allow(Permission::Submit)?;
        let row = self.one_run(by.tenant, id)?;
        self.accepting()?;
        let status = row.status.kind();
        if !status.is_terminal() {
            let message = format!("{id} is {}: it can be run again once it has ended", status.as_str());
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
        let command = command::StartRun { tenant, run: new.await?, key: None };
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

    /// Whether a run has ended, and the number of its next journal entry. Returns `None` when the tenant has no such run.
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
    /// When it is not there, or the store fails.
    pub fn has_run(&self, by: &Caller, id: RunId) -> Result<RunId, AppError> {
        by.allow(Permission::Read)?;
        Ok(self.one_run(by.tenant, id)?.id)
    }

    pub(crate) fn one_run(&self, tenant: TenantId, id: RunId) -> Result<RunRow, AppError> {
        self.reader().run(tenant, id)?.ok_or_else(|| AppError::not_found(id))
    }
}

fn strategy(word: &str) -> Result<Strategy, AppError> {
    match word {
        "sequential" => Ok(Strategy::Sequential),
        "parallel" => Ok(Strategy::Parallel),
        "priority" => Ok(Strategy::Priority { fail_fast_at: None }),
        other => {
            let other: String = other.chars().take(40).collect();
            let names = Strategy::NAMES.join(", ");
            Err(AppError::input("strategy", format!("there is no `{other}`, but {names}")))
        }
    }
}

/// Reads and checks a workflow.
pub(crate) fn load(source: &[u8], file: &str) -> Result<(VersionRef, Arc<Definition>), AppError> {
    let version = workflow_files::load(source, file)?;
    match &version {
        VersionRef::Source { definition, .. } => {
            let definition = Arc::clone(definition);
            Ok((version, definition))
        }
        VersionRef::Stored(_) => Err(AppError::internal("a text was read as something stored")),
    }
}

/// The file of a workflow in the folder of the project. A name holds no separators, so the file is in the folder.
pub(crate) fn project_file(folder: &Path, name: &Name) -> Option<(Vec<u8>, String)> {
    ["yaml", "yml", "json"].into_iter().find_map(|ending| {
        let file = format!("{name}.{ending}");
        let source = inside::read(inside::project_of(folder), &folder.join(&file), FILE_MAX).ok()?;
        Some((source, file))
    })
}
