//! An attempt of a task that asks models without a token: a prompt worker of this process.

use std::sync::Arc;

use kapelle_core::{Account, TaskId, TenantId, worker::TextSink};
use tokio::sync::Mutex;

use crate::{
    access::Holder,
    money::Payer,
    replay::{CallLog, Fingerprint, LogError, Recorded, TaskKey},
};

/// One attempt of a task, and what is left of the answers that earlier ones had.
pub struct Asking {
    pub(crate) key: TaskKey,
    pub(crate) payer: Payer,
    left: Mutex<Option<Vec<Recorded>>>,
    watcher: Option<Arc<dyn TextSink>>,
}

impl Asking {
    /// An attempt. `replay_epoch` rises when one ended with a bad answer.
    #[must_use]
    pub fn new(tenant: TenantId, task: TaskId, attempt: u32, replay_epoch: u64) -> Asking {
        let payer = Payer { tenant, accounts: vec![Account::Task(task)], attempt, replay_epoch };
        Asking { key: TaskKey { tenant, task, replay_epoch }, payer, left: Mutex::new(None), watcher: None }
    }

    /// The same with somebody who is told of answers while they are being written: they are asked for as streams then.
    #[must_use]
    pub fn watched(mut self, watcher: Arc<dyn TextSink>) -> Asking {
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

    /// The next recorded answer to that call.
    pub(crate) async fn again(
        &self,
        log: &dyn CallLog,
        fingerprint: Fingerprint,
    ) -> Result<Option<Recorded>, LogError> {
        // A first attempt in the first epoch has nothing behind it.
        if self.payer.attempt <= 1 {
            return Ok(None);
        }
        let mut left = self.left.lock().await;
        if left.is_none() {
            *left = Some(log.recorded(self.key).await?);
        }
        Ok(left.as_mut().and_then(|left| Holder::next_of(left, fingerprint)))
    }
}
