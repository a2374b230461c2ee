//! The answer of a person to a step that waits for one.

use std::sync::Arc;

use kapelle_core::TaskId;
use kapelle_engine::{Engine, EngineError, command};
use serde_json::json;

/// The answer of a person to a step that waits for one, besides yes or no.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The key that acted: what the server knows.
    pub by: &'a str,
    /// The name that whoever answered gave: what the server was told.
    pub claimed_name: Option<&'a str>,
    /// The way the answer came: `key`, `link`, `folder` or `library`.
    pub via: &'a str,
    /// Noted beside the answer.
    pub comment: &'a str,
}

impl Answer<'_> {
    /// The command that gives it. Yes makes the output of the step; no makes its error.
    ///
    /// # Errors
    /// When the answer cannot be stored.
    pub fn command(&self, engine: &Engine, step: TaskId, approved: bool) -> Result<command::Approve, EngineError> {
        let Answer { by, claimed_name, via, comment } = self;
        let reason = if comment.is_empty() { String::new() } else { format!(": {comment}") };
        let why = Arc::from(match claimed_name {
            Some(name) => format!("{name} said no{reason} (answered as {by})"),
            None => format!("{by} said no{reason}"),
        });
        let answer =
            json!({ "approved": true, "by": by, "via": via, "claimed_name": claimed_name, "comment": comment });
        Ok(command::Approve { task: step, approved, answer: engine.payload(&answer)?, why })
    }
}
