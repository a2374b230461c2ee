//! The disk that holds a folder.

use std::{fs, io::Write as _, path::Path};

use crate::private;

/// Bytes that a trial writes: more than a turn usually needs.
const TRIAL: usize = 1 << 20;

/// Space of the disk that holds a folder, and the space that the database takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes that this user may still write. `None` where the system does not tell.
    pub free: Option<u64>,
    /// Length of the database file.
    pub database: u64,
    /// Length of its write-ahead log.
    pub log: u64,
}

/// Measures the disk that holds a folder.
#[must_use]
pub fn usage(folder: &Path) -> Usage {
    let length = |name: &str| fs::metadata(folder.join(name)).map_or(0, |about| about.len());
    Usage { free: free(folder), database: length("kapelle.db"), log: length("kapelle.db-wal") }
}

#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

#[cfg(not(unix))]
fn free(_folder: &Path) -> Option<u64> {
    None
}

/// Writes a file of 1 MiB to a folder, syncs it, and removes it. Returns whether that succeeded.
#[must_use]
pub fn takes_writes(folder: &Path) -> bool {
    let path = folder.join(format!("lock.trial-{}", std::process::id()));
    let written = private::options().write(true).create(true).truncate(true).open(&path).and_then(|mut file| {
        file.write_all(&vec![0; TRIAL])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    written.is_ok() && removed.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Scratch;

    #[test]
    fn a_folder_with_room_takes_writes_and_keeps_no_trace() {
        let scratch = Scratch::new();
        fs::write(scratch.path().join("kapelle.db"), "12345").unwrap();
        let usage = usage(scratch.path());
        assert_eq!((usage.database, usage.log), (5, 0));
        assert!(cfg!(not(unix)) || usage.free.is_some());
        assert!(takes_writes(scratch.path()) && !takes_writes(&scratch.path().join("absent")));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}
