//! The helper process: one thread, one loop.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd as _, OwnedFd},
    process::ExitCode,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, waitpid},
};

use super::{
    cgroup::{Cgroup, Cgroups},
    family::family,
    launch::{Allowance, Launch},
    leftovers,
    mark::Owner,
    proc::{self, Marks, Seen},
    spawn, sweep,
    wire::{self, Ask, Told},
};
use crate::{
    machine::{Cause, Exit},
    rlimit::set_mask,
};

/// Verb under which the binary must call [`helper_main`], before it starts anything else.
pub const HELPER_VERB: &str = "__supervise";
/// Argument after the verb that turns control groups off.
pub(super) const NO_CGROUPS: &str = "--no-cgroups";
/// Argument after the verb, with octal digits behind it: the umask of workers.
pub(super) const MASK: &str = "--mask=";
/// Interval at which memory and processes are counted.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
const TICK_SPAN: Duration = Duration::from_millis(500);
/// Longest wait for the end of a killed process; the system may hold back one that waits for a disk.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// A worker's process.
struct Child {
    pid: i32,
    handle: OwnedFd,
    mark: String,
    started: u64,
    allowance: Allowance,
    group: Option<Cgroup>,
    cause: Option<Cause>,
}

struct Helper {
    socket: OwnedFd,
    owner: Owner,
    cgroups: Cgroups,
    children: HashMap<u64, Child>,
    marks: Marks,
    looked: Instant,
}

