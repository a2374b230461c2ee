//! Start of a worker, from the helper's only thread.
#![allow(unsafe_code, reason = "what must hold before the program starts can only be said between fork and exec")]

use std::{
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Command, Stdio},
};

use rustix::process::{Resource, Rlimit, Signal, getpid, getppid, set_parent_process_death_signal, setrlimit, setsid};

use super::{MARK, cgroup::Cgroup, launch::Launch};

/// Starts a program in a session of its own that dies with this process. Returns its process id.
#[expect(clippy::disallowed_methods, reason = "this is the home of processes")]
pub(super) fn spawn(launch: &Launch, mark: &str, streams: [OwnedFd; 3], group: Option<&Cgroup>) -> io::Result<i32> {
    let [stdin, stdout, stderr] = streams;
    let mut command = Command::new(&launch.program);
    command.args(&launch.args).current_dir(&launch.folder);
    command.env_clear().envs(launch.env.iter().map(|(name, value)| (name, value))).env(MARK, mark);
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    let parent = getpid();
    let door = group.and_then(Cgroup::door);
    let prepare = move || -> io::Result<()> {
        setsid()?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
        }
        rustix::thread::set_no_new_privs(true)?;
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
        if let Some(door) = &door {
            // A failure is no reason not to start: the other ways of recognising it remain.
            let _ = rustix::io::write(door, b"0");
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes plain system calls
    // (rustix issues them directly), neither allocates nor locks, and captures a number and an open file.
    unsafe {
        command.pre_exec(prepare);
    }
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(io::Error::other)
}

/// Lets the helper survive the signals that end its siblings. A service manager sends them to every process at once,
/// and the server has to end the workers gracefully. A handler, unlike ignoring, is not inherited by the workers.
pub(super) fn outlive_signals() {
    extern "C" fn nothing(_signal: libc::c_int) {}
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: the handler is empty, so it cannot do anything unsafe when it interrupts.
        unsafe {
            libc::signal(signal, nothing as *const () as libc::sighandler_t);
        }
    }
}

/// Makes the start environment and the memory of this process unreadable for its siblings.
pub(crate) fn hide() {
    // If this is not allowed, less is hidden.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Keeps a file from being inherited.
pub(super) fn close_on_exec(fd: &OwnedFd) -> io::Result<()> {
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    let _ = fd.as_raw_fd();
    Ok(())
}
