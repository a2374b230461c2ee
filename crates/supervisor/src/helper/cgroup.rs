//! A control group for each worker, where the system lets us make one: the surest way to end it, and limits that hold
//! to the byte.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use super::launch::Allowance;

/// Where groups are made.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    root: Option<PathBuf>,
}

/// The group of one worker. Removed when dropped.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
}

impl Cgroups {
    /// Below the group of this process, when it may make groups there.
    pub(super) fn find() -> Cgroups {
        Cgroups { root: root().filter(|root| probe(root)) }
    }

    /// None at all.
    pub(super) fn none() -> Cgroups {
        Cgroups { root: None }
    }

    /// Makes the group of a worker.
    pub(super) fn make(&self, mark: &str, allowance: &Allowance) -> Option<Cgroup> {
        let path = self.root.as_ref()?.join(format!("kapelle-{mark}"));
        fs::create_dir(&path).ok()?;
        // Limits hold where the controllers are handed down to us; elsewhere the helper counts for itself.
        if let Some(memory) = allowance.memory {
            let _ = fs::write(path.join("memory.max"), memory.to_string());
            let _ = fs::write(path.join("memory.swap.max"), "0");
        }
        let _ = fs::write(path.join("pids.max"), allowance.processes.saturating_add(1).to_string());
        Some(Cgroup { path })
    }
}

impl Cgroup {
    /// Where a process writes `0` to get in.
    pub(super) fn door(&self) -> Option<OwnedFd> {
        let door = fs::OpenOptions::new().write(true).open(self.path.join("cgroup.procs"));
        door.ok().map(OwnedFd::from)
    }

    /// Ends everybody in it, and gives how many there were beside the leader.
    pub(super) fn kill(&self, leader: i32) -> u32 {
        let members = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        let others = members.lines().filter(|line| line.parse() != Ok(leader)).count();
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    /// Whether the system ended a process of it because memory ran out.
    pub(super) fn ran_out(&self) -> bool {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        events.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It may take the system a moment to notice that it is empty; one that stays is empty and costs nothing.
        let _ = fs::remove_dir(&self.path);
    }
}

/// The group of this process in the second version of the hierarchy.
fn root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(own))
}

/// Whether a group can be made there and ends those in it.
fn probe(root: &Path) -> bool {
    let path = root.join(format!("kapelle-probe-{}", std::process::id()));
    let made = fs::create_dir(&path).is_ok();
    let kills = path.join("cgroup.kill").exists();
    let _ = fs::remove_dir(&path);
    made && kills
}
