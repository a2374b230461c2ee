//! Where the tokens come from with which scripts ask models. A script is never given a provider's key.

use std::sync::Arc;

use kapelle_core::{
    Money, Name,
    worker::{TaskContext, WorkerSpec},
};

/// What a script is given to ask models with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// What takes it back.
    pub id: u64,
    /// The token, as `OPENAI_API_KEY`.
    pub token: String,
    /// The address of the gateway, as `OPENAI_BASE_URL`.
    pub base_url: String,
}

/// Makes tokens and takes them back. Must be quick.
pub trait TokenSource: Send + Sync + 'static {
    /// A token for one attempt of one task of a worker; it ends with the attempt. None: there is no gateway.
    ///
    /// # Errors
    /// Why none can be made.
    fn for_task(&self, worker: &WorkerSpec, attempt: &TaskContext) -> Result<Option<Access>, String>;

    /// A token for a process that is its own master, with the budget of its worker; it ends with the process, which has
    /// a name that is used once. None: there is no gateway.
    ///
    /// # Errors
    /// Why none can be made.
    fn for_process(&self, worker: &Name, process: &str, budget: Option<Money>) -> Result<Option<Access>, String>;

    /// Ends a token: its next call is refused.
    fn revoke(&self, id: u64);
}

/// No gateway: scripts get no token, and no key either.
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

/// A token that is taken back when it is dropped.
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
