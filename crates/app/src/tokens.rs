//! Tokens of attempts on worker hosts, which survive a restart of their server.

use std::{sync::Arc, time::Duration};

use kapelle_core::{TaskId, task::TaskState};
use kapelle_engine::command;
use kapelle_gateway::{
    mac,
    money::Pending,
    replay::{Fingerprint, LogError, TaskKey},
    tokens::{Leased, Leases},
};
use kapelle_store::GivenRow;

use crate::{app::App, ledger::EngineLedger};

impl Leases for EngineLedger {
    fn leased(&self, task: TaskId) -> Option<Leased> {
        let engine = self.now()?;
        // An unreadable one is refused: the attempt fails and is retried.
        let row = engine.reader().task_of_any(task).ok().flatten()?;
        let TaskState::Running(lease) = row.state else { return None };
        // Attempts of this process end with it.
        if lease.host == 0 {
            return None;
        }
        let replay_epoch = engine.replay_epoch(task, lease.epoch).ok()?;
        let timeout = row.policy.timeout.unwrap_or(self.timeout);
        Some(Leased {
            task: TaskKey { tenant: row.tenant, task, replay_epoch },
            attempt: lease.epoch,
            nonce: lease.nonce,
            timeout: Duration::from_millis(timeout.0),
            recorded: row.policy.recorded,
        })
    }

    fn given(&self, task: TaskId, attempt: u32) -> Result<Vec<(Fingerprint, u32)>, LogError> {
        let engine = self.now().ok_or_else(gone)?;
        let rows = engine.reader().given(task, attempt).map_err(|error| LogError(error.to_string()))?;
        Ok(rows.into_iter().map(|row| (Fingerprint(row.fingerprint), row.count)).collect())
    }

    fn give(&self, task: TaskId, attempt: u32, (of, count): (Fingerprint, u32)) -> Pending<'_, Result<(), LogError>> {
        Box::pin(async move {
            let engine = self.now().ok_or_else(gone)?;
            let row = GivenRow { task, attempt, fingerprint: of.0, count };
            engine.ask(command::GiveAgain { row }).await.map_err(|error| LogError(error.to_string()))?;
            Ok(())
        })
    }
}

fn gone() -> LogError {
    LogError("the engine has ended".to_owned())
}

impl App {
    /// Makes tokens of attempts on worker hosts survive a restart: a process that opens the folder with the same secret
    /// accepts them, as long as their leases are valid.
    pub fn keep_tokens(&self, secret: &str) {
        let key = mac::hmac(secret.as_bytes(), b"kapelle tokens of attempts");
        self.token_issuer.keep_tokens(key, Arc::clone(&self.ledger) as _);
    }
}
