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

    /// Returns the money that the latest call of a process's token lacked. `None` when it was paid.
    fn shortage(&self, _id: u64) -> Option<Shortage> {
        None
    }

    /// Returns the `provider/model` of an alias that sets the least money aside for a call, and that amount. `None` when
    /// the model or its price is unknown.
    fn least_call(&self, _model: &str) -> Option<(String, Money)> {
        None
    }

    /// Says whether a new process of the worker could pay for the call that was refused.
    fn has_room(&self, _worker: &Name, _shortage: &Shortage) -> bool {
        true
    }
}

/// Money that the call of a process lacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The account that refused, with what lifts the refusal, for people.
    pub why: String,
    /// The highest possible cost of the call.
    pub needs: Money,
    /// Whether the limit of the process itself refused, so that a new process has money the next day.
    pub own: bool,
    /// Number of the day (UTC).
    pub day: i64,
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

    pub(super) fn shortage(&self) -> Option<Shortage> {
        self.access.as_ref().and_then(|access| self.source.shortage(access.id))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(access) = &self.access {
            self.source.revoke(access.id);
        }
    }
}
