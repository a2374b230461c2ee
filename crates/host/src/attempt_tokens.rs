//! The gateway tokens that came with the tasks of the server.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kapelle_api::ClaimedTask;
use kapelle_core::TaskId;
use kapelle_gateway::AttemptTokens as TokensOfAttempts;

/// The gateway tokens of the attempts under way.
pub struct AttemptTokens {
    base_url: String,
    tokens: Mutex<HashMap<(String, u32), String>>,
    #[cfg(feature = "scripts")]
    next: std::sync::atomic::AtomicU64,
}

impl AttemptTokens {
    /// Starts without tokens; the gateway is that of the server at this address.
    #[must_use]
    pub fn of(server: &str) -> AttemptTokens {
        AttemptTokens {
            base_url: format!("{}/v1", server.trim_end_matches('/')),
            tokens: Mutex::default(),
            #[cfg(feature = "scripts")]
            next: std::sync::atomic::AtomicU64::new(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, u32), String>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of the gateway, as this host reaches it.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Keeps the token of a task until its attempt is over.
    pub(crate) fn keep(&self, task: &ClaimedTask) {
        if let Some(token) = &task.gateway_token {
            self.lock().insert((task.id.clone(), task.attempt), token.clone());
        }
    }

    /// Drops the token of an attempt that is over: the server revokes it by itself.
    pub(crate) fn forget(&self, task: &str, attempt: u32) {
        self.lock().remove(&(task.to_owned(), attempt));
    }
}

impl TokensOfAttempts for AttemptTokens {
    fn token(&self, task: TaskId, attempt: u32) -> Option<String> {
        self.lock().get(&(task.to_string(), attempt)).cloned()
    }
}

#[cfg(feature = "scripts")]
impl kapelle_scripts::TokenSource for AttemptTokens {
    fn for_task(
        &self,
        _worker: &kapelle_core::worker::WorkerSpec,
        attempt: &kapelle_core::worker::TaskContext,
    ) -> Result<Option<kapelle_scripts::Access>, String> {
        let token = self.lock().get(&(attempt.task.clone(), attempt.attempt)).cloned();
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(token.map(|token| kapelle_scripts::Access { id, token, base_url: self.base_url.clone() }))
    }

    /// Returns `None`: daemons are not for hosts.
    fn for_process(
        &self,
        _worker: &kapelle_core::Name,
        _process: &str,
        _budget: Option<kapelle_core::Money>,
    ) -> Result<Option<kapelle_scripts::Access>, String> {
        Ok(None)
    }

    fn revoke(&self, _id: u64) {}
}
