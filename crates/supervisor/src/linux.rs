//! Work between fork and exec on Linux. With `helper_process/spawn.rs` the only unsafe code of the project.
#![allow(unsafe_code, reason = "limits must hold before the program starts, and only `pre_exec` runs in time")]

use std::{io, os::unix::process::CommandExt, time::Duration};

use rustix::process::{
    Resource, Rlimit, Signal, getpid, getppid, getrlimit, set_parent_process_death_signal, setrlimit, setsid,
};

use crate::{limits::Limits, rlimit};

/// Makes the command start in a session of its own, die with this process, and stay within `limits`.
pub(crate) fn confine(command: &mut tokio::process::Command, limits: &Limits) {
    let wanted = [
        (Resource::As, limits.memory, limits.memory),
        (Resource::Cpu, seconds(limits.cpu), seconds(limits.cpu).saturating_add(1)),
        (Resource::Nofile, limits.open_files, limits.open_files),
        (Resource::Fsize, limits.file_size, limits.file_size),
        (Resource::Core, 0, 0),
    ];
    // A limit that this process already has cannot be raised, and it applies to the child anyway.
    let wanted = wanted.map(|(resource, soft, hard)| {
        let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        (resource, soft.min(ceiling), hard.min(ceiling))
    });
    let parent = getpid();
    let mask = rlimit::given_mask();
    let confine = move || -> io::Result<()> {
        setsid()?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above took effect.
        if getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
        }
        rustix::thread::set_no_new_privs(true)?;
        if let Some(mask) = mask {
            rlimit::set_mask(mask);
        }
        for (resource, soft, hard) in wanted {
            setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes plain system calls
    // (rustix issues them directly, without the C library), neither allocates nor locks, and captures plain values.
    unsafe {
        command.as_std_mut().pre_exec(confine);
    }
}

/// Makes the command receive SIGTERM when this process is gone.
pub(crate) fn follow(command: &mut tokio::process::Command) {
    let parent = getpid();
    let mask = rlimit::given_mask();
    let follow = move || -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::TERM))?;
        if let Some(mask) = mask {
            rlimit::set_mask(mask);
        }
        // The parent may have died before the line above took effect.
        if getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
        }
        Ok(())
    };
    // SAFETY: as in `confine`: plain system calls, plain values.
    unsafe {
        command.as_std_mut().pre_exec(follow);
    }
}

/// Rounds up to whole seconds: the kernel counts nothing smaller, and zero would kill at once.
fn seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}
