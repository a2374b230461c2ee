//! The journals of runs.

use kapelle_core::{RunId, Timestamp};
use rusqlite::{Connection, params};

use super::{
    columns::{from_json, must, text, to_json},
    fault::{Sql, Trouble},
};
use crate::batch::JournalEntry;

/// Inserts an entry. Part of a transaction.
pub(super) fn insert(conn: &Connection, entry: &JournalEntry) -> Sql<()> {
    conn.prepare_cached("INSERT INTO journal (run, seq, at, event) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        entry.run.0,
        entry.seq.cast_signed(),
        entry.at.0,
        to_json(&entry.event)?
    ])?;
    Ok(())
}

/// Returns the entries of a run from one on.
pub(super) fn from(conn: &Connection, run: RunId, from: u64, most: u32) -> Sql<Vec<JournalEntry>> {
    let mut query =
        conn.prepare_cached("SELECT seq, at, event FROM journal WHERE run = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3")?;
    let mut rows = query.query((run.0, i64::try_from(from).unwrap_or(i64::MAX), most))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        // Read in two steps: numbers keep their digits, so that tagged enums inside cannot be read from text at once.
        let event: serde_json::Value = from_json(must(text(row, 2)?, "event")?, "journal entry")?;
        let event = serde_json::from_value(event)
            .map_err(|error| Trouble::Damaged(format!("a journal entry cannot be read: {error}")))?;
        entries.push(JournalEntry {
            run,
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            at: Timestamp(row.get(1)?),
            event,
        });
    }
    Ok(entries)
}
