//! The mark by which the processes of a worker are known.

use super::proc;

/// Environment variable that carries the mark.
pub const MARK: &str = "KAPELLE_MARK";

/// A supervisor: a process that is not confused with another, even when its id is reused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    namespace: u64,
    pub(super) pid: i32,
    start: u64,
}

impl Owner {
    /// Returns this process.
    pub(super) fn me() -> Owner {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Owner { namespace: namespace(), pid, start: proc::one(pid).map_or(0, |seen| seen.start) }
    }

    /// Returns the mark of its worker of that number.
    pub(super) fn mark(&self, id: u64) -> String {
        format!("{:x}-{}-{:x}-{id:x}", self.namespace, self.pid, self.start)
    }

    /// Parses a mark into its owner and the number of the worker.
    pub(super) fn of(mark: &str) -> Option<(Owner, u64)> {
        let mut parts = mark.split('-');
        let namespace = u64::from_str_radix(parts.next()?, 16).ok()?;
        let pid = parts.next()?.parse().ok()?;
        let start = u64::from_str_radix(parts.next()?, 16).ok()?;
        let id = u64::from_str_radix(parts.next()?, 16).ok()?;
        parts.next().is_none().then_some((Owner { namespace, pid, start }, id))
    }

    /// Tells whether it is known to be dead. Processes of another namespace cannot be judged.
    pub(super) fn is_gone(&self) -> bool {
        self.namespace == namespace()
            && proc::one(self.pid).is_none_or(|seen| seen.start != self.start || seen.is_dead())
    }
}

/// Returns the number of this process's PID namespace.
fn namespace() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |about| about.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_others_are_none() {
        let me = Owner::me();
        assert_eq!(Owner::of(&me.mark(27)), Some((me.clone(), 27)));
        assert!(!me.is_gone() && Owner { start: me.start + 1, ..me.clone() }.is_gone());
        assert!(!Owner { namespace: me.namespace + 1, start: 0, ..me }.is_gone());
        for wrong in ["", "1-2-3", "1-2-3-4-5", "x-2-3-4", "1-2--4"] {
            assert_eq!(Owner::of(wrong), None, "{wrong}");
        }
    }
}
