//! Limits of this process itself.

use std::{io, sync::OnceLock};

use rustix::{
    fs::Mode,
    process::{Resource, getrlimit, setrlimit, umask},
};

/// Raises the limit of open files of this process to the system's maximum and returns it. Many systems start programs
/// with 1,024, which suits those that use `select`; a server needs one for each connection. Programs started with
/// [`crate::LimitedChild`] have a limit of their own.
///
/// # Errors
/// When the system refuses; the limit is then unchanged.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

/// Umask that this process was started with, once [`close_files`] has changed it.
static GIVEN_MASK: OnceLock<u32> = OnceLock::new();

/// Restricts new files of this process to its user, whatever the umask was. Its children get the original umask.
pub fn close_files() {
    let given = umask(Mode::from_raw_mode(0o077));
    let _ = GIVEN_MASK.set(given.bits());
}

/// Sets the umask that a helper was given.
#[cfg(target_os = "linux")]
pub(crate) fn set_mask(mask: u32) {
    let _ = umask(Mode::from_raw_mode(mask & 0o777));
}

/// Returns the umask for children. Returns `None` when it was not changed.
#[cfg(target_os = "linux")]
pub(crate) fn given_mask() -> Option<u32> {
    GIVEN_MASK.get().copied()
}
