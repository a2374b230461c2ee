//! Schedules, and what became of their times.

use std::sync::Arc;

use kapelle_core::{Name, TenantId, Timestamp, schedule::FireKind};
use rusqlite::{Connection, Params, Row, params};

use super::{
    columns::{from_json, must, text, to_json},
    fault::Sql,
};
use crate::schedule::{FIRES_KEPT, FireRow, ScheduleRow, ScheduleWrite};

const COLUMNS: &str = "tenant, name, spec, state, due_at, revision";
const FIRE_COLUMNS: &str = "tenant, schedule, scheduled, kind, at, outcome";

/// Writes or deletes a schedule. Returns false when it has changed since it was read. Part of a transaction.
pub(super) fn write(conn: &Connection, write: &ScheduleWrite) -> Sql<bool> {
    let (tenant, name) = (write.key.0.0, write.key.1.as_str());
    let changed = match (&write.row, write.expected) {
        (None, expected) => {
            conn.prepare_cached("DELETE FROM fire WHERE tenant = ?1 AND schedule = ?2")?
                .execute(params![tenant, name])?;
            conn.prepare_cached("DELETE FROM schedule WHERE tenant = ?1 AND name = ?2 AND revision = ?3")?
                .execute(params![tenant, name, expected])?
        }
        (Some(row), None) => conn
            .prepare_cached(
                "INSERT INTO schedule (tenant, name, spec, state, due_at, waits, revision) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                tenant,
                name,
                to_json(&*row.spec)?,
                to_json(&row.state)?,
                row.due_at.map(|at| at.0),
                waits(row),
                row.revision
            ])?,
        (Some(row), Some(expected)) => conn
            .prepare_cached(
                "UPDATE schedule SET spec = ?3, state = ?4, due_at = ?5, waits = ?6, revision = ?7 \
                 WHERE tenant = ?1 AND name = ?2 AND revision = ?8",
            )?
            .execute(params![
                tenant,
                name,
                to_json(&*row.spec)?,
                to_json(&row.state)?,
                row.due_at.map(|at| at.0),
                waits(row),
                row.revision,
                expected
            ])?,
    };
    Ok(changed == 1)
}

fn waits(row: &ScheduleRow) -> bool {
    !row.state.queued.is_empty()
}

/// Writes what became of a time, and deletes the oldest beyond the limit. Returns false when the time was started
/// before. Part of a transaction.
pub(super) fn fire(conn: &Connection, row: &FireRow) -> Sql<bool> {
    let name = row.schedule.as_str();
    let changed = conn
        .prepare_cached(
            "INSERT INTO fire (tenant, schedule, scheduled, kind, at, started, outcome) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT DO UPDATE SET at = ?5, started = ?6, outcome = ?7 WHERE started = 0",
        )?
        .execute(params![
            row.tenant.0,
            name,
            row.scheduled.0,
            row.kind as u8,
            row.at.0,
            row.outcome.started().is_some(),
            to_json(&row.outcome)?
        ])?;
    conn.prepare_cached(
        "DELETE FROM fire WHERE tenant = ?1 AND schedule = ?2 AND (scheduled, kind) < \
         (SELECT scheduled, kind FROM fire WHERE tenant = ?1 AND schedule = ?2 \
          ORDER BY scheduled DESC, kind DESC LIMIT 1 OFFSET ?3)",
    )?
    .execute(params![row.tenant.0, name, FIRES_KEPT as i64 - 1])?;
    Ok(changed == 1)
}

fn decode(row: &Row<'_>) -> Sql<ScheduleRow> {
    Ok(ScheduleRow {
        tenant: TenantId(row.get(0)?),
        name: Name::new(must(text(row, 1)?, "name")?),
        spec: Arc::new(from_json(must(text(row, 2)?, "specification")?, "schedule")?),
        state: from_json(must(text(row, 3)?, "state")?, "state of a schedule")?,
        due_at: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        revision: row.get(5)?,
    })
}

fn decode_fire(row: &Row<'_>) -> Sql<FireRow> {
    Ok(FireRow {
        tenant: TenantId(row.get(0)?),
        schedule: Name::new(must(text(row, 1)?, "schedule")?),
        scheduled: Timestamp(row.get(2)?),
        kind: if row.get::<_, i64>(3)? == FireKind::Due as i64 { FireKind::Due } else { FireKind::Manual },
        at: Timestamp(row.get(4)?),
        outcome: from_json(must(text(row, 5)?, "outcome")?, "fire")?,
    })
}

fn all<T>(conn: &Connection, sql: &str, values: impl Params, decode: impl Fn(&Row<'_>) -> Sql<T>) -> Sql<Vec<T>> {
    let mut query = conn.prepare_cached(sql)?;
    let mut rows = query.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(decode(row)?);
    }
    Ok(found)
}

/// Returns one schedule.
pub(super) fn one(conn: &Connection, tenant: TenantId, name: &Name) -> Sql<Option<ScheduleRow>> {
    let sql = format!("SELECT {COLUMNS} FROM schedule WHERE tenant = ?1 AND name = ?2");
    Ok(all(conn, &sql, params![tenant.0, name.as_str()], decode)?.pop())
}

/// Returns the schedules of a tenant by name, after `after`.
pub(super) fn page(conn: &Connection, tenant: TenantId, after: Option<&Name>, most: u32) -> Sql<Vec<ScheduleRow>> {
    let sql = format!("SELECT {COLUMNS} FROM schedule WHERE tenant = ?1 AND name > ?2 ORDER BY name LIMIT ?3");
    all(conn, &sql, params![tenant.0, after.map_or("", Name::as_str), most.min(1_000)], decode)
}

/// Returns the schedules that are due, earliest first.
pub(super) fn due(conn: &Connection, now: Timestamp, most: u32) -> Sql<Vec<ScheduleRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM schedule WHERE due_at IS NOT NULL AND due_at <= ?1 \
         ORDER BY due_at, tenant, name LIMIT ?2"
    );
    all(conn, &sql, params![now.0, most], decode)
}

/// Returns the next time at which a schedule is due.
pub(super) fn next(conn: &Connection) -> Sql<Option<Timestamp>> {
    let sql = "SELECT due_at FROM schedule WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
    Ok(all(conn, sql, [], |row| Ok(Timestamp(row.get(0)?)))?.pop())
}

/// Returns the schedules of which a fire waits.
pub(super) fn waiting(conn: &Connection) -> Sql<Vec<ScheduleRow>> {
    all(conn, &format!("SELECT {COLUMNS} FROM schedule WHERE waits = 1 ORDER BY tenant, name"), [], decode)
}

/// Returns what became of a time.
pub(super) fn one_fire(conn: &Connection, key: (TenantId, &Name, Timestamp, FireKind)) -> Sql<Option<FireRow>> {
    let sql =
        format!("SELECT {FIRE_COLUMNS} FROM fire WHERE tenant = ?1 AND schedule = ?2 AND scheduled = ?3 AND kind = ?4");
    Ok(all(conn, &sql, params![key.0.0, key.1.as_str(), key.2.0, key.3 as u8], decode_fire)?.pop())
}

/// Returns what became of the times of a schedule, newest first.
pub(super) fn fires(conn: &Connection, tenant: TenantId, schedule: &Name, most: u32) -> Sql<Vec<FireRow>> {
    let sql = format!(
        "SELECT {FIRE_COLUMNS} FROM fire WHERE tenant = ?1 AND schedule = ?2 \
         ORDER BY scheduled DESC, kind DESC LIMIT ?3"
    );
    all(conn, &sql, params![tenant.0, schedule.as_str(), most.min(1_000)], decode_fire)
}
