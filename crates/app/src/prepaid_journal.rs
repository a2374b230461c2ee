//! The journal of used prepaid amounts, for the next process.
//!
//! A prepaid call gets its row a moment later. Until then a line of this file records it. The line is written and not
//! synced: it outlives the process, and is lost with the machine. The first line names the boot of the machine during
//! which the file was written; after another boot the used amounts are unknown, and all outstanding ones are charged.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{CallId, Money};
use kapelle_engine::{CallOrder, Taken};
use kapelle_store::private;
use serde::{Deserialize, Serialize};

/// The name of the file in the data folder.
const FILE: &str = "calls.taken";
/// The longest line, in bytes, including its end. A longer call is not sent on a prepaid amount.
const LINE: usize = 512;
/// The largest file that this process can have written, in bytes.
const LONGEST: u64 = 64 << 20;
/// File with the id of the machine's boot. Without it money is never prepaid.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The file, open for the calls of this process.
pub(crate) struct PrepaidJournal {
    file: File,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    free: Vec<u64>,
    used: u64,
    of: HashMap<CallId, u64>,
}

/// A call that was sent.
#[derive(Serialize, Deserialize)]
struct Line {
    id: i64,
    worst: u64,
    operation: String,
    provider: String,
    model: String,
    fingerprint: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct Head {
    boot: String,
}

/// Reads the journal of the former process.
pub(crate) fn read(folder: &Path) -> Taken {
    let Some(boot) = boot() else { return Taken::Unknown };
    let mut bytes = Vec::new();
    let read = File::open(folder.join(FILE)).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    match read {
        Ok(_) => known(&bytes, &boot).map_or(Taken::Unknown, Taken::Known),
        Err(_) => Taken::Unknown,
    }
}

/// Returns the calls in a file of this boot; `None` when it is of another one, or a line cannot be read.
fn known(bytes: &[u8], boot: &str) -> Option<Vec<(CallId, CallOrder)>> {
    let mut lines = bytes.chunks(LINE);
    let head: Head = serde_json::from_slice(lines.next()?).ok()?;
    if head.boot != boot {
        return None;
    }
    lines.map(|line| serde_json::from_slice::<Line>(line).ok().map(Line::order)).collect()
}

fn boot() -> Option<String> {
    let boot = std::fs::read_to_string(BOOT).ok()?;
    let boot = boot.trim();
    (!boot.is_empty()).then(|| boot.to_owned())
}

impl Line {
    fn order(self) -> (CallId, CallOrder) {
        let order = CallOrder {
            tenant: kapelle_core::TenantId::DEFAULT,
            payer: Vec::new(),
            attempt: 0,
            epoch: 0,
            worst: Money(self.worst),
            operation: self.operation.into(),
            provider: self.provider.into(),
            model: self.model.into(),
            fingerprint: self.fingerprint,
            purse: None,
        };
        (CallId(self.id), order)
    }
}

impl PrepaidJournal {
    /// Begins a new file; the calls of the former process have been charged. `None` where boots cannot be
    /// distinguished.
    pub(crate) fn begin(folder: &Path) -> io::Result<Option<PrepaidJournal>> {
        let Some(boot) = boot().filter(|_| cfg!(unix)) else { return Ok(None) };
        let file = private::options().write(true).create(true).truncate(true).open(folder.join(FILE))?;
        let taken = PrepaidJournal { file, slots: Mutex::default() };
        taken.put(0, &Head { boot })?;
        taken.file.sync_all()?;
        Ok(Some(taken))
    }

    /// Records that a prepaid amount was used for that call.
    pub(crate) fn write(&self, id: CallId, order: &CallOrder) -> io::Result<()> {
        let line = Line {
            id: id.0,
            worst: order.worst.0,
            operation: order.operation.to_string(),
            provider: order.provider.to_string(),
            model: order.model.to_string(),
            fingerprint: order.fingerprint,
        };
        let slot = {
            let mut slots = self.lock();
            let slot = slots.free.pop().unwrap_or_else(|| {
                slots.used += 1;
                slots.used
            });
            slots.of.insert(id, slot);
            slot
        };
        self.put(slot, &line)
    }

    /// Marks that the row of a call is committed: its line has no meaning any more.
    pub(crate) fn spent(&self, id: CallId) {
        let mut slots = self.lock();
        if let Some(slot) = slots.of.remove(&id) {
            slots.free.push(slot);
        }
    }

    fn put(&self, slot: u64, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        if bytes.len() >= LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the names of the call are too long"));
        }
        bytes.resize(LINE - 1, b' ');
        bytes.push(b'\n');
        write_at(&self.file, &bytes, slot * LINE as u64)
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn write_at(_file: &File, _bytes: &[u8], _at: u64) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(worst: u64, model: &str) -> CallOrder {
        let line = Line {
            id: 0,
            worst,
            operation: "chat/completions".to_owned(),
            provider: "p".to_owned(),
            model: model.to_owned(),
            fingerprint: [7; 32],
        };
        line.order().1
    }

    /// Returns a file of this boot, after `write`.
    fn written(write: impl Fn(&PrepaidJournal)) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        write(&PrepaidJournal::begin(folder.path()).unwrap().unwrap());
        std::fs::read(folder.path().join(FILE)).unwrap()
    }

    fn ids(bytes: &[u8], boot: &str) -> Option<Vec<i64>> {
        Some(known(bytes, boot)?.into_iter().map(|(id, _)| id.0).collect())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_taken_is_known_during_the_same_start_of_the_machine() {
        let boot = boot().unwrap();
        let bytes = written(|file| {
            file.write(CallId(7), &order(500, "m")).unwrap();
            file.write(CallId(8), &order(u64::MAX, "a\"model\\of √ two")).unwrap();
        });
        let calls = known(&bytes, &boot).unwrap();
        assert_eq!(calls, [(CallId(7), order(500, "m")), (CallId(8), order(u64::MAX, "a\"model\\of √ two"))]);
        assert_eq!(known(&bytes, "another"), None);
        assert_eq!(ids(&written(|_| {}), &boot), Some(Vec::new()));
        assert_eq!(known(&[], &boot), None, "there is no file");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_place_of_a_call_whose_row_is_written_is_used_again() {
        let bytes = written(|file| {
            file.write(CallId(1), &order(1, "a model with a long name")).unwrap();
            file.write(CallId(2), &order(1, "m")).unwrap();
            file.spent(CallId(1));
            file.spent(CallId(1));
            file.write(CallId(3), &order(1, "m")).unwrap();
            file.write(CallId(4), &order(1, "m")).unwrap();
        });
        assert_eq!(ids(&bytes, &boot().unwrap()), Some(vec![3, 2, 4]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_is_damaged_says_nothing() {
        let boot = boot().unwrap();
        let bytes = written(|file| file.write(CallId(1), &order(1, "m")).unwrap());
        assert_eq!(known(&bytes[..LINE + 20], &boot), None, "its last line was cut");
        assert_eq!(known(&bytes[..20], &boot), None);
        let mut torn = bytes;
        torn[LINE + 3] = b'!';
        assert_eq!(known(&torn, &boot), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_call_whose_names_are_too_long_is_not_sent_on_a_block() {
        written(|file| assert!(file.write(CallId(1), &order(1, &"m".repeat(LINE))).is_err()));
    }
}
