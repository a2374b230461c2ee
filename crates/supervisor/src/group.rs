//! The process group of a child: killed as a whole when its owner goes away.

/// A process group that is killed when dropped. The child leads a group of its own, so its id is the group's.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Option<u32>,
}

impl Group {
    /// Returns the group that this child leads. Returns `None` when it has already been reaped.
    pub(crate) fn of(leader: Option<u32>) -> Group {
        Group { leader }
    }

    /// Kills every member. Harmless for an empty group.
    pub(crate) fn kill(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            // The only expected error is an empty group, which is the goal.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
        #[cfg(not(unix))]
        let _ = self.leader;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
