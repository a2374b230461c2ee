//! The disk that holds a folder.

use std::{fs, io::Write as _, path::Path};

use crate::private;

/// Bytes that a trial writes: more than a turn usually needs.
const TRIAL: usize = 1 << 20;

/// Space of the disk that holds a folder, and the space that the database takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Space of the disk. `None` where the system does not tell.
    pub space: Option<Space>,
    /// Length of the database file.
    pub database: u64,
    /// Length of its write-ahead log.
    pub log: u64,
}

/// Bytes of a file system. Blocks that it reserves for root are neither used nor free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// All bytes.
    pub total: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that this user may still write.
    pub free: u64,
}

impl Space {
    /// Returns the space of a file system from its counts of blocks: all, unused, and those that this user may take.
    #[must_use]
    pub fn of_blocks(bytes: u64, all: u64, unused: u64, available: u64) -> Space {
        Space {
            total: all.saturating_mul(bytes),
            used: all.saturating_sub(unused).saturating_mul(bytes),
            free: available.min(unused).saturating_mul(bytes),
        }
    }

    /// Returns the percentage in use, rounded up, as `df` shows it: reserved blocks do not count.
    #[must_use]
    pub fn percent_used(self) -> u64 {
        let both = u128::from(self.used) + u128::from(self.free);
        (u128::from(self.used) * 100).div_ceil(both.max(1)) as u64
    }
}

impl Usage {
    /// Returns the bytes that this user may still write. `None` where the system does not tell.
    #[must_use]
    pub fn free(&self) -> Option<u64> {
        self.space.map(|space| space.free)
    }
}

/// Measures the disk that holds a folder.
#[must_use]
pub fn usage(folder: &Path) -> Usage {
    let length = |name: &str| fs::metadata(folder.join(name)).map_or(0, |about| about.len());
    Usage { space: space(folder), database: length("kapelle.db"), log: length("kapelle.db-wal") }
}

/// Returns the space of the file system that holds a folder. `None` where the system does not tell.
#[cfg(unix)]
#[must_use]
pub fn space(folder: &Path) -> Option<Space> {
    let about = rustix::fs::statvfs(folder).ok()?;
    Some(Space::of_blocks(about.f_frsize, about.f_blocks, about.f_bfree, about.f_bavail))
}

/// Returns the space of the file system that holds a folder. `None` where the system does not tell.
#[cfg(not(unix))]
#[must_use]
pub fn space(_folder: &Path) -> Option<Space> {
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
    fn reserved_blocks_are_neither_used_nor_free() {
        // A disk of which root keeps most: `df` shows 45 %, while 80 % of all blocks cannot be written by others.
        let space = Space::of_blocks(4_096, 66_053_021, 55_446_285, 13_268_580);
        assert_eq!((space.total, space.used), (270_553_174_016, 43_445_190_656));
        assert_eq!((space.free, space.percent_used()), (54_348_103_680, 45));
        assert_eq!(Space::of_blocks(1, 100, 50, 49).percent_used(), 51, "rounded up");
        assert_eq!(Space::of_blocks(1, 100, 0, 0).percent_used(), 100);
        assert_eq!(Space::default().percent_used(), 0);
        assert_eq!(Space::of_blocks(u64::MAX, 2, 1, 1).percent_used(), 50);
    }

    #[test]
    fn a_folder_with_room_takes_writes_and_keeps_no_trace() {
        let scratch = Scratch::new();
        fs::write(scratch.path().join("kapelle.db"), "12345").unwrap();
        let usage = usage(scratch.path());
        assert_eq!((usage.database, usage.log), (5, 0));
        assert!(cfg!(not(unix)) || usage.free().is_some());
        assert!(takes_writes(scratch.path()) && !takes_writes(&scratch.path().join("absent")));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}
