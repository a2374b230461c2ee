//! Refusals, and servers that are not reached.

use crate::problem::Problem;

/// Reasons for which a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused it.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// The server was not reached, or its answer was not understood.
    #[error("{address}: {message}")]
    Unreachable {
        /// Address of the server.
        address: String,
        /// Fault, in words of the system.
        message: String,
    },
}

impl ClientError {
    /// Says whether the same request may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            ClientError::Refused(problem) => matches!(problem.status, 408 | 429 | 500..),
            ClientError::Unreachable { .. } => true,
        }
    }
}
