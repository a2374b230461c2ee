//! The database of the history.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kapelle_core::TenantId;
use rusqlite::{Connection, params};

use super::figures::Figures;
use crate::{error::StoreError, sqlite::copy_database};

/// The version of the tables; tables of another one are dropped.
const VERSION: i64 = 1;
/// Rows of one read.
const ROWS: u32 = 200_000;
/// Marks that are kept.
const MARKS: u32 = 1_000;
const TABLES: &str = "
    CREATE TABLE point (
        span    INTEGER NOT NULL,
        tenant  INTEGER NOT NULL,
        kind    INTEGER NOT NULL,
        name    TEXT NOT NULL,
        at      INTEGER NOT NULL,
        figures TEXT NOT NULL,
        PRIMARY KEY (span, tenant, kind, at, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX point_age ON point (span, at);
    CREATE TABLE mark (at INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL) STRICT;";

/// The length of the spans of a history, and the time for which they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// 10 seconds, for 6 hours.
    TenSeconds = 0,
    /// A minute, for a week.
    Minute = 1,
    /// An hour, for a year.
    Hour = 2,
}

impl Resolution {
    /// Every resolution, the finest first.
    pub const ALL: [Resolution; 3] = [Resolution::TenSeconds, Resolution::Minute, Resolution::Hour];

    /// Returns the length of a span in milliseconds.
    #[must_use]
    pub fn span_ms(self) -> i64 {
        match self {
            Resolution::TenSeconds => 10_000,
            Resolution::Minute => 60_000,
            Resolution::Hour => 3_600_000,
        }
    }

    /// Returns the time for which spans are kept, in milliseconds.
    #[must_use]
    pub fn kept_ms(self) -> i64 {
        match self {
            Resolution::TenSeconds => 6 * 3_600_000,
            Resolution::Minute => 7 * 86_400_000,
            Resolution::Hour => 366 * 86_400_000,
        }
    }
}

/// The kind of thing that figures are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Dimension {
    All = 0,
    Queue = 1,
    Worker = 2,
    Provider = 3,
    Model = 4,
}

/// Figures of one thing in one span.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Point {
    pub tenant: TenantId,
    pub dimension: Dimension,
    /// Name of the queue, worker and so on; empty for all together.
    pub name: String,
    /// Beginning of the span, in milliseconds.
    pub at: i64,
    pub figures: Figures,
}

/// An event to be marked on charts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Mark {
    pub at: i64,
    pub kind: String,
    pub text: String,
}

/// The history of a folder.
#[derive(Debug)]
pub struct History {
    conn: Mutex<Connection>,
    path: PathBuf,
}

impl History {
    /// The name of the file in the folder of the state.
    pub const FILE: &str = "history.db";

    /// Copies the history of a folder, as of one moment, to a new file. Others may write meanwhile. Returns false when the
    /// folder has none.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the target exists or cannot be written, [`StoreError::Full`], and faults of the database.
    pub fn copy(folder: &Path, target: &Path) -> Result<bool, StoreError> {
        let source = folder.join(History::FILE);
        if !source.is_file() {
            return Ok(false);
        }
        copy_database(&source, target).map(|()| true)
    }

