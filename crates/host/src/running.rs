//! The attempts under way.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kapelle_core::worker::CancelFlag;
use tokio::task::AbortHandle;

/// The attempts under way, by their lease tokens.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<String, (CancelFlag, Option<AbortHandle>)>>);

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (CancelFlag, Option<AbortHandle>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an attempt that is about to be started.
    pub(crate) fn begin(&self, token: &str, cancel: CancelFlag) {
        self.lock().insert(token.to_owned(), (cancel, None));
    }

    /// Adds the way to abort an attempt, unless it has ended meanwhile.
    pub(crate) fn started(&self, token: &str, abort: AbortHandle) {
        if let Some((_, place)) = self.lock().get_mut(token) {
            *place = Some(abort);
        }
    }

    /// Removes an attempt that ended by itself. Returns false if it had been stopped.
    pub(crate) fn end(&self, token: &str) -> bool {
        self.lock().remove(token).is_some()
    }

    /// Stops an attempt. Returns false if it has ended already.
    pub(crate) fn stop(&self, token: &str) -> bool {
        let Some((flag, abort)) = self.lock().remove(token) else { return false };
        flag.raise();
        if let Some(abort) = abort {
            abort.abort();
        }
        true
    }

    /// The lease tokens of all.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }
}
