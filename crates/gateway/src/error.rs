//! Error of a chain that returned no answer.

use kapelle_core::TaskError;

use crate::{answer::Hop, providers::told::Told};

/// The task's error, and the results of the links.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct GatewayError {
    /// The error that the task fails with.
    pub error: TaskError,
    /// Results of all links.
    pub hops: Vec<Hop>,
    /// The provider's own error, if the provider failed the call.
    pub(crate) told: Option<Box<Told>>,
}

impl GatewayError {
    pub(crate) fn plain(error: TaskError) -> GatewayError {
        GatewayError { error, hops: Vec::new(), told: None }
    }

    /// Counts the requests sent before the chain was given up.
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
