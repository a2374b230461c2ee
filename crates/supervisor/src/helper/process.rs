//! A worker's process, as the server holds it.

use std::sync::Arc;

use tokio::{
    net::unix::pipe::{Receiver, Sender},
    sync::watch,
};

use super::client::Shared;
use crate::machine::{Cause, Exit};

/// A process and the other ends of its standard streams.
#[derive(Debug)]
pub struct Process {
    /// What signals it and knows of its end.
    pub handle: Handle,
    /// Ends it when dropped.
    pub guard: Guard,
    /// What it reads.
    pub stdin: Sender,
    /// What it writes.
    pub stdout: Receiver,
    /// Where it complains.
    pub stderr: Receiver,
}

/// What signals a process and knows of its end.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) id: u64,
    pub(super) pid: i32,
    pub(super) shared: Arc<Shared>,
    pub(super) exit: watch::Receiver<Option<Exit>>,
}

impl Handle {
    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Asks it and its group to end.
    pub fn terminate(&self) {
        self.shared.terminate(self.id);
    }

    /// Ends it with everything it has started.
    pub fn kill(&self) {
        self.shared.kill(self.id);
    }

    /// Waits for its end. By then everything it had started has ended too.
    pub async fn exited(&mut self) -> Exit {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_default(),
            Err(_) => Exit::because(Cause::HelperLost),
        }
    }
}

/// Ends a process when dropped.
#[derive(Debug)]
pub struct Guard(pub(super) Handle);

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.exit.borrow().is_none() {
            self.0.kill();
        }
    }
}
