//! Workers that hosts serve, replayed answers of their attempts, and files that tenants uploaded.

use std::sync::Arc;

use kapelle_core::{TaskId, TenantId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::{
    columns::{from_json, must, text, to_json},
    fault::Sql,
};
use crate::hosted::{ArtifactRow, GivenRow, HostWorkerRow, HostWorkerWrite};

/// Writes a change to the served workers. Part of a transaction.
pub(super) fn serve(conn: &Connection, write: &HostWorkerWrite) -> Sql<()> {
    match write {
        HostWorkerWrite::Put(row) => {
            conn.prepare_cached(
                "INSERT INTO host_workers (tenant, name, spec, at) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO UPDATE SET spec = ?3, at = ?4",
            )?
            .execute(params![row.tenant.0, row.spec.name.as_str(), to_json(&*row.spec)?, row.at.0])?;
        }
        HostWorkerWrite::Forget(tenant, name) => {
            conn.prepare_cached("DELETE FROM host_workers WHERE tenant = ?1 AND name = ?2")?
                .execute(params![tenant.0, name.as_str()])?;
        }
    }
    Ok(())
}

/// Returns every served worker of every tenant.
pub(super) fn host_workers(conn: &Connection) -> Sql<Vec<HostWorkerRow>> {
    let mut query = conn.prepare_cached("SELECT tenant, spec, at FROM host_workers ORDER BY tenant, name")?;
    let mut rows = query.query([])?;
    let mut host_workers = Vec::new();
    while let Some(row) = rows.next()? {
        let spec = Arc::new(from_json(must(text(row, 1)?, "specification")?, "specification of a worker")?);
        host_workers.push(HostWorkerRow { tenant: TenantId(row.get(0)?), spec, at: Timestamp(row.get(2)?) });
    }
    Ok(host_workers)
}

/// Writes the replayed answers of an attempt and deletes those of earlier attempts. Part of a transaction.
pub(super) fn give_again(conn: &Connection, row: &GivenRow) -> Sql<()> {
    conn.prepare_cached("DELETE FROM given WHERE task = ?1 AND attempt < ?2")?.execute((row.task.0, row.attempt))?;
    conn.prepare_cached(
        "INSERT INTO given (task, attempt, fingerprint, count) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET count = max(count, ?4)",
    )?
    .execute(params![row.task.0, row.attempt, row.fingerprint, row.count])?;
    Ok(())
}

/// Returns the replayed answers of an attempt.
pub(super) fn given(conn: &Connection, task: TaskId, attempt: u32) -> Sql<Vec<GivenRow>> {
    let mut query = conn
        .prepare_cached("SELECT fingerprint, count FROM given WHERE task = ?1 AND attempt = ?2 ORDER BY fingerprint")?;
    let rows = query.query_map((task.0, attempt), |row| {
        Ok(GivenRow { task, attempt, fingerprint: row.get(0)?, count: row.get(1)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Deletes the replayed answers of a task. Part of a transaction.
pub(super) fn forget_given(conn: &Connection, task: i64) -> Sql<()> {
    conn.prepare_cached("DELETE FROM given WHERE task = ?1")?.execute([task])?;
    Ok(())
}

/// Writes that a tenant has a file, unless it is known. Part of a transaction.
pub(super) fn give(conn: &Connection, row: &ArtifactRow) -> Sql<()> {
    conn.prepare_cached(
        "INSERT INTO artifact (tenant, sha256, name, media_type, bytes, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![
        row.tenant.0,
        &*row.sha256,
        &*row.name,
        &*row.media_type,
        row.bytes.cast_signed(),
        row.at.0
    ])?;
    Ok(())
}

const COLUMNS: &str = "tenant, sha256, name, media_type, bytes, at";

fn decode(row: &Row<'_>) -> rusqlite::Result<ArtifactRow> {
    Ok(ArtifactRow {
        tenant: TenantId(row.get(0)?),
        sha256: row.get(1)?,
        name: row.get(2)?,
        media_type: row.get(3)?,
        bytes: row.get::<_, i64>(4)?.cast_unsigned(),
        at: Timestamp(row.get(5)?),
    })
}

/// Returns a file of a tenant.
pub(super) fn artifact(conn: &Connection, tenant: TenantId, sha256: &str) -> Sql<Option<ArtifactRow>> {
    let mut query =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM artifact WHERE tenant = ?1 AND sha256 = ?2"))?;
    let mut rows = query.query_map(params![tenant.0, sha256], decode)?;
    Ok(rows.next().transpose()?)
}

/// Returns the files of a tenant by their hash, after `after`.
pub(super) fn artifacts(conn: &Connection, tenant: TenantId, after: Option<&str>, most: u32) -> Sql<Vec<ArtifactRow>> {
    let mut query = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM artifact WHERE tenant = ?1 AND sha256 > ?2 ORDER BY sha256 LIMIT ?3"
    ))?;
    let rows = query.query_map(params![tenant.0, after.unwrap_or(""), most.min(1_000)], decode)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
