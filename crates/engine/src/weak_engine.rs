//! A handle that does not keep an engine running.

use std::sync::{Arc, Weak};

use crate::engine::{Engine, Inner};

/// A weak handle of an engine.
#[derive(Clone)]
pub struct WeakEngine(Weak<Inner>);

impl WeakEngine {
    pub(crate) fn of(inner: &Arc<Inner>) -> WeakEngine {
        WeakEngine(Arc::downgrade(inner))
    }

    /// Returns the engine while another handle exists.
    #[must_use]
    pub fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(|inner| Engine { inner })
    }
}
