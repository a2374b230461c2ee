//! Acts of people. Those that took effect are written down, with who did them, in the same commit.

use kapelle_store::{Act, Deletion};

use super::{
    command::{Command, Reply},
    runs::Answer,
    state::LoopState,
};

impl LoopState {
    /// Does something for somebody, and adds it to the trail when it changed anything.
    pub(super) fn audited(&mut self, act: &Act, command: &Command) -> Answer<Reply> {
        let idle = self.changes_nothing(command);
        let versions = self.cache.versions.len();
        let reply = self.apply(command)?;
        let done = match (&reply, command) {
            (Err(_), _) => false,
            (Ok(Reply::DeleteVersion(deletion)), _) => *deletion == Deletion::Deleted,
            // The newest version may have had the same text already.
            (Ok(_), Command::StoreVersion(_)) => self.cache.versions.len() > versions,
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
            Command::Pause(pause) => self.limits.pauses(pause.tenant, pause.kind, &pause.name) == pause.paused,
            Command::ForgetWorker(forget) => !self.host_workers.knows(forget.tenant, &forget.worker),
            _ => false,
        }
    }
}
