//! An attempt of a task that asks models without a token: a prompt worker of this process.

use kapelle_core::{Account, TaskId, TenantId};
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
}

impl Asking {
    /// An attempt. `replay_epoch` rises when one ended with a bad answer.
    #[must_use]
    pub fn new(tenant: TenantId, task: TaskId, attempt: u32, replay_epoch: u64) -> Asking {
        let payer = Payer { tenant, accounts: vec![Account::Task(task)], attempt, replay_epoch };
        Asking { key: TaskKey { tenant, task, replay_epoch }, payer, left: Mutex::new(None) }
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