    /// Opens the history of a folder. A file that is damaged, or of another version, is replaced by an empty one.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(folder: &Path) -> Result<History, StoreError> {
        let path = folder.join(History::FILE);
        let fault = |error: rusqlite::Error| StoreError::Io { path: path.clone(), message: error.to_string() };
        let conn = match ready(&path) {
            Ok(conn) => conn,
            Err(_) => {
                for ending in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(folder.join(format!("{}{ending}", History::FILE)));
                }
                ready(&path).map_err(fault)?
            }
        };
        Ok(History { conn: Mutex::new(conn), path })
    }

    fn conn(&self) -> MutexGuard<'_, Connection> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), message: error.to_string() }
    }

    /// Adds points of 10 seconds to every resolution, and deletes what is too old. A second point of a span adds to the
    /// first.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing of it was.
    pub fn write(&self, points: &[Point], now: i64) -> Result<(), StoreError> {
        let mut conn = self.conn();
        let written = (|| {
            let change = conn.transaction()?;
            for resolution in Resolution::ALL {
                for point in points {
                    add(&change, resolution, point)?;
                }
                let oldest = now - resolution.kept_ms();
                change
                    .prepare_cached("DELETE FROM point WHERE span = ?1 AND at < ?2")?
                    .execute((resolution as i64, oldest))?;
            }
            change.commit()
        })();
        written.map_err(|error| self.fault(&error))
    }

    /// Returns the points of a tenant and a dimension that begin within a time, by time and name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(
        &self,
        (tenant, dimension): (TenantId, Dimension),
        resolution: Resolution,
        (from, to): (i64, i64),
    ) -> Result<Vec<Point>, StoreError> {
        let conn = self.conn();
        let read = (|| {
            let mut query = conn.prepare_cached(
                "SELECT at, name, figures FROM point WHERE span = ?1 AND tenant = ?2 AND kind = ?3 \
                 AND at >= ?4 AND at < ?5 ORDER BY at, name LIMIT ?6",
            )?;
            let mut rows = query.query(params![resolution as i64, tenant.0, dimension as i64, from, to, ROWS])?;
            let mut points = Vec::new();
            while let Some(row) = rows.next()? {
                let text: String = row.get(2)?;
                let figures = serde_json::from_str(&text).unwrap_or_default();
                points.push(Point { tenant, dimension, name: row.get(1)?, at: row.get(0)?, figures });
            }
            Ok(points)
        })();
        read.map_err(|error: rusqlite::Error| self.fault(&error))
    }

    /// Marks an event.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn mark(&self, mark: &Mark) -> Result<(), StoreError> {
        let conn = self.conn();
        let written = (|| {
            conn.prepare_cached("INSERT INTO mark (at, kind, text) VALUES (?1, ?2, ?3)")?
                .execute((mark.at, &mark.kind, &mark.text))?;
            conn.prepare_cached(
                "DELETE FROM mark WHERE rowid NOT IN (SELECT rowid FROM mark ORDER BY at DESC, rowid DESC LIMIT ?1)",
            )?
            .execute([MARKS])
        })();
        written.map(|_| ()).map_err(|error| self.fault(&error))
    }

    /// Returns the marked events within a time, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn marks(&self, (from, to): (i64, i64)) -> Result<Vec<Mark>, StoreError> {
        let conn = self.conn();
        let read = (|| {
            let mut query =
                conn.prepare_cached("SELECT at, kind, text FROM mark WHERE at >= ?1 AND at < ?2 ORDER BY at, rowid")?;
            let rows = query
                .query_map((from, to), |row| Ok(Mark { at: row.get(0)?, kind: row.get(1)?, text: row.get(2)? }))?;
            rows.collect::<Result<Vec<_>, _>>()
        })();
        read.map_err(|error| self.fault(&error))
    }

    /// Returns the bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |about| about.len())
    }
}

/// Opens the file with its tables.
fn ready(path: &Path) -> Result<Connection, rusqlite::Error> {
    let conn = Connection::open(path)?;
    // A crash loses the last seconds of the charts, and never damages the file.
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304;")?;
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        VERSION => {
            conn.query_row("SELECT count(*) FROM (SELECT 1 FROM point LIMIT 1)", [], |row| row.get::<_, i64>(0))?;
        }
        0 => conn.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"))?,
        _ => return Err(rusqlite::Error::InvalidQuery),
    }
    Ok(conn)
}

