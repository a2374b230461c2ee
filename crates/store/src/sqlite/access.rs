//! API keys.

use kapelle_core::{TenantId, Timestamp};
use rusqlite::{Connection, params};

use super::{
    columns::{from_json, must, text, to_json},
    fault::Sql,
};
use crate::access::{AccessKey, AccessWrite};

/// Writes a change. Part of a transaction.
pub(super) fn write(conn: &Connection, write: &AccessWrite) -> Sql<()> {
    match write {
        AccessWrite::Add(key) => {
            let mut insert = conn.prepare_cached(
                "INSERT INTO access_key (id, tenant, name, role, sha256, created_at, expires_at, revoked_at, scope) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?;
            insert.execute(params![
                &*key.id,
                key.tenant.0,
                &*key.name,
                &*key.role,
                key.sha256,
                key.created_at.0,
                key.expires_at.map(|at| at.0),
                key.revoked_at.map(|at| at.0),
                to_json(&key.scope)?
            ])?;
        }
        AccessWrite::Revoke { id, at } => {
            conn.prepare_cached("UPDATE access_key SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
                .execute((&**id, at.0))?;
        }
    }
    Ok(())
}

/// Returns every key, oldest first.
pub(super) fn all(conn: &Connection) -> Sql<Vec<AccessKey>> {
    let mut query = conn.prepare_cached(
        "SELECT id, tenant, name, role, sha256, created_at, expires_at, revoked_at, scope FROM access_key \
         ORDER BY created_at, id",
    )?;
    let mut rows = query.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(AccessKey {
            id: row.get(0)?,
            tenant: TenantId(row.get(1)?),
            name: row.get(2)?,
            role: row.get(3)?,
            sha256: row.get(4)?,
            created_at: Timestamp(row.get(5)?),
            expires_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
            revoked_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
            scope: from_json(must(text(row, 8)?, "scope")?, "scope")?,
        });
    }
    Ok(keys)
}
