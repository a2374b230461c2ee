//! Ids as people write them.

use kapelle::{RunId, TaskId, core::CallId};

use crate::failure::Failure;

/// A run or a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    Run(RunId),
    Task(TaskId),
}

/// Reads `run_3` or `task_12`.
///
/// # Errors
/// A message that shows the form of an id.
pub fn any(text: &str) -> Result<Id, Failure> {
    if let Ok(run) = text.parse() {
        return Ok(Id::Run(run));
    }
    text.parse().map(Id::Task).map_err(|_| wrong(text, "run_3 or task_12"))
}

/// Reads `run_3`.
///
/// # Errors
/// A message that shows the form of an id.
pub fn run(text: &str) -> Result<RunId, Failure> {
    text.parse().map_err(|_| wrong(text, "run_3"))
}

/// Reads `task_12`.
///
/// # Errors
/// A message that shows the form of an id.
pub fn task(text: &str) -> Result<TaskId, Failure> {
    text.parse().map_err(|_| wrong(text, "task_12"))
}

/// Reads `call_7`.
///
/// # Errors
/// A message that shows the form of an id.
pub fn call(text: &str) -> Result<CallId, Failure> {
    text.parse().map_err(|_| wrong(text, "call_7"))
}

fn wrong(text: &str, like: &str) -> Failure {
    let shown: String = text.chars().take(40).collect();
    let failure = Failure::usage(format!("`{shown}` is not an id; expected one such as {like}"));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let prefix = like.split('_').next().unwrap_or("");
    let letters = text.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['-', '_', ' ']).to_lowercase();
    let prefixes = ["run", "task", "call"];
    let meant = match kapelle::core::definition::nearest(&letters, prefixes.into_iter()) {
        Some(near) => near,
        None if letters.is_empty() => prefix,
        None => return failure,
    };
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() || !like.contains(meant) {
        return failure;
    }
    failure.help(format!("did you mean `{meant}_{digits}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_id_is_suggested() {
        assert_eq!(any("task_12").unwrap(), Id::Task(TaskId(12)));
        for (text, help) in [("runn_3", "run_3"), ("7", "run_7"), ("RUN-4", "run_4"), ("tsk_2", "task_2")] {
            assert_eq!(any(text).unwrap_err().help.unwrap(), format!("did you mean `{help}`?"), "{text}");
        }
        assert!(run("task_7").unwrap_err().help.is_none());
        assert!(task("\u{1F600}".repeat(100).as_str()).is_err());
    }
}
