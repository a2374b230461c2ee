//! Acts of people. Those that took effect are written down, with who did them, in the same commit.

use kapelle_store::{Act, Deletion};

use super::{
    command::{Command, Reply},
    runs::Answer,
    state::LoopState,
};

impl LoopState {
    /// Does something for somebody, and adds it to the trail when it changed anything.
    pub(super) fn audited(&mut self, act: &Act, command: &Command) -> Answer {
        let idle = self.changes_nothing(command);
        let versions = self.cache.versions.len();
        let reply = self.apply(command)?;
        let done = match (&reply, command) {
            (Err(_), _) => false,
            (Ok(Reply::Deleted(deletion)), _) => *deletion == Deletion::Deleted,
            // The newest version may have had the same text already.
            (Ok(_), Command::StoreVersion { .. }) => self.cache.versions.len() > versions,
            (Ok(_), _) => !idle,
        };
        if done {
            self.write_down(act)?;
        }
        Ok(reply)
    }

    /// Whether a command asks for what is so already.
    fn changes_nothing(&self, command: &Command) -> bool {
        match command {
            Command::Pause { tenant, kind, name, paused, .. } => self.limits.pauses(*tenant, *kind, name) == *paused,
            Command::ForgetWorker { tenant, worker } => !self.host_workers.knows(*tenant, worker),
            _ => false,
        }
    }
}