/// Adds a point to its span of a resolution.
fn add(conn: &Connection, resolution: Resolution, point: &Point) -> Result<(), rusqlite::Error> {
    let at = point.at - point.at.rem_euclid(resolution.span_ms());
    let key = (resolution as i64, point.tenant.0, point.dimension as i64, &point.name, at);
    let mut found = conn.prepare_cached(
        "SELECT figures FROM point WHERE span = ?1 AND tenant = ?2 AND kind = ?3 AND name = ?4 AND at = ?5",
    )?;
    let mut rows = found.query(key)?;
    let kept: Option<String> = rows.next()?.map(|row| row.get(0)).transpose()?;
    let mut figures: Figures = kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    figures.merge(&point.figures);
    let text = serde_json::to_string(&figures).unwrap_or_else(|_| "{}".to_owned());
    let mut put = conn.prepare_cached(
        "INSERT OR REPLACE INTO point (span, tenant, kind, name, at, figures) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    put.execute((key.0, key.1, key.2, key.3, key.4, text))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Scratch;

    fn point(at: i64, name: &str, ended: u64) -> Point {
        let figures = Figures { ended, ..Figures::default() };
        Point { tenant: TenantId::DEFAULT, dimension: Dimension::Worker, name: name.to_owned(), at, figures }
    }

    fn ended(history: &History, resolution: Resolution) -> Vec<(i64, String, u64)> {
        let found = history.read((TenantId::DEFAULT, Dimension::Worker), resolution, (0, i64::MAX)).unwrap();
        found.into_iter().map(|point| (point.at, point.name, point.figures.ended)).collect()
    }

    #[test]
    fn points_add_up_in_every_resolution_and_survive() {
        let folder = Scratch::new();
        let history = History::open(folder.path()).unwrap();
        history.write(&[point(50_000, "a", 1), point(50_000, "b", 5)], 60_000).unwrap();
        history.write(&[point(60_000, "a", 2)], 70_000).unwrap();
        history.write(&[point(60_000, "a", 4)], 70_000).unwrap();
        drop(history);
        let history = History::open(folder.path()).unwrap();
        let row = |at, name: &str, ended| (at, name.to_owned(), ended);
        assert_eq!(
            ended(&history, Resolution::TenSeconds),
            [row(50_000, "a", 1), row(50_000, "b", 5), row(60_000, "a", 6)]
        );
        assert_eq!(ended(&history, Resolution::Minute), [row(0, "a", 1), row(0, "b", 5), row(60_000, "a", 6)]);
        assert_eq!(ended(&history, Resolution::Hour), [row(0, "a", 7), row(0, "b", 5)]);
        let other = history.read((TenantId(2), Dimension::Worker), Resolution::Hour, (0, i64::MAX)).unwrap();
        assert!(other.is_empty());
    }

    #[test]
    fn a_copy_holds_what_was_written_and_a_folder_without_history_has_none() {
        let (folder, place) = (Scratch::new(), Scratch::new());
        let target = place.path().join(History::FILE);
        assert!(!History::copy(folder.path(), &target).unwrap() && !target.exists());
        let history = History::open(folder.path()).unwrap();
        history.write(&[point(50_000, "a", 3)], 60_000).unwrap();
        assert!(History::copy(folder.path(), &target).unwrap());
        let copied = History::open(place.path()).unwrap();
        assert_eq!(ended(&copied, Resolution::Hour), [(0, "a".to_owned(), 3)]);
    }

    #[test]
    fn what_is_too_old_is_deleted_and_the_file_is_bounded() {
        let folder = Scratch::new();
        let history = History::open(folder.path()).unwrap();
        history.write(&[point(0, "a", 1)], 0).unwrap();
        let later = Resolution::TenSeconds.kept_ms() + 10_000;
        history.write(&[point(later, "a", 1)], later).unwrap();
        assert_eq!(ended(&history, Resolution::TenSeconds).len(), 1);
        assert_eq!(ended(&history, Resolution::Minute).len(), 2);
        for at in 0..2 * i64::from(MARKS) {
            history.mark(&Mark { at, kind: "started".to_owned(), text: String::new() }).unwrap();
        }
        let marks = history.marks((0, i64::MAX)).unwrap();
        assert_eq!((marks.len(), marks[0].at), (MARKS as usize, i64::from(MARKS)));
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let folder = Scratch::new();
        std::fs::write(folder.path().join(History::FILE), vec![7; 8_192]).unwrap();
        let history = History::open(folder.path()).unwrap();
        history.write(&[point(0, "a", 1)], 0).unwrap();
        assert_eq!(ended(&history, Resolution::Hour).len(), 1);
        assert!(history.bytes() > 0);
    }
}
