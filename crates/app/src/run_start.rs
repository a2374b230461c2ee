//! Starts of runs: one set of rules for every face.

use std::{path::Path, sync::Arc};

use kapelle_api as api;
use kapelle_core::{
    Name, RunId, TenantId,
    definition::{Action, Definition, Strategy},
};
use kapelle_engine::{NewRun, VersionRef};
use kapelle_store::Page;
use kapelle_workers::inside;

use crate::{
    app::App,
    app_error::AppError,
    artifacts,
    caller::{Caller, Permission},
    idempotency, workflow_files,
};

/// Versions of a workflow that are searched for a number.
const VERSIONS_MAX: u32 = 1_000;
/// Bytes of a workflow file that are read; the parser refuses longer ones.
const FILE_MAX: u64 = (16 << 20) + 1;
/// The kind of request that idempotency keys of runs are bound to.
const START: &str = "/api/v1/runs";

impl App {
    /// Starts a run.
    ///
    /// # Errors
    /// Every problem of the text with its position; inputs that do not fit; unknown workers.
    pub async fn start(
        self: &Arc<Self>,
        by: &Caller,
        given: api::StartRun,
        key: Option<&str>,
    ) -> Result<api::StartedRun, AppError> {
        let id = self.start_run(by, given, key).await?;
        Ok(api::StartedRun { id: id.to_string(), state: api::RunState::Running })
    }

    /// Starts a run, and returns its numeric id.
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
        // Parsing and checking a large definition takes a while: not on a thread that serves others.
        let run = self.list_for(tenant, move |app| {
            let (version, definition) = app.version_of(tenant, &given)?;
            app.new_run(tenant, (version, &definition), given.inputs, (strategy, starter))
        });
        Ok(self.engine.start_run(tenant, run.await?, key).await?)
    }

    /// Starts a run of a definition that was read before.
    ///
    /// # Errors
    /// Inputs that do not fit; unknown workers.
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

    /// Applies the rules of a start: middleware, workers, inputs with their defaults, files.
    fn new_run(
        &self,
        tenant: TenantId,
        (version, definition): (VersionRef, &Definition),
        mut inputs: serde_json::Value,
        (strategy, by): (Option<Strategy>, Option<Arc<str>>),
    ) -> Result<NewRun, AppError> {
        for outer in &*self.middleware {
            let started = outer.run_starting(definition.name.as_str(), &mut inputs);
            started.map_err(|error| AppError::input(format!("the start of `{}`", definition.name), error))?;
        }
        self.check_workers(tenant, definition)?;
        workflow_files::check_inputs(definition, &mut inputs).map_err(|error| AppError::input("inputs", error))?;
        artifacts::check(self, tenant, &inputs)?;
        Ok(NewRun { version, inputs: self.engine.payload(&inputs)?, strategy, rerun: None, by })
    }

    /// Returns the definition to run: a text, a stored version, or the file of the project with that name.
    pub(crate) fn version_of(
        &self,
        tenant: TenantId,
        given: &api::StartRun,
    ) -> Result<(VersionRef, Arc<Definition>), AppError> {
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

    pub(crate) fn stored_definition(&self, tenant: TenantId, version: i64) -> Result<Arc<Definition>, AppError> {
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
}

pub(crate) fn strategy(word: &str) -> Result<Strategy, AppError> {
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

/// Returns the file of a workflow in the folder of the project. A name contains no separators, so the file is in the
/// folder.
pub(crate) fn project_file(folder: &Path, name: &Name) -> Option<(Vec<u8>, String)> {
    ["yaml", "yml", "json"].into_iter().find_map(|ending| {
        let file = format!("{name}.{ending}");
        let source = inside::read(inside::project_of(folder), &folder.join(&file), FILE_MAX).ok()?;
        Some((source, file))
    })
}
