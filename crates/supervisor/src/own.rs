//! Limits of this process itself.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

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
