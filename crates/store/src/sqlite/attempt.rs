//! Unsuccessful attempts.

use std::sync::Arc;

use kapelle_core::{TaskId, Timestamp, task::Attempt};
use rusqlite::{Connection, params};

use super::{
    columns::{from_json, must, text, to_json},
    fault::Sql,
};

/// Inserts a row. Part of a transaction.
pub(super) fn insert(conn: &Connection, attempt: &Attempt) -> Sql<()> {
    conn.prepare_cached("INSERT INTO attempt (task, epoch, started_at, ended_at, error) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            attempt.task.0,
            attempt.epoch,
            attempt.started_at.0,
            attempt.ended_at.0,
            to_json(&*attempt.error)?
        ])?;
    Ok(())
}

/// Returns the attempts of a task, first to last.
pub(super) fn of(conn: &Connection, task: TaskId) -> Sql<Vec<Attempt>> {
    let mut query =
        conn.prepare_cached("SELECT epoch, started_at, ended_at, error FROM attempt WHERE task = ?1 ORDER BY epoch")?;
    let mut rows = query.query([task.0])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(Attempt {
            task,
            epoch: row.get(0)?,
            started_at: Timestamp(row.get(1)?),
            ended_at: Timestamp(row.get(2)?),
            error: Arc::new(from_json(must(text(row, 3)?, "error")?, "error")?),
        });
    }
    Ok(attempts)
}
