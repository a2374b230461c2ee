//! Opening a folder.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    fault::Sql,
    ids::Ids,
    lock,
    names::Names,
    pool::Pool,
    reader::SqliteReader,
    schema,
    store::{SqliteStore, WriteAheadLog},
};
use crate::{blobs::Blobs, error::StoreError, private};

/// First release without the fault by which a reset of the write-ahead log could lose data.
const SQLITE_NEEDED: i32 = 3_051_003;

/// The name of the database in its folder.
pub(super) const DATABASE: &str = "kapelle.db";

/// The fewest ids that a restore leaves out of each sequence.
pub const IDS_SKIPPED: i64 = 1_000_000_000;

/// Options of opening a folder. The defaults are right for everything but tests.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Length of the write-ahead log, in pages of 4 KiB, at which it is copied into the database.
    pub checkpoint_pages: u32,
    /// Limit of reading connections.
    pub readers: usize,
    /// The lowest id that is drawn after a restore. Every sequence goes on there, or [`IDS_SKIPPED`] beyond its last id,
    /// whichever is higher, because the ids drawn since the backup are unknown.
    pub ids_from: Option<i64>,
    /// File layer of SQLite to use: for tests that inject failures.
    #[doc(hidden)]
    pub vfs: Option<String>,
    /// Whether turns are acknowledged before they are synced, so that a power cut loses turns: for the test that must
    /// notice.
    #[doc(hidden)]
    pub dangerous_no_sync: bool,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions { checkpoint_pages: 2_000, readers: 4, ids_from: None, vfs: None, dangerous_no_sync: false }
    }
}

impl SqliteStore {
    /// Opens a folder for writing; makes it if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process writes to it, [`StoreError::Newer`] when a newer program wrote it
    /// (nothing is then changed), and errors of the system.
    pub fn open(folder: &Path, options: OpenOptions) -> Result<(SqliteStore, SqliteReader), StoreError> {
        check_sqlite()?;
        private::prepare(folder)?;
        let lock = lock::take(folder)?;
        let path = folder.join(DATABASE);
        if path.exists() {
            check_schema(&path, &options)?;
        } else {
            // SQLite gives its other files the mode of this one.
            let io = |error: std::io::Error| StoreError::Io { path: path.clone(), message: error.to_string() };
            private::options().write(true).create_new(true).open(&path).map_err(io)?;
        }
        let explain = |trouble: super::fault::Trouble| trouble.explain(&path);
        let pages = Arc::new(AtomicU32::new(0));
        let conn = open_writer(&path, &options, &pages).map_err(explain)?;
        schema::migrate(&conn).map_err(explain)?;
        if let Some(floor) = options.ids_from {
            Ids::skip(&conn, floor).map_err(explain)?;
        }
        let ids = Ids::load(&conn).map_err(explain)?;
        let blobs = Blobs::open(folder)?;
        let log = WriteAheadLog { pages, limit: options.checkpoint_pages, next: options.checkpoint_pages };
        let reader = SqliteReader::new(Pool::new(path.clone(), &options), blobs);
        let names = Names::default();
        Ok((SqliteStore { conn, names, ids, log, broken: None, path, _lock: lock }, reader))
    }
}

impl SqliteReader {
    /// Opens a folder for reading only, also while a server writes to it.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it has no database, [`StoreError::Newer`] when a newer program wrote it.
    pub fn open_read_only(folder: &Path) -> Result<SqliteReader, StoreError> {
        check_sqlite()?;
        let path = folder.join(DATABASE);
        let options = OpenOptions::default();
        check_schema(&path, &options)?;
        Ok(SqliteReader::new(Pool::new(path, &options), Blobs::in_folder(folder)))
    }
}

/// Returns the version of the linked SQLite.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

fn check_sqlite() -> Result<(), StoreError> {
    if rusqlite::version_number() < SQLITE_NEEDED {
        return Err(StoreError::OldSqlite(rusqlite::version().to_owned()));
    }
    Ok(())
}

/// Checks the schema through a connection that cannot write, so that a newer program's database stays untouched.
fn check_schema(path: &Path, options: &OpenOptions) -> Result<(), StoreError> {
    let look = || -> Sql<i64> { schema::found(&open_reader(path, options)?) };
    let found = look().map_err(|trouble| trouble.explain(path))?;
    if found > schema::SCHEMA {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: schema::SCHEMA });
    }
    Ok(())
}

fn open_file(path: &Path, flags: OpenFlags, options: &OpenOptions) -> Sql<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match options.vfs.as_deref() {
        None => Connection::open_with_flags(path, flags)?,
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
    };
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_prepared_statement_cache_capacity(96);
    Ok(conn)
}

fn open_writer(path: &Path, options: &OpenOptions, pages: &Arc<AtomicU32>) -> Sql<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut conn = open_file(path, flags, options)?;
    let sync = if options.dangerous_no_sync { "NORMAL" } else { "FULL" };
    // Turning the log on goes through a rollback journal. Unless its deletion is synced (EXTRA), a power cut much later
    // can restore it, and with it the empty database.
    conn.execute_batch("PRAGMA synchronous = EXTRA")?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.execute_batch(&format!(
        "PRAGMA synchronous = {sync}; PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384; \
         PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
    ))?;
    conn.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(()))?;
    let pages = Arc::clone(pages);
    // Replaces the automatic copy, whose faults SQLite does not report.
    conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, length: i32| {
        pages.store(u32::try_from(length).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }))?;
    Ok(conn)
}

/// Opens a connection that cannot write.
pub(super) fn open_reader(path: &Path, options: &OpenOptions) -> Sql<Connection> {
    let conn = open_file(path, OpenFlags::SQLITE_OPEN_READ_ONLY, options)?;
    conn.execute_batch(
        "PRAGMA query_only = ON; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY; \
         PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
    )?;
    Ok(conn)
}
