//! Killing of processes: by a handle that cannot mean another process, repeated until all are gone.

use std::{
    collections::HashSet,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid},
};

use super::{
    family::family,
    proc::{self, Seen},
};

/// Rounds of searching and killing. Each kills all that it finds, so a process that forks as fast as it can loses.
const ROUNDS: usize = 100;
/// Wait of a round for the dead.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Kills everything that belongs to a worker, the leader included. Returns the number without the leader. `carries`
/// decides about marks.
pub(super) fn sweep(leader: i32, since: u64, carries: impl Fn(&str) -> bool) -> u32 {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let mut ended: HashSet<(i32, u64)> = HashSet::new();
    for _ in 0..ROUNDS {
        let seen = proc::all();
        // A process of a worker cannot be older than the worker.
        let marked = seen.iter().filter(|process| process.start >= since && !process.is_dead());
        let marked = marked.filter(|process| proc::read_mark(process.pid).is_some_and(|mark| carries(&mark)));
        let marked: HashSet<i32> = marked.map(|process| process.pid).collect();
        let members = family(&seen, leader, &marked, me);
        let alive: Vec<&Seen> = members.into_iter().filter(|process| !process.is_dead()).collect();
        if alive.is_empty() {
            break;
        }
        ended.extend(alive.iter().map(|process| (process.pid, process.start)));
        end(&alive);
        bury(me, leader);
    }
    u32::try_from(ended.iter().filter(|(pid, _)| *pid != leader).count()).unwrap_or(u32::MAX)
}

/// Kills everything that descends from this process, and reaps it.
pub(super) fn below(me: i32) {
    for _ in 0..ROUNDS {
        let seen = proc::all();
        let members = family(&seen, me, &HashSet::new(), 0);
        let alive: Vec<&Seen> = members.into_iter().filter(|process| process.pid != me && !process.is_dead()).collect();
        if alive.is_empty() {
            break;
        }
        end(&alive);
        bury(me, me);
    }
}

/// Kills these and waits a little for their ends.
pub(super) fn end(processes: &[&Seen]) {
    let killed: Vec<OwnedFd> = processes.iter().filter_map(|process| kill(process)).collect();
    for chunk in killed.chunks(256) {
        let mut waits: Vec<PollFd<'_>> =
            chunk.iter().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
        let _ = poll(&mut waits, Some(&PATIENCE));
    }
}

/// Kills a process. The handle is opened first and the process read again: from then on it cannot mean another one.
fn kill(process: &Seen) -> Option<OwnedFd> {
    let handle = pidfd_open(Pid::from_raw(process.pid)?, PidfdFlags::empty()).ok()?;
    proc::one(process.pid).filter(|now| now.start == process.start)?;
    let _ = pidfd_send_signal(&handle, Signal::KILL);
    Some(handle)
}

/// Reaps dead children of this process, but not the leader, whose exit is yet to be read.
pub(super) fn bury(me: i32, leader: i32) {
    for dead in proc::all().iter().filter(|process| process.parent == me && process.is_dead()) {
        if dead.pid != leader {
            let _ = waitpid(Pid::from_raw(dead.pid), WaitOptions::NOHANG);
        }
    }
}
