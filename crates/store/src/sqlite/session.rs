//! Entries for the session log.

use std::sync::Arc;

use kapelle_core::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    columns::{from_json, must, text, to_json},
    fault::Sql,
};
use crate::session::SessionRow;

/// Inserts a row. Part of a transaction.
pub(super) fn insert(conn: &Connection, row: &SessionRow) -> Sql<()> {
    let notes: Vec<&str> = row.notes.iter().map(|note| &**note).collect();
    conn.prepare_cached("INSERT INTO session (seq, at, ended, notes) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        row.seq.cast_signed(),
        row.at.0,
        row.pack(),
        to_json(&notes)?
    ])?;
    Ok(())
}

/// Deletes the entries that the file has: everything before that number. The row itself stays. Part of a transaction.
pub(super) fn written(conn: &Connection, seq: u64) -> Sql<()> {
    conn.prepare_cached("DELETE FROM session WHERE seq < ?1")?.execute([seq.cast_signed()])?;
    Ok(())
}

/// Returns the newest number.
pub(super) fn last(conn: &Connection) -> Sql<u64> {
    let mut query = conn.prepare_cached("SELECT seq FROM session ORDER BY seq DESC LIMIT 1")?;
    let seq: Option<i64> = query.query_row([], |row| row.get(0)).optional()?;
    Ok(seq.unwrap_or(0).cast_unsigned())
}

/// Returns the rows after a number.
pub(super) fn after(conn: &Connection, seq: u64, most: u32) -> Sql<Vec<SessionRow>> {
    let mut query =
        conn.prepare_cached("SELECT seq, at, ended, notes FROM session WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = query.query(params![seq.min(i64::MAX as u64).cast_signed(), most.min(1_000)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let packed: Vec<u8> = row.get(2)?;
        let notes: Vec<String> = from_json(must(text(row, 3)?, "notes")?, "notes")?;
        found.push(SessionRow {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            at: Timestamp(row.get(1)?),
            ended: must(SessionRow::unpack(&packed), "ended tasks")?,
            notes: notes.into_iter().map(Arc::from).collect(),
        });
    }
    Ok(found)
}
