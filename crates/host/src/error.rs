//! Errors of a host.

use kapelle_api::ClientError;

/// The reason why a host cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// None of its workers can take tasks.
    #[error("no worker to serve")]
    NoWorkers,
    /// The address of the server's gateway cannot be used.
    #[error("{0}")]
    Gateway(String),
    /// The system provides no thread for the heartbeats.
    #[error("the thread of the heartbeats: {0}")]
    Heart(std::io::Error),
    /// The server refused the host.
    #[error(transparent)]
    Client(#[from] ClientError),
}
