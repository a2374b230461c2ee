//! A control group for each worker, where the system allows it: the surest way to end it, and exact limits.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use super::{launch::Allowance, mark::Owner};

/// Parent of the workers' control groups.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    root: Option<PathBuf>,
}

/// Control group of one worker. Removed when dropped.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
}

impl Cgroups {
    /// Finds the parent below the group of this process, if it may make groups there.
    pub(super) fn find() -> Cgroups {
        let root = root().filter(|root| probe(root));
        root.iter().for_each(|root| tidy(root));
        Cgroups { root }
    }

    /// Makes no groups.
    pub(super) fn none() -> Cgroups {
        Cgroups { root: None }
    }

    /// Makes the group of a worker.
    pub(super) fn make(&self, mark: &str, allowance: &Allowance) -> Option<Cgroup> {
        let path = self.root.as_ref()?.join(format!("kapelle-{mark}"));
        fs::create_dir(&path).ok()?;
        // Limits apply where the controllers are delegated; elsewhere the helper counts itself.
        if let Some(memory) = allowance.memory {
            let _ = fs::write(path.join("memory.max"), memory.to_string());
            let _ = fs::write(path.join("memory.swap.max"), "0");
        }
        let _ = fs::write(path.join("pids.max"), allowance.processes.saturating_add(1).to_string());
        Some(Cgroup { path })
    }
}

impl Cgroup {
    /// Returns the file into which a process writes `0` to enter the group.
    pub(super) fn door(&self) -> Option<OwnedFd> {
        let door = fs::OpenOptions::new().write(true).open(self.path.join("cgroup.procs"));
        door.ok().map(OwnedFd::from)
    }

    /// Kills all members. Returns their number without the leader.
    pub(super) fn kill(&self, leader: i32) -> u32 {
        let members = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        let others = members.lines().filter(|line| line.parse() != Ok(leader)).count();
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    /// Tells whether the system killed a member because memory ran out.
    pub(super) fn ran_out(&self) -> bool {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        events.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The system may need a moment to notice that it is empty; a leftover group is empty and costs nothing.
        let _ = fs::remove_dir(&self.path);
    }
}

/// Returns the group of this process in version 2 of the hierarchy.
fn root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(own))
}

/// Removes groups of helpers that were killed. A group with members stays.
fn tidy(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| Owner::of(name.strip_prefix("kapelle-")?));
        if owner.is_some_and(|(owner, _)| owner.is_gone()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Tells whether a group can be made there and kills its members.
fn probe(root: &Path) -> bool {
    let path = root.join(format!("kapelle-probe-{}", std::process::id()));
    let made = fs::create_dir(&path).is_ok();
    let kills = path.join("cgroup.kill").exists();
    let _ = fs::remove_dir(&path);
    made && kills
}
