//! Recorded answers that an attempt may use, and those it has used.

use std::collections::HashMap;

use kapelle_core::{Category, TaskError};

use super::{CallLog, Fingerprint, LogError, Recorded, Source, TaskKey};
use crate::wire::ModelCall;

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

/// Content of the recording for a call.
pub(crate) enum Replay {
    /// It has an answer, which is the attempt's answer of that number to this request.
    Answer(Box<Recorded>, Source, u32),
    /// The step was answered offline for this reason, and is again.
    Offline(String),
    /// It has no answer, and no provider may be called.
    Missing(TaskError),
    /// It has no answer, and another source may have one.
    Nothing,
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

    /// Decides how the record answers a call, and counts the answer as used.
    pub(crate) fn find(&mut self, call: &ModelCall, fingerprint: Fingerprint) -> Replay {
        let source = if self.record.is_some() { Source::Recorded } else { Source::Replay };
        if let Some((answer, had)) = self.next(fingerprint) {
            return Replay::Answer(Box::new(answer), source, had);
        }
        match &self.record {
            None => Replay::Nothing,
            // Only the worker file of a prompt worker can name an offline method.
            Some(Of { offline: Some(why), .. }) if call.of_worker => Replay::Offline(why.clone()),
            Some(of) => Replay::Missing(of.missing(&call.model)),
        }
    }

    /// Takes the next answer to that call. Also returns the number of such answers that the attempt has used.
    fn next(&mut self, fingerprint: Fingerprint) -> Option<(Recorded, u32)> {
        let at = self.answers.iter().position(|answer| answer.fingerprint == fingerprint)?;
        let had = self.had.entry(fingerprint).or_default();
        *had += 1;
        Some((self.answers.remove(at), *had))
    }
}

impl Of {
    /// Makes the error of a missing answer when no provider may be called.
    fn missing(&self, model: &str) -> TaskError {
        let shown: String = model.chars().take(80).collect();
        let message = format!(
            "this run is answered from the recording of {}, which has no answer (left) to this call of `{shown}`: the \
             request is another one than it was then (a time stamp in a prompt is enough), or was never answered; \
             run it again without `--recorded` to ask the model",
            self.run
        );
        TaskError::new(Category::ModelRequired, message).permanent()
    }
}
