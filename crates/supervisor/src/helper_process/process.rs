//! A worker's process on the server's side.

use std::sync::Arc;

use tokio::{
    net::unix::pipe::{Receiver, Sender},
    sync::watch,
};

use super::client::Shared;
use crate::machine::{Cause, Exit};

/// A process and the other ends of its standard streams.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Process {
    /// Handle that signals it and reports its end.
    pub handle: Handle,
    /// Guard that ends it when dropped.
    pub guard: Guard,
    pub stdin: Sender,
    pub stdout: Receiver,
    pub stderr: Receiver,
}

/// Handle that signals a process and reports its end.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) id: u64,
    pub(super) pid: i32,
    pub(super) shared: Arc<Shared>,
    pub(super) exit: watch::Receiver<Option<Exit>>,
}

impl Handle {
    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Requests the end of it and its group.
    pub fn terminate(&self) {
        self.shared.terminate(self.id);
    }

    /// Kills it with all its descendants.
    pub fn kill(&self) {
        self.shared.kill(self.id);
    }

    /// Waits for its end. By then all its descendants have ended too.
    pub async fn exited(&mut self) -> Exit {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_default(),
            Err(_) => Exit::because(Cause::HelperLost),
        }
    }
}

/// Kills a process when dropped.
#[derive(Debug)]
pub struct Guard(pub(super) Handle);

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.exit.borrow().is_none() {
            self.0.kill();
        }
    }
}
