//! Tasks whose answers may be reused.

use kapelle_core::{TaskId, TenantId, Timestamp, cache::CacheKey};
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Sql;
use crate::batch::AnswerRow;

/// Writes an entry and replaces an older one. Part of a transaction.
pub(super) fn put(conn: &Connection, row: &AnswerRow) -> Sql<()> {
    conn.prepare_cached(
        "INSERT INTO answer (tenant, key, task, until) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET task = ?3, until = ?4",
    )?
    .execute(params![row.tenant.0, row.key.0, row.task.0, row.until.0])?;
    Ok(())
}

/// Returns the task of a cache key, unless it has expired.
pub(super) fn one(conn: &Connection, tenant: TenantId, key: CacheKey, now: Timestamp) -> Sql<Option<TaskId>> {
    let mut query = conn.prepare_cached("SELECT task FROM answer WHERE tenant = ?1 AND key = ?2 AND until >= ?3")?;
    Ok(query.query_row(params![tenant.0, key.0, now.0], |row| row.get(0)).optional()?.map(TaskId))
}

/// Deletes expired entries. Returns their number.
pub(super) fn prune(conn: &Connection, before: Timestamp, most: u32) -> Sql<usize> {
    let mut delete = conn.prepare_cached(
        "DELETE FROM answer WHERE (tenant, key) IN \
         (SELECT tenant, key FROM answer WHERE until < ?1 ORDER BY until, tenant, key LIMIT ?2)",
    )?;
    Ok(delete.execute(params![before.0, most])?)
}
