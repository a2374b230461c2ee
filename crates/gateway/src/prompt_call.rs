//! An attempt of a task that asks models without a token: a prompt worker of this process.

use std::sync::Arc;

use kapelle_core::{Account, TaskError, TaskId, TenantId, worker::TextSink};
use tokio::sync::Mutex;

use crate::{
    money::Payer,
    replay::{CallLog, Fingerprint, LogError, Recorded, ReplayCursor, ReplaySource, TaskKey},
};

/// One attempt of a task, and what is left of the answers that earlier ones had.
pub struct PromptCall {
    pub(crate) key: TaskKey,
    pub(crate) payer: Payer,
    recorded: bool,
    cursor: Mutex<Option<ReplayCursor>>,
    watcher: Option<Arc<dyn TextSink>>,
}

/// Whether somebody has to be asked.
pub(crate) enum Before {
    /// Yes.
    Ask,
    /// There is an answer; whether it is of an earlier run.
    Answer(Box<Recorded>, bool),
    /// The worker does offline what it did offline before, for that reason.
    Offline(String),
    /// There is none, and nobody may be asked.
    Missing(TaskError),
}

impl PromptCall {
    /// An attempt. `replay_epoch` rises when one ended with a bad answer.
    #[must_use]
    pub fn new(tenant: TenantId, task: TaskId, attempt: u32, replay_epoch: u64) -> PromptCall {
        let payer = Payer { tenant, accounts: vec![Account::Task(task)], attempt, replay_epoch };
        let key = TaskKey { tenant, task, replay_epoch };
        PromptCall { key, payer, recorded: false, cursor: Mutex::new(None), watcher: None }
    }

    /// The same with somebody who is told of answers while they are being written: they are asked for as streams then.
    #[must_use]
    pub fn watched(mut self, watcher: Arc<dyn TextSink>) -> PromptCall {
        self.watcher = Some(watcher).filter(|watcher| watcher.is_read());
        self
    }

    pub(crate) fn watcher(&self) -> Option<&dyn TextSink> {
        self.watcher.as_deref()
    }

    /// Shows an answer that is there already.
    pub(crate) fn show(&self, text: &str) {
        if let Some(watcher) = &self.watcher {
            watcher.begin();
            watcher.add(text);
        }
    }

    /// The same, answered from the record of the run that the task's run repeats, and by nobody else.
    #[must_use]
    pub fn from_record(self, recorded: bool) -> PromptCall {
        PromptCall { recorded, ..self }
    }

    /// What there is before anybody is asked.
    pub(crate) async fn recorded_answer(
        &self,
        log: &dyn CallLog,
        (model, fingerprint): (&str, Fingerprint),
    ) -> Result<Before, LogError> {
        // A first attempt in the first epoch has nothing behind it.
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
