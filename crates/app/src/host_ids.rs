//! The numbers of worker hosts. A number is never used twice, also not after a restart: a host that kept its own would
//! be taken for a later one, and receive tasks of workers that it does not have.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use kapelle_store::private;

/// The file that stores them.
pub(crate) const FILE: &str = "host-numbers";
/// Numbers that are reserved at once, so that not every host costs a write.
const BLOCK: u32 = 100;

/// Numbers that a restore leaves out at least.
const SKIPPED: u32 = 10_000;

/// Lets the numbers of a folder go on at `floor`, or well beyond the last one, whichever is higher.
///
/// # Errors
/// When it cannot be stored.
pub(crate) fn skip(folder: &Path, floor: u32) -> io::Result<()> {
    let last = HostIds::read(folder).last().saturating_add(SKIPPED).max(floor);
    private::at_own_place(&folder.join(FILE), format!("{last}\n").as_bytes())
}

/// The numbers of worker hosts.
#[derive(Debug)]
pub struct HostIds {
    file: PathBuf,
    /// The last used number, and the last reserved one.
    given: Mutex<(u32, u32)>,
}

impl HostIds {
    /// Continues after the numbers that were reserved before.
    pub fn read(folder: &Path) -> HostIds {
        let file = folder.join(FILE);
        let last = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        HostIds { file, given: Mutex::new((last, last)) }
    }

    fn last(&self) -> u32 {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Returns an unused number.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub fn next(&self) -> io::Result<u32> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let next = given.0.saturating_add(1);
        if next > given.1 {
            let last = next.saturating_add(BLOCK - 1);
            private::at_own_place(&self.file, format!("{last}\n").as_bytes())?;
            given.1 = last;
        }
        given.0 = next;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let first = HostIds::read(folder.path());
        let mut last = 0;
        for _ in 0..250 {
            let next = first.next().unwrap();
            assert_eq!(next, last + 1);
            last = next;
        }
        assert!(HostIds::read(folder.path()).next().unwrap() > last);
        skip(folder.path(), 50_000).unwrap();
        assert_eq!(HostIds::read(folder.path()).next().unwrap(), 50_001);
        skip(folder.path(), 7).unwrap();
        assert!(HostIds::read(folder.path()).next().unwrap() > 50_001 + SKIPPED);
    }
}
