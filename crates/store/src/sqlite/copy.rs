//! Copies of a database that others may write to, and the end of its log.

use std::{fs::File, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::{
    fault::{Sql, Trouble},
    open::{self, OpenOptions},
    reader::SqliteReader,
};
use crate::{error::StoreError, private};

/// Wait before a step that another process held up is repeated.
const PAUSE: Duration = Duration::from_millis(20);

impl SqliteReader {
    /// Copies the database, as of one moment, to a new file. Others may write meanwhile. The copy needs no log beside
    /// it, and is synced when this returns.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file exists or cannot be written, [`StoreError::Full`], and faults of the database.
    pub fn copy_to(&self, target: &Path) -> Result<(), StoreError> {
        copy_database(self.path(), target)
    }
}

/// Copies a database, as of one moment, to a new file, which is synced.
pub(crate) fn copy_database(source: &Path, target: &Path) -> Result<(), StoreError> {
    let io = |error: std::io::Error| StoreError::Io { path: target.to_owned(), message: error.to_string() };
    private::options().write(true).create_new(true).open(target).map_err(io)?;
    copy(source, target).map_err(|trouble| trouble.explain(target))?;
    File::open(target).and_then(|file| file.sync_all()).map_err(io)
}

/// Copies in one step, so that every page belongs to one commit: the copy reads one snapshot of the log.
fn copy(source: &Path, target: &Path) -> Sql<()> {
    let source = open::open_reader(source, &OpenOptions::default())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(target, flags)?;
    // A copy that is interrupted is thrown away: it needs no journal of its own.
    target.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    Backup::new(&source, &mut target)?.run_to_completion(i32::MAX, PAUSE, None)?;
    Ok(())
}

/// Copies the whole log into the database and empties it. Returns false when a reader keeps it from being emptied.
pub(super) fn empty_log(conn: &Connection) -> Sql<bool> {
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(Trouble::from)?;
    Ok(busy == 0)
}

#[cfg(test)]
mod tests {
    use kapelle_core::TenantId;

    use super::*;
    use crate::{
        Batch, Page, Reader, SqliteStore, Store, TaskFilter, TaskWrite,
        conformance::{Scratch, fixtures},
    };

    fn add(store: &mut SqliteStore, ids: std::ops::Range<i64>) {
        let tasks: Vec<_> = ids.map(fixtures::task).collect();
        let tasks = tasks.iter().map(|task| TaskWrite { task, expected: None }).collect();
        store.commit(&Batch { tasks, ..Batch::default() }).unwrap();
    }

    fn count(folder: &Path) -> usize {
        let reader = SqliteReader::open_read_only(folder).unwrap();
        reader.check().unwrap();
        let page = Page { before: None, most: 10_000 };
        reader.tasks(TenantId::DEFAULT, &TaskFilter::default(), page).unwrap().len()
    }

    #[test]
    fn a_copy_made_under_a_writer_is_whole_and_needs_no_log() {
        let (scratch, place) = (Scratch::new(), Scratch::new());
        let (mut store, reader) = SqliteStore::open(scratch.path(), OpenOptions::default()).unwrap();
        add(&mut store, 1..501);
        let target = place.path().join("kapelle.db");
        let writer = std::thread::spawn(move || {
            for first in 0..40 {
                add(&mut store, 501 + first * 10..511 + first * 10);
            }
        });
        reader.copy_to(&target).unwrap();
        writer.join().unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
        let copied = count(place.path());
        assert!(copied >= 500 && (copied - 500).is_multiple_of(10), "{copied} tasks: a turn is whole or absent");
        assert!(matches!(reader.copy_to(&target), Err(StoreError::Io { .. })), "an existing file is kept");
    }

    #[test]
    fn a_closed_store_is_complete_in_its_one_file() {
        let (scratch, place) = (Scratch::new(), Scratch::new());
        let (mut store, reader) = SqliteStore::open(scratch.path(), OpenOptions::default()).unwrap();
        add(&mut store, 1..301);
        // A reading connection that stays open keeps SQLite from doing this by itself.
        let page = Page { before: None, most: 1 };
        assert_eq!(reader.tasks(TenantId::DEFAULT, &TaskFilter::default(), page).unwrap().len(), 1);
        store.close();
        let log = scratch.path().join("kapelle.db-wal");
        assert_eq!(std::fs::metadata(log).map_or(0, |about| about.len()), 0);
        std::fs::copy(scratch.path().join("kapelle.db"), place.path().join("kapelle.db")).unwrap();
        assert_eq!(count(place.path()), 300);
    }
}
