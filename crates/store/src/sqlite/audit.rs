//! The audit trail.

use kapelle_core::{TenantId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Sql;
use crate::{
    audit::{Act, AuditHead, AuditRow},
    rows::Page,
};

const COLUMNS: &str = "seq, at, tenant, actor, action, resource, hash";

/// Inserts an entry. Part of a transaction.
pub(super) fn insert(conn: &Connection, row: &AuditRow) -> Sql<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO audit (seq, at, tenant, actor, action, resource, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let act = &row.act;
    let seq = row.seq.cast_signed();
    insert.execute(params![seq, row.at.0, act.tenant.0, &*act.actor, &*act.action, &*act.resource, row.hash])?;
    Ok(())
}

/// Returns the last entry's number and hash.
pub(super) fn head(conn: &Connection) -> Sql<Option<AuditHead>> {
    let mut query = conn.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
    Ok(query.query_row([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))).optional()?)
}

fn decode(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        at: Timestamp(row.get(1)?),
        act: Act { tenant: TenantId(row.get(2)?), actor: row.get(3)?, action: row.get(4)?, resource: row.get(5)? },
        hash: row.get(6)?,
    })
}

/// Returns entries of a tenant, or of all tenants, newest first.
pub(super) fn page(conn: &Connection, tenant: Option<TenantId>, page: Page) -> Sql<Vec<AuditRow>> {
    let of = if tenant.is_some() { "tenant = ?1" } else { "?1 IS NULL" };
    let mut query = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM audit WHERE {of} AND seq < ?2 ORDER BY seq DESC LIMIT ?3"))?;
    let before = page.before.unwrap_or(i64::MAX);
    let rows = query.query_map((tenant.map(|tenant| tenant.0), before, page.most.min(1_000)), decode)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns entries of all tenants in their order, after `after`.
pub(super) fn from(conn: &Connection, after: u64, most: u32) -> Sql<Vec<AuditRow>> {
    let mut query =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2"))?;
    let rows = query.query_map((after.cast_signed(), most.min(1_000)), decode)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
