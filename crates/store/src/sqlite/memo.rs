//! Memos of tenants.

use kapelle_core::{TenantId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::fault::Sql;
use crate::memo::{MemoRow, MemoWrite};

const COLUMNS: &str = "tenant, collection, key, value, revision, at";

/// Writes a change. False when the row has another revision. Part of a transaction.
pub(super) fn write(conn: &Connection, write: &MemoWrite) -> Sql<bool> {
    let changed = match write {
        MemoWrite::Put { row, expected: None } => conn
            .prepare_cached(
                "INSERT INTO memo (tenant, collection, key, value, revision, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![row.tenant.0, &*row.collection, &*row.key, &*row.value, row.revision, row.at.0])?,
        MemoWrite::Put { row, expected: Some(expected) } => conn
            .prepare_cached(
                "UPDATE memo SET value = ?4, revision = ?5, at = ?6 \
                 WHERE tenant = ?1 AND collection = ?2 AND key = ?3 AND revision = ?7",
            )?
            .execute(params![
                row.tenant.0,
                &*row.collection,
                &*row.key,
                &*row.value,
                row.revision,
                row.at.0,
                expected
            ])?,
        MemoWrite::Delete { tenant, collection, key, expected } => conn
            .prepare_cached("DELETE FROM memo WHERE tenant = ?1 AND collection = ?2 AND key = ?3 AND revision = ?4")?
            .execute(params![tenant.0, &**collection, &**key, expected])?,
    };
    Ok(changed == 1)
}

fn decode(row: &Row<'_>) -> rusqlite::Result<MemoRow> {
    Ok(MemoRow {
        tenant: TenantId(row.get(0)?),
        collection: row.get(1)?,
        key: row.get(2)?,
        value: row.get(3)?,
        revision: row.get(4)?,
        at: Timestamp(row.get(5)?),
    })
}

/// Returns one memo.
pub(super) fn one(conn: &Connection, tenant: TenantId, collection: &str, key: &str) -> Sql<Option<MemoRow>> {
    let mut query =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM memo WHERE tenant = ?1 AND collection = ?2 AND key = ?3"))?;
    let mut rows = query.query_map(params![tenant.0, collection, key], decode)?;
    Ok(rows.next().transpose()?)
}

/// Returns memos of a collection by key, after `after`.
pub(super) fn list(
    conn: &Connection,
    tenant: TenantId,
    collection: &str,
    after: Option<&str>,
    most: u32,
) -> Sql<Vec<MemoRow>> {
    let mut query = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM memo WHERE tenant = ?1 AND collection = ?2 AND key > ?3 ORDER BY key LIMIT ?4"
    ))?;
    let rows = query.query_map(params![tenant.0, collection, after.unwrap_or(""), most.min(1_000)], decode)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
