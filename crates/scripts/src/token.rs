//! The tokens with which scripts ask models. A script never receives a provider's key.

use std::sync::Arc;

use kapelle_core::{
    Money, Name,
    worker::{TaskContext, WorkerSpec},
};

/// The access of a script to models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The id that revokes it.
    pub id: u64,
    /// The token, as `OPENAI_API_KEY`.
    pub token: String,
    /// The address of the gateway, as `OPENAI_BASE_URL`.
    pub base_url: String,
}

/// Issues and revokes tokens. Must be quick.
pub trait TokenSource: Send + Sync + 'static {
    /// Issues a token for one attempt of a worker's task; the token ends with the attempt. `None` without a gateway.
    ///
    /// # Errors
    /// Why no token can be issued.
    fn for_task(&self, worker: &WorkerSpec, attempt: &TaskContext) -> Result<Option<Access>, String>;

    /// Issues a token for a process that runs by itself, with the budget of its worker; it ends with the process, which
    /// has a unique name. `None` without a gateway.
    ///
    /// # Errors
    /// Why no token can be issued.
    fn for_process(&self, worker: &Name, process: &str, budget: Option<Money>) -> Result<Option<Access>, String>;

    /// Revokes a token: its next call is refused.
    fn revoke(&self, id: u64);
}

/// A source without a gateway: scripts get no token, and no key either.
#[derive(Debug, Clone, Copy)]
pub struct NoTokens;

impl TokenSource for NoTokens {
    fn for_task(&self, _worker: &WorkerSpec, _attempt: &TaskContext) -> Result<Option<Access>, String> {
        Ok(None)
    }

    fn for_process(&self, _worker: &Name, _process: &str, _budget: Option<Money>) -> Result<Option<Access>, String> {
        Ok(None)
    }

    fn revoke(&self, _id: u64) {}
}

/// A token that is revoked when it is dropped.
pub(super) struct Lent {
    source: Arc<dyn TokenSource>,
    access: Option<Access>,
}

impl Lent {
    pub(super) fn new(source: &Arc<dyn TokenSource>, access: Option<Access>) -> Lent {
        Lent { source: Arc::clone(source), access }
    }

    pub(super) fn access(&self) -> Option<&Access> {
        self.access.as_ref()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(access) = &self.access {
            self.source.revoke(access.id);
        }
    }
}
