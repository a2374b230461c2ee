//! Limits of this process itself.

use std::{io, sync::OnceLock};

use rustix::{
    fs::Mode,
    process::{Resource, getrlimit, setrlimit, umask},
};

/// Lets this process have as many open files as the system allows it, and gives their number. Many systems start
/// programs with 1,024, which is for those that use `select`; a server has that many connections. Programs started with
/// [`crate::LimitedChild`] have a limit of their own.
///
/// # Errors
/// When the system refuses; the limit is as it was then.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

/// The mask of permissions that this process was started with, once [`close_files`] has changed it.
static GIVEN_MASK: OnceLock<u32> = OnceLock::new();

/// Closes what this process makes from now on to everybody but its user, whatever the mask of permissions was. What it
/// starts is given the mask that it was started with.
pub fn close_files() {
    let given = umask(Mode::from_raw_mode(0o077));
    let _ = GIVEN_MASK.set(given.bits());
}

/// Sets the mask that a helper was told.
#[cfg(target_os = "linux")]
pub(crate) fn set_mask(mask: u32) {
    let _ = umask(Mode::from_raw_mode(mask & 0o777));
}

/// The mask for what is started from here. `None` when it was not changed.
#[cfg(target_os = "linux")]
pub(crate) fn given_mask() -> Option<u32> {
    GIVEN_MASK.get().copied()
}
