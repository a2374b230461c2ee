//! Workflow files on their way into the engine.

use std::sync::Arc;

use kapelle_core::definition::{Action, Definition, OnError, Strategy};
use kapelle_engine::VersionRef;
use kapelle_workers::schema::Schema;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Reads and checks a workflow.
///
/// # Errors
/// Every problem with its place, or what this version does not run yet.
pub fn load(source: &[u8], file: &str) -> Result<VersionRef, Error> {
    let definition = Definition::parse(source, file).map_err(Error::Definition)?;
    if let Some(reason) = unsupported(&definition) {
        return Err(Error::Config(format!("{file}: {reason}")));
    }
    Ok(VersionRef::Source {
        definition: Arc::new(definition),
        source: Arc::from(source),
        sha256: Sha256::digest(source).into(),
        file: Arc::from(file),
    })
}

/// What of a definition this version does not run yet. The format is read and checked in full; the engine runs steps
/// of workers with their needs, conditions, retries and limits.
#[must_use]
pub fn unsupported(definition: &Definition) -> Option<String> {
    let not_yet = |line: u32, what: &str| Some(format!("line {line}: {what} is not run by this version yet"));
    for (what, block) in
        [("finally", definition.finally), ("on_error", definition.on_error), ("on_cancel", definition.on_cancel)]
    {
        if block.is_some() {
            return Some(format!("`{what}` is not run by this version yet"));
        }
    }
    if definition.timeout.is_some() || definition.budget.is_some() {
        return Some("`timeout` and `budget` of a whole run are not enforced by this version yet".to_owned());
    }
    if let Strategy::Custom(name) = &definition.strategy {
        return Some(format!("there is no strategy `{name}`: there are {}", Strategy::NAMES.join(", ")));
    }
    if matches!(definition.strategy, Strategy::Priority { fail_fast_at: Some(_) }) {
        return Some("`fail_fast_at` is not acted on by this version yet: any failure stops the run".to_owned());
    }
    for step in &definition.block(definition.root).steps {
        let found = match &step.action {
            Action::Worker { .. } => None,
            Action::Workflow { .. } => Some("`workflow`"),
            Action::Wait(_) => Some("`wait`"),
            Action::Steps(_) => Some("a block of `steps`"),
            Action::Branch { .. } => Some("`then`"),
        };
        let found = found
            .or(step.for_each.as_ref().map(|_| "`for_each`"))
            .or(step.repeat.as_ref().map(|_| "`repeat`"))
            .or(step.cache.as_ref().map(|_| "`cache`"))
            .or(matches!(step.on_error, OnError::Run(_)).then_some("`on_error: { run: ... }`"));
        if let Some(what) = found {
            return not_yet(step.line, what);
        }
    }
    None
}

/// Fills in the defaults of a workflow's inputs and checks them.
///
/// # Errors
/// What does not fit, with its place.
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
