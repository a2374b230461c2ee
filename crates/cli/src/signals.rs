//! Ctrl-C and the request to end: the first drains, the second ends at once.

use crate::failure::Code;

/// Signals that ask this process to end.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system does not deliver signals.
    #[cfg(unix)]
    pub fn listen() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Listens from now on.
    ///
    /// # Errors
    /// Never, on this system.
    #[cfg(not(unix))]
    pub fn listen() -> std::io::Result<Signals> {
        Ok(Signals {})
    }

    /// Waits for the next request to end. Returns its exit code.
    #[cfg(unix)]
    pub async fn next(&mut self) -> Code {
        tokio::select! {
            _ = self.interrupt.recv() => Code::Interrupted,
            _ = self.terminate.recv() => Code::Terminated,
        }
    }

    /// Waits for the next request to end. Returns its exit code.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> Code {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Code::Interrupted
    }
}
