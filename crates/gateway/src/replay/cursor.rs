//! What an attempt may be given again, and what it has had of that.

use std::collections::HashMap;

use kapelle_core::{Category, TaskError};

use super::{CallLog, Fingerprint, LogError, Recorded, TaskKey};

/// Whose answers an attempt may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplaySource {
    /// The task and its replay epoch.
    pub(crate) key: TaskKey,
    /// The attempt. What was given to it already is not given to it again.
    pub(crate) attempt: u32,
    /// Nobody is asked: answers come from the record of the run that the task's run repeats.
    pub(crate) recorded: bool,
}

/// The answers that are left.
pub(crate) struct ReplayCursor {
    answers: Vec<Recorded>,
    /// How many of them the attempt has had.
    had: HashMap<Fingerprint, u32>,
    record: Option<Of>,
}

/// The record that all answers come from.
struct Of {
    run: String,
    offline: Option<String>,
}

impl ReplayCursor {
    /// Reads what was recorded.
    pub(crate) async fn read(log: &dyn CallLog, source: ReplaySource) -> Result<ReplayCursor, LogError> {
        if source.recorded {
            let record = log.record(source.key).await?;
            let of = Of { run: record.run, offline: record.offline };
            return Ok(ReplayCursor { answers: record.answers, had: HashMap::new(), record: Some(of) });
        }
        let mut answers = log.recorded(source.key).await?;
        answers.retain(|answer| answer.attempt != source.attempt || source.attempt == 0);
        Ok(ReplayCursor { answers, had: HashMap::new(), record: None })
    }

    /// Whether there is anything at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// The attempt had so many answers to that call before this process began.
    pub(crate) fn pass(&mut self, fingerprint: Fingerprint, count: u32) {
        for _ in 0..count {
            self.next(fingerprint);
        }
    }

    /// How many answers to that call the attempt has had.
    pub(crate) fn had(&self, fingerprint: Fingerprint) -> u32 {
        self.had.get(&fingerprint).copied().unwrap_or(0)
    }

    /// Takes the next answer to that call.
    pub(crate) fn next(&mut self, fingerprint: Fingerprint) -> Option<Recorded> {
        let at = self.answers.iter().position(|answer| answer.fingerprint == fingerprint)?;
        *self.had.entry(fingerprint).or_default() += 1;
        Some(self.answers.remove(at))
    }

    /// Where the answers come from, in one word.
    pub(crate) fn label(&self) -> &'static str {
        if self.record.is_some() { "recorded" } else { "replay" }
    }

    /// Why the earlier task was answered offline, when it was: then this one is, too.
    pub(crate) fn offline(&self) -> Option<&str> {
        self.record.as_ref()?.offline.as_deref()
    }

    /// Why there is no answer, when nobody may be asked for one.
    pub(crate) fn missing(&self, model: &str) -> Option<TaskError> {
        let of = self.record.as_ref()?;
        let shown: String = model.chars().take(80).collect();
        let message = format!(
            "this run is answered from the record of {}, which has no answer (left) to this call of `{shown}`: the \
             request is another one than it was then (a time stamp in a prompt is enough), or was never answered; \
             run it again without `--recorded` to ask the model",
            of.run
        );
        Some(TaskError::new(Category::ModelRequired, message).permanent())
    }
}
