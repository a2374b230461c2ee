//! Recorded answers that an attempt may use, and those it has used.

use std::collections::HashMap;

use kapelle_core::{Category, TaskError};

use super::{CallLog, Fingerprint, LogError, Recorded, TaskKey};

/// Source of the answers of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplaySource {
    /// Task and replay epoch.
    pub(crate) key: TaskKey,
    /// The attempt. Answers that it already received are not replayed to it.
    pub(crate) attempt: u32,
    /// Whether answers come only from the record of the run that the task's run repeats, without calling a provider.
    pub(crate) recorded: bool,
}

/// Recorded answers that are left.
pub(crate) struct ReplayCursor {
    answers: Vec<Recorded>,
    /// Answers used by the attempt, per request.
    had: HashMap<Fingerprint, u32>,
    record: Option<Of>,
}

/// The record that all answers come from.
struct Of {
    run: String,
    offline: Option<String>,
}

impl ReplayCursor {
    /// Reads the recorded answers.
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

    /// Tells whether there are no recorded answers.
    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Skips answers that the attempt used before this process began.
    pub(crate) fn pass(&mut self, fingerprint: Fingerprint, count: u32) {
        for _ in 0..count {
            self.next(fingerprint);
        }
    }

    /// Counts the answers to that call that the attempt has used.
    pub(crate) fn had(&self, fingerprint: Fingerprint) -> u32 {
        self.had.get(&fingerprint).copied().unwrap_or(0)
    }

    /// Takes the next answer to that call.
    pub(crate) fn next(&mut self, fingerprint: Fingerprint) -> Option<Recorded> {
        let at = self.answers.iter().position(|answer| answer.fingerprint == fingerprint)?;
        *self.had.entry(fingerprint).or_default() += 1;
        Some(self.answers.remove(at))
    }

    /// Returns the source of the answers in one word.
    pub(crate) fn label(&self) -> &'static str {
        if self.record.is_some() { "recorded" } else { "replay" }
    }

    /// Returns the reason why the earlier task was answered offline, if it was: this one then is, too.
    pub(crate) fn offline(&self) -> Option<&str> {
        self.record.as_ref()?.offline.as_deref()
    }

    /// Returns the error of a missing answer when no provider may be called.
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
