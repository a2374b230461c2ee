//! Why a chain gave no answer.

use kapelle_core::TaskError;

use crate::{answer::Hop, providers::told::Told};

/// The error for the task, and what each link did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct GatewayError {
    /// What the task fails with.
    pub error: TaskError,
    /// What each link did.
    pub hops: Vec<Hop>,
    /// The provider's own error, where the failure is one.
    pub(crate) told: Option<Box<Told>>,
}

impl GatewayError {
    pub(crate) fn plain(error: TaskError) -> GatewayError {
        GatewayError { error, hops: Vec::new(), told: None }
    }

    /// Requests sent before the walk was given up.
    #[must_use]
    pub fn calls(&self) -> u64 {
        Hop::calls(&self.hops)
    }
}

impl From<GatewayError> for TaskError {
    fn from(failure: GatewayError) -> TaskError {
        failure.error
    }
}