/// Supervises for the server at the other end of standard input until it goes away. `arguments` are those after the
/// verb.
#[must_use]
pub fn helper_main(arguments: &[String]) -> ExitCode {
    // Workers are started with the user's umask.
    let mask = arguments.iter().find_map(|word| word.strip_prefix(MASK));
    if let Some(mask) = mask.and_then(|digits| u32::from_str_radix(digits, 8).ok()) {
        set_mask(mask);
    }
    let cgroups = if arguments.iter().any(|word| word == NO_CGROUPS) { Cgroups::none() } else { Cgroups::find() };
    match Helper::start(cgroups).and_then(Helper::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use io::Write as _;
            // Standard error may be closed, and there is no other place to report to.
            let _ = writeln!(io::stderr(), "kapelle: the helper ends: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Helper {
    fn start(cgroups: Cgroups) -> io::Result<Helper> {
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        spawn::close_on_exec(&socket)?;
        // Leaves the session of the terminal: Ctrl-C is for the server, which then ends its workers gracefully.
        let _ = rustix::process::setsid();
        spawn::outlive_signals();
        spawn::hide();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let owner = Owner::me();
        let helper =
            Helper { socket, owner, cgroups, children: HashMap::new(), marks: Marks::default(), looked: now() };
        let cgroups = helper.cgroups.make("hello", &Allowance::default()).is_some();
        helper.tell(&Told::Hello { mark: helper.owner.mark(0), cgroups })?;
        Ok(helper)
    }

    fn tell(&self, told: &Told) -> io::Result<()> {
        wire::send(self.socket.as_fd(), told, &[])
    }

    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; wire::MESSAGE_MAX];
        let ended = loop {
            match self.turn(&mut buffer) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                // The server left during a write.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // All processes end, however the loop ended.
        self.end_all();
        ended
    }

    /// Runs one round. Returns false when the server is gone.
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let (asked, ended) = self.wait()?;
        for id in ended {
            self.finish(id)?;
        }
        if asked {
            match wire::receive::<Ask>(self.socket.as_fd(), buffer)? {
                None => return Ok(false),
                Some((ask, fds)) => self.act(ask, fds)?,
            }
        }
        if now().saturating_duration_since(self.looked) >= TICK_SPAN {
            self.looked = now();
            self.look()?;
        }
        Ok(true)
    }

    /// Waits for a request or the end of a child, at most one tick while there are children.
    fn wait(&self) -> io::Result<(bool, Vec<u64>)> {
        let ids: Vec<u64> = self.children.keys().copied().collect();
        let mut waits = vec![PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        waits.extend(self.children.values().map(|child| PollFd::from_borrowed_fd(child.handle.as_fd(), PollFlags::IN)));
        let tick = if self.children.is_empty() { None } else { Some(&TICK) };
        match poll(&mut waits, tick) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let woken = |wait: &PollFd<'_>| !wait.revents().is_empty();
        let ended = ids.into_iter().zip(&waits[1..]).filter(|(_, wait)| woken(wait)).map(|(id, _)| id);
        Ok((woken(&waits[0]), ended.collect()))
    }

    fn act(&mut self, ask: Ask, fds: Vec<OwnedFd>) -> io::Result<()> {
        match ask {
            Ask::Spawn { id, launch } => {
                let told = match <[OwnedFd; 3]>::try_from(fds) {
                    Ok(streams) => self.spawn(id, &launch, streams),
                    Err(_) => Told::Refused { id, message: "its streams did not arrive".to_owned() },
                };
                self.tell(&told)
            }
            Ask::Terminate { id } => {
                if let Some(pid) = self.children.get(&id).and_then(|child| Pid::from_raw(child.pid)) {
                    // Its leader is not reaped yet, so the id means no other group. A stopped process is continued, or
                    // it would never receive the signal.
                    let _ = kill_process_group(pid, Signal::TERM);
                    let _ = kill_process_group(pid, Signal::CONT);
                }
                Ok(())
            }
            Ask::Kill { id } => {
                if self.children.contains_key(&id) {
                    self.finish(id)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn spawn(&mut self, id: u64, launch: &Launch, streams: [OwnedFd; 3]) -> Told {
        let mark = self.owner.mark(id);
        let group = self.cgroups.make(&mark, &launch.allowance);
        let refused = |message: String| Told::Refused { id, message };
        let pid = match spawn::spawn(launch, &mark, streams, group.as_ref()) {
            Ok(pid) => pid,
            Err(error) => return refused(format!("{}: {error}", launch.program.display())),
        };
        let started = proc::one(pid).map_or(0, |seen| seen.start);
        let handle = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let Some(Ok(handle)) = handle else {
            let _ = sweep::sweep(pid, started, |carried| carried == mark);
            let _ = waitpid(Pid::from_raw(pid), WaitOptions::empty());
            return refused("the system gives no handle of it: Linux 5.3 or later is needed".to_owned());
        };
        let allowance = launch.allowance;
        self.children.insert(id, Child { pid, handle, mark, started, allowance, group, cause: None });
        Told::Spawned { id, pid }
    }

    /// Kills the rest of a worker, its leader first if it still lives, and reports how the leader ended.
    fn finish(&mut self, id: u64) -> io::Result<()> {
        let Some(child) = self.children.remove(&id) else { return Ok(()) };
        let grouped = child.group.as_ref().map_or(0, |group| group.kill(child.pid));
        let swept = sweep::sweep(child.pid, child.started, |mark| mark == child.mark).max(grouped);
        let _ = poll(&mut [PollFd::from_borrowed_fd(child.handle.as_fd(), PollFlags::IN)], Some(&PATIENCE));
        let status = Pid::from_raw(child.pid).map(|pid| waitpid(Some(pid), WaitOptions::NOHANG));
        let mut exit = Exit { cause: child.cause, swept, ..Exit::default() };
        if let Some(Ok(Some((_, status)))) = status {
            exit.code = status.exit_status();
            exit.signal = status.terminating_signal();
        }
        if exit.cause.is_none() && exit.signal == Some(9) && child.group.as_ref().is_some_and(Cgroup::ran_out) {
            exit.cause = child.allowance.memory.map(Cause::Memory);
        }
        self.tell(&Told::Exited { id, exit })
    }

    /// Counts memory and processes, and kills workers over their limit and processes without a worker.
    fn look(&mut self) -> io::Result<()> {
        let seen = proc::all();
        self.marks.keep(&seen);
        let below = family(&seen, self.owner.pid, &std::collections::HashSet::new(), 0);
        let below: Vec<Seen> =
            below.into_iter().filter(|process| process.pid != self.owner.pid && !process.is_dead()).copied().collect();
        let mut owned = std::collections::HashSet::new();
        let mut greedy = Vec::new();
        for (id, child) in &self.children {
            let carries = |process: &&Seen| self.marks.of(process) == Some(child.mark.as_str());
            let marked = below.iter().filter(carries).map(|process| process.pid).collect();
            let members = family(&below, child.pid, &marked, self.owner.pid);
            owned.extend(members.iter().map(|process| process.pid));
            let pages: u64 = members.iter().map(|process| process.pages).sum();
            let memory = pages.saturating_mul(rustix::param::page_size() as u64);
            match child.allowance {
                Allowance { memory: Some(most), .. } if memory > most => greedy.push((*id, Cause::Memory(most))),
                Allowance { processes, .. } if members.len() > processes as usize => {
                    greedy.push((*id, Cause::Processes(processes)));
                }
                Allowance { .. } => {}
            }
        }
        for (id, cause) in greedy {
            if let Some(child) = self.children.get_mut(&id) {
                child.cause = Some(cause);
            }
            self.finish(id)?;
        }
        let strays: Vec<&Seen> = below.iter().filter(|process| !owned.contains(&process.pid)).collect();
        sweep::end(&strays);
        self.bury();
        Ok(())
    }

    /// Reaps dead processes without a worker.
    fn bury(&self) {
        let known = |pid: i32| self.children.values().any(|child| child.pid == pid);
        for dead in proc::all().iter().filter(|process| process.parent == self.owner.pid && process.is_dead()) {
            if !known(dead.pid) {
                let _ = waitpid(Pid::from_raw(dead.pid), WaitOptions::NOHANG);
            }
        }
    }

    fn end_all(&mut self) {
        for child in self.children.values() {
            if let Some(group) = &child.group {
                let _ = group.kill(child.pid);
            }
        }
        for child in self.children.values() {
            let _ = sweep::sweep(child.pid, child.started, |mark| mark == child.mark);
        }
        // Processes that carry a mark of ours, or descend from this one.
        let _ = leftovers::sweep_of(&self.owner);
        sweep::below(self.owner.pid);
    }
}

#[expect(clippy::disallowed_methods, reason = "the helper is a process of its own, and this is its clock")]
fn now() -> Instant {
    Instant::now()
}
