//! Versions of workflows: rows that are written once.

use std::sync::Arc;

use kapelle_core::{Name, TenantId, Timestamp};
use rusqlite::{Connection, Params, Row, params, types::ToSql};

use super::{fault::Sql, names::Names};
use crate::{batch::VersionRow, contract::Deletion, rows::Page};

const COLUMNS: &str = "id, tenant, workflow, number, sha256, source, file, created_at";

/// Inserts a row. Part of a transaction.
pub(super) fn insert(conn: &Connection, names: &mut Names, version: &VersionRow) -> Sql<()> {
    let workflow = names.id(conn, &version.workflow)?;
    let mut insert = conn.prepare_cached(
        "INSERT INTO version (id, tenant, workflow, number, sha256, source, file, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    insert.execute(params![
        version.id,
        version.tenant.0,
        workflow,
        version.number,
        version.sha256,
        &*version.source,
        &*version.file,
        version.created_at.0
    ])?;
    Ok(())
}

fn decode(conn: &Connection, names: &mut Names, row: &Row<'_>) -> Sql<VersionRow> {
    Ok(VersionRow {
        id: row.get(0)?,
        tenant: TenantId(row.get(1)?),
        workflow: names.name(conn, row.get(2)?)?,
        number: row.get(3)?,
        sha256: row.get(4)?,
        source: Arc::from(row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?),
        file: row.get(6)?,
        created_at: Timestamp(row.get(7)?),
    })
}

fn select(conn: &Connection, names: &mut Names, rest: &str, params: impl Params) -> Sql<Vec<VersionRow>> {
    let mut query = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM version {rest}"))?;
    let mut rows = query.query(params)?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        versions.push(decode(conn, names, row)?);
    }
    Ok(versions)
}

/// Returns one version, of any tenant.
pub(super) fn one(conn: &Connection, names: &mut Names, id: i64) -> Sql<Option<VersionRow>> {
    Ok(select(conn, names, "WHERE id = ?1", [id])?.pop())
}

/// Returns one version of a tenant.
pub(super) fn one_of(conn: &Connection, names: &mut Names, tenant: TenantId, id: i64) -> Sql<Option<VersionRow>> {
    Ok(select(conn, names, "WHERE id = ?1 AND tenant = ?2", (id, tenant.0))?.pop())
}

/// Returns the version of a workflow with the highest number.
pub(super) fn newest(
    conn: &Connection,
    names: &mut Names,
    tenant: TenantId,
    workflow: &Name,
) -> Sql<Option<VersionRow>> {
    let Some(workflow) = names.find(conn, workflow)? else { return Ok(None) };
    let rest = "WHERE tenant = ?1 AND workflow = ?2 ORDER BY number DESC LIMIT 1";
    Ok(select(conn, names, rest, (tenant.0, workflow))?.pop())
}

/// Returns versions of a tenant, newest first, of one workflow if it is named.
pub(super) fn page(
    conn: &Connection,
    names: &mut Names,
    tenant: TenantId,
    workflow: Option<&Name>,
    page: Page,
) -> Sql<Vec<VersionRow>> {
    let before = page.before.unwrap_or(i64::MAX);
    let most = page.most.min(1_000);
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(tenant.0), Box::new(before), Box::new(most)];
    let mut rest = String::from("WHERE tenant = ?1 AND id < ?2");
    if let Some(workflow) = workflow {
        let Some(id) = names.find(conn, workflow)? else { return Ok(Vec::new()) };
        values.push(Box::new(id));
        rest += " AND workflow = ?4";
    }
    rest += " ORDER BY id DESC LIMIT ?3";
    select(conn, names, &rest, rusqlite::params_from_iter(values))
}

/// The key of a version that nobody needs, or why it may not be deleted.
pub(super) fn deletable(
    conn: &Connection,
    names: &mut Names,
    (tenant, workflow, number): (TenantId, &Name, u32),
) -> Sql<Result<i64, Deletion>> {
    let Some(newest) = newest(conn, names, tenant, workflow)? else { return Ok(Err(Deletion::Missing)) };
    if newest.number == number {
        return Ok(Err(Deletion::Newest));
    }
    let Some(name) = names.find(conn, workflow)? else { return Ok(Err(Deletion::Missing)) };
    let rest = "WHERE tenant = ?1 AND workflow = ?2 AND number = ?3";
    let found = select(conn, names, rest, (tenant.0, name, number))?.pop();
    let Some(row) = found else { return Ok(Err(Deletion::Missing)) };
    let mut runs =
        conn.prepare_cached("SELECT count(*) FROM run WHERE tenant = ?1 AND workflow = ?2 AND version = ?3")?;
    let used: i64 = runs.query_row((tenant.0, name, row.id), |row| row.get(0))?;
    Ok(if used > 0 { Err(Deletion::Used(used.cast_unsigned())) } else { Ok(row.id) })
}

/// Deletes a version that nobody needs. False when somebody does. Part of a transaction.
pub(super) fn delete(conn: &Connection, id: i64) -> Sql<bool> {
    let mut delete = conn.prepare_cached(
        "DELETE FROM version WHERE id = ?1 \
         AND NOT EXISTS (SELECT 1 FROM run WHERE run.tenant = version.tenant AND run.workflow = version.workflow \
                         AND run.version = version.id) \
         AND EXISTS (SELECT 1 FROM version later WHERE later.tenant = version.tenant \
                     AND later.workflow = version.workflow AND later.number > version.number)",
    )?;
    Ok(delete.execute([id])? == 1)
}
