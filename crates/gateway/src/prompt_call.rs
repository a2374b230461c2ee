//! Model calls of a prompt worker in this process, which needs no token.

use std::sync::Arc;

use kapelle_core::{Account, TaskError, TaskId, TenantId, worker::TextSink};
use tokio::sync::Mutex;

use crate::{
    money::Payer,
    replay::{CallLog, Fingerprint, LogError, Recorded, ReplayCursor, ReplaySource, TaskKey},
};

/// An attempt of a task that calls models, and the recorded answers that are left to it.
pub struct PromptCall {
    pub(crate) key: TaskKey,
    pub(crate) payer: Payer,
    recorded: bool,
    cursor: Mutex<Option<ReplayCursor>>,
    watcher: Option<Arc<dyn TextSink>>,
}

/// Answer of the record, before any provider is called.
pub(crate) enum Before {
    /// The provider must be called.
    Ask,
    /// A recorded answer, and whether it is of an earlier run.
    Answer(Box<Recorded>, bool),
    /// The worker runs its offline method as it did before, for this reason.
    Offline(String),
    /// The record has no answer, and the provider may not be called.
    Missing(TaskError),
}

impl PromptCall {
    /// Makes the calls of an attempt. `replay_epoch` rises after an attempt that ended with a bad answer.
    #[must_use]
    pub fn new(tenant: TenantId, task: TaskId, attempt: u32, replay_epoch: u64) -> PromptCall {
        let payer = Payer { tenant, accounts: vec![Account::Task(task)], attempt, replay_epoch };
        let key = TaskKey { tenant, task, replay_epoch };
        PromptCall { key, payer, recorded: false, cursor: Mutex::new(None), watcher: None }
    }

    /// Adds a sink for answers while they are written. The provider is then asked for a stream.
    #[must_use]
    pub fn watched(mut self, watcher: Arc<dyn TextSink>) -> PromptCall {
        self.watcher = Some(watcher).filter(|watcher| watcher.is_read());
        self
    }

    pub(crate) fn watcher(&self) -> Option<&dyn TextSink> {
        self.watcher.as_deref()
    }

    /// Shows an answer that is already complete.
    pub(crate) fn show(&self, text: &str) {
        if let Some(watcher) = &self.watcher {
            watcher.begin();
            watcher.add(text);
        }
    }

    /// Answers only from the record of the run that the task's run repeats, if `recorded`.
    #[must_use]
    pub fn from_record(self, recorded: bool) -> PromptCall {
        PromptCall { recorded, ..self }
    }

    /// Looks for a recorded answer before a provider is called.
    pub(crate) async fn recorded_answer(
        &self,
        log: &dyn CallLog,
        (model, fingerprint): (&str, Fingerprint),
    ) -> Result<Before, LogError> {
        // A first attempt in the first epoch has no recorded answers.
        if self.payer.attempt <= 1 && !self.recorded {
            return Ok(Before::Ask);
        }
        let mut cursor = self.cursor.lock().await;
        if cursor.is_none() {
            let source = ReplaySource { key: self.key, attempt: self.payer.attempt, recorded: self.recorded };
            *cursor = Some(ReplayCursor::read(log, source).await?);
        }
        let Some(cursor) = cursor.as_mut() else { return Ok(Before::Ask) };
        Ok(match (cursor.next(fingerprint), cursor.offline(), cursor.missing(model)) {
            (Some(answer), ..) => Before::Answer(Box::new(answer), self.recorded),
            (None, Some(why), _) => Before::Offline(why.to_owned()),
            (None, None, Some(error)) => Before::Missing(error),
            (None, None, None) => Before::Ask,
        })
    }
}
