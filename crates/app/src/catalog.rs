//! Workflows as people choose them, and checks of texts.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use kapelle_api as api;
use kapelle_core::{Name, TenantId, definition::Definition};
use kapelle_store::{Page, RunFilter, VersionRow};
use kapelle_workers::inside;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    error::Error,
    graph_view::graph,
    to_api, workflow_files,
};

/// Versions that are looked at for the newest of each workflow.
const VERSIONS: u32 = 1_000;
/// Open runs of one workflow that are counted.
const OPEN: u32 = 1_000;
/// Files of the project that are listed.
const FILES: usize = 1_000;

impl App {
    /// Returns the workflows of the project and the stored ones, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn catalog(self: &Arc<Self>, by: &Caller) -> Result<api::Catalog, AppError> {
        by.allow(Permission::Read)?;
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let mut found: BTreeMap<Name, (Option<VersionRow>, Option<ProjectFile>)> = BTreeMap::new();
            for row in app.reader().versions(tenant, None, Page { before: None, most: VERSIONS })? {
                let kept = &mut found.entry(row.workflow.clone()).or_default().0;
                if kept.as_ref().is_none_or(|kept| kept.number < row.number) {
                    *kept = Some(row);
                }
            }
            let settings = app.settings();
            if let Some(folder) = settings.workflows.as_deref().filter(|_| tenant == TenantId::DEFAULT) {
                for file in project_files(folder) {
                    let kept = &mut found.entry(file.name.clone()).or_default().1;
                    *kept = Some(file);
                }
            }
            let entries = found.into_iter().map(|(name, (version, file))| app.entry(tenant, &name, version, file));
            Ok(api::Catalog { workflows: entries.collect::<Result<_, _>>()? })
        });
        listed.await
    }

    fn entry(
        &self,
        tenant: TenantId,
        name: &Name,
        version: Option<VersionRow>,
        file: Option<ProjectFile>,
    ) -> Result<api::CatalogEntry, AppError> {
        let stored = version.as_ref().map(|row| Definition::parse(&row.source, &row.file));
        let mut entry = api::CatalogEntry {
            name: name.to_string(),
            newest: version.as_ref().map(|row| row.number),
            ..api::CatalogEntry::default()
        };
        let definition = match file {
            Some(file) => {
                entry.unsaved = version.as_ref().is_none_or(|row| *row.source != *file.source);
                entry.file = Some(file.file);
                match file.definition {
                    Ok(definition) => Some(definition),
                    Err(problem) => {
                        entry.problem = Some(problem);
                        stored.and_then(Result::ok)
                    }
                }
            }
            None => stored.and_then(Result::ok),
        };
        if let Some(definition) = definition {
            entry.description = definition.description.clone();
            entry.inputs = definition.inputs.as_deref().cloned();
            entry.steps = u32::try_from(definition.step_count()).ok();
        }
        let of = |open| RunFilter { workflow: Some(name.clone()), open, ..RunFilter::default() };
        let last = self.reader().runs(tenant, &of(false), Page { before: None, most: 1 })?.pop();
        entry.last = last.map(|row| api::CatalogRun {
            run: row.id.to_string(),
            state: to_api::run_state(row.status.kind()),
            created_at: to_api::time(row.created_at),
            ended_at: row.status.ended_at().map(to_api::time),
        });
        entry.open = self.reader().runs(tenant, &of(true), Page { before: None, most: OPEN })?.len() as u64;
        Ok(entry)
    }

    /// Checks the text of a workflow as a start of it would, without storing it.
    ///
    /// # Errors
    /// When the caller may not read; a faulty text is a result.
    pub async fn check_source(
        self: &Arc<Self>,
        by: &Caller,
        given: api::CheckSource,
    ) -> Result<api::Checked, AppError> {
        by.allow(Permission::Read)?;
        let tenant = by.tenant;
        let checked = self.list_for(tenant, move |app| {
            let definition = match workflow_files::parse(given.source.as_bytes(), "workflow") {
                Ok(definition) => definition,
                Err(found) => {
                    let problems = found.problems.iter().map(|problem| api::SourceProblem {
                        line: problem.line,
                        column: problem.column,
                        field: Some(problem.field.clone()).filter(|field| !field.is_empty()),
                        message: problem.message.clone(),
                        hint: problem.hint.clone(),
                    });
                    return Ok(api::Checked { ok: false, problems: problems.collect(), graph: None });
                }
            };
            let problems = app.unknown_workers(tenant, &definition);
            Ok(api::Checked { ok: problems.is_empty(), problems, graph: Some(graph(&definition)) })
        });
        checked.await
    }

    /// Returns a problem for each step whose worker is not known.
    fn unknown_workers(&self, tenant: TenantId, definition: &Definition) -> Vec<api::SourceProblem> {
        let steps = definition.blocks.iter().flat_map(|block| &block.steps);
        let unknown = steps.filter_map(|step| {
            let kapelle_core::definition::Action::Worker { worker, .. } = &step.action else { return None };
            let error = self.known(tenant, worker).err()?;
            let field = Some(format!("steps.{}.worker", step.name));
            Some(api::SourceProblem { line: step.line, column: 0, field, message: error.to_string(), hint: None })
        });
        unknown.collect()
    }
}

/// A workflow file of the project.
struct ProjectFile {
    name: Name,
    file: String,
    source: Vec<u8>,
    /// The definition, or its problems in words.
    definition: Result<Definition, String>,
}

/// Returns the workflow files of a folder. A faulty one is listed under the name of its file.
fn project_files(folder: &Path) -> Vec<ProjectFile> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| workflow_files::is_workflow(path)).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let source = inside::read(inside::project_of(folder), path, workflow_files::READ_MAX).ok()?;
        let file = path.file_name()?.to_str()?.to_owned();
        let stem = path.file_stem()?.to_str()?;
        let definition = Definition::parse(&source, &file)
            .map_err(|problems| Error::Definition(problems).to_string().chars().take(2_000).collect());
        let name = match &definition {
            Ok(definition) => definition.name.clone(),
            Err(_) => Name::parse(stem).ok()?,
        };
        Some(ProjectFile { name, file, source, definition })
    };
    paths.iter().take(FILES).filter_map(read).collect()
}
