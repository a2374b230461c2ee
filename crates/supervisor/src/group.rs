//! The process group of a child: killed as a whole, however its owner goes away.

/// Kills the group when dropped. The child leads a group of its own, so its id is the group's.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Option<u32>,
}

impl Group {
    /// The group that this child leads; `None` when it has already been reaped.
    pub(crate) fn of(leader: Option<u32>) -> Group {
        Group { leader }
    }

    /// Kills every member. Harmless when none is left.
    pub(crate) fn kill(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            // The one error to expect is that nobody is left, which is what was wanted.
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
