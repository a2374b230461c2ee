//! The reading connections: a few, used by one query at a time.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use rusqlite::Connection;

use super::{fault::Sql, names::Names, open};
use crate::{OpenOptions, StoreError};

/// Steps of SQLite's machine between two checks of the limit, and the number of checks: about a second of work. A
/// longer query would keep the log from being copied.
const STEPS_PER_LOOK: i32 = 100_000;
const LOOKS: u32 = 1_000;

/// A reading connection and its cached names.
#[derive(Debug)]
struct Session {
    conn: Connection,
    names: Names,
    looks: Arc<AtomicU32>,
}

/// Free connections, and the number of existing ones.
#[derive(Debug, Default)]
struct Sessions {
    free: Vec<Session>,
    open: usize,
}

/// The reading connections of one database.
#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    options: OpenOptions,
    sessions: Mutex<Sessions>,
    returned: Condvar,
}

impl Pool {
    /// Makes an empty pool: each connection is opened when first needed.
    pub fn new(path: PathBuf, options: &OpenOptions) -> Pool {
        let options = OpenOptions { readers: options.readers.max(1), ..options.clone() };
        Pool { path, options, sessions: Mutex::default(), returned: Condvar::new() }
    }

    /// Returns the database path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a query on a connection that is not shared meanwhile. Waits for one when all are in use.
    pub fn query<T>(&self, query: impl FnOnce(&Connection, &mut Names) -> Sql<T>) -> Result<T, StoreError> {
        let mut session = self.borrow()?;
        session.looks.store(LOOKS, Ordering::Relaxed);
        let answer = query(&session.conn, &mut session.names);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        match &answer {
            Err(trouble) if trouble.is_fatal() => sessions.open -= 1,
            _ => sessions.free.push(session),
        }
        drop(sessions);
        self.returned.notify_one();
        answer.map_err(|trouble| trouble.explain(&self.path))
    }

    /// Runs a query of any length.
    pub fn long_query<T>(&self, query: impl FnOnce(&Connection) -> Sql<T>) -> Result<T, StoreError> {
        let answer = open::open_reader(&self.path, &self.options).and_then(|conn| query(&conn));
        answer.map_err(|trouble| trouble.explain(&self.path))
    }

    fn borrow(&self) -> Result<Session, StoreError> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(session) = sessions.free.pop() {
                return Ok(session);
            }
            if sessions.open < self.options.readers {
                break;
            }
            sessions = self.returned.wait(sessions).unwrap_or_else(PoisonError::into_inner);
        }
        sessions.open += 1;
        drop(sessions);
        self.connect().map_err(|trouble| {
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).open -= 1;
            self.returned.notify_one();
            trouble.explain(&self.path)
        })
    }

    fn connect(&self) -> Sql<Session> {
        let mut conn = open::open_reader(&self.path, &self.options)?;
        let looks = Arc::new(AtomicU32::new(LOOKS));
        let left = Arc::clone(&looks);
        let stop = move || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err();
        conn.progress_handler(STEPS_PER_LOOK, Some(stop))?;
        Ok(Session { conn, names: Names::default(), looks })
    }
}
