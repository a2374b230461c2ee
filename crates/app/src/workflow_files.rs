//! Workflow files on their way into the engine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use kapelle_core::{
    Category, Name, TaskError,
    definition::Definition,
    expr::Template,
    yaml::{Problem, Problems},
};
use kapelle_engine::VersionRef;
use kapelle_workers::{inside, schema::Schema};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{app::App, error::Error};

/// Bytes of a workflow file that are read; the parser refuses longer ones.
pub(crate) const READ_MAX: u64 = (16 << 20) + 1;

impl App {
    /// Registers a workflow under its name, so that steps of other workflows can start it.
    ///
    /// # Errors
    /// Every problem of the text with its position.
    pub fn register_workflow(&self, workflow: &str) -> Result<(), Error> {
        let (name, version) = named(workflow.as_bytes(), "workflow")?;
        self.engine.registry().insert_workflow(name, version);
        Ok(())
    }
}

/// Reads and checks a workflow.
///
/// # Errors
/// Every problem with its position, or a feature that this version does not run yet.
pub fn load(source: &[u8], file: &str) -> Result<VersionRef, Error> {
    let definition = parse(source, file).map_err(Error::Definition)?;
    Ok(VersionRef::Source {
        definition: Arc::new(definition),
        source: Arc::from(source),
        sha256: Sha256::digest(source).into(),
        file: Arc::from(file),
    })
}

/// Reads a workflow, and checks the inputs of its schedules as far as they are known before a fire.
///
/// # Errors
/// All problems that were found.
pub(crate) fn parse(source: &[u8], file: &str) -> Result<Definition, Problems> {
    let definition = Definition::parse(source, file)?;
    let mut problems = Problems::none(file);
    for schedule in &definition.on_schedules {
        let constant = Template::compile(&schedule.with).ok().and_then(|template| template.as_constant().cloned());
        let Some(mut inputs) = constant else { continue };
        if let Err(error) = check_inputs(&definition, &mut inputs) {
            let (line, column) = (schedule.place.line, schedule.place.column);
            let field = "on.schedule.with".to_owned();
            problems.push(Problem { line, column, field, message: error.to_string(), hint: None });
        }
    }
    if problems.is_empty() { Ok(definition) } else { Err(problems) }
}

/// Returns the valid workflows of a folder, by name.
pub(crate) fn folder(folder: &Path) -> Vec<(Name, VersionRef)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_workflow(path)).collect();
    files.sort();
    let named = |file: &PathBuf| {
        let source = inside::read(inside::project_of(folder), file, READ_MAX).ok()?;
        named(&source, &file.display().to_string()).ok()
    };
    files.iter().filter_map(named).collect()
}

/// Reads a workflow with its name.
pub(crate) fn named(source: &[u8], file: &str) -> Result<(Name, VersionRef), Error> {
    let version = load(source, file)?;
    match &version {
        VersionRef::Source { definition, .. } => Ok((definition.name.clone(), version.clone())),
        VersionRef::Stored(_) => Err(Error::Config(format!("{file}: not a workflow"))),
    }
}

pub(crate) fn is_workflow(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    matches!(ending, Some("yaml" | "yml" | "json")) && path.is_file()
}

/// Checks the inputs of a workflow that a step starts.
pub(crate) fn admit(definition: &Definition, mut inputs: Value) -> Result<Value, TaskError> {
    match check_inputs(definition, &mut inputs) {
        Ok(()) => Ok(inputs),
        Err(error) => {
            let what = format!("the inputs of `{}`: {error}", definition.name);
            Err(TaskError::new(Category::InvalidInput, what).permanent())
        }
    }
}

/// Fills in the defaults of a workflow's inputs and checks them.
///
/// # Errors
/// An input that does not fit, with its position.
pub fn check_inputs(definition: &Definition, inputs: &mut Value) -> Result<(), Error> {
    let Some(schema) = &definition.inputs else { return Ok(()) };
    if inputs.is_null() {
        *inputs = Value::Object(serde_json::Map::new());
    }
    let schema = Schema::compile(schema).map_err(|error| Error::Config(format!("inputs: {error}")))?;
    let given = std::mem::take(inputs);
    *inputs = schema.admit(given).map_err(|error| Error::Inputs(error.message))?;
    Ok(())
}
