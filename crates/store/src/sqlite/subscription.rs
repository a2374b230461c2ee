//! Subscriptions to events, and the outbox of their deliveries.

use std::sync::Arc;

use kapelle_core::{Name, TenantId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{
    columns::{from_json, must, text, to_json},
    fault::Sql,
};
use crate::subscription::{DeliveryRow, DeliveryState, DeliveryWrite, SubscriptionRow, SubscriptionWrite};

const COLUMNS: &str = "tenant, name, spec, state, revision";
const DELIVERY_COLUMNS: &str = "id, tenant, subscription, event_id, kind, subject, event, created_at, state, attempts, \
                                next_at, ended_at, status, error, revision";

/// Writes or deletes a subscription. Returns false when it has changed since it was read. Part of a transaction.
pub(super) fn write(conn: &Connection, write: &SubscriptionWrite) -> Sql<bool> {
    let (tenant, name) = (write.key.0.0, write.key.1.as_str());
    let changed = match (&write.row, write.expected) {
        (None, expected) => {
            conn.prepare_cached("DELETE FROM delivery WHERE tenant = ?1 AND subscription = ?2")?
                .execute(params![tenant, name])?;
            conn.prepare_cached("DELETE FROM subscription WHERE tenant = ?1 AND name = ?2 AND revision = ?3")?
                .execute(params![tenant, name, expected])?
        }
        (Some(row), None) => conn
            .prepare_cached(
                "INSERT INTO subscription (tenant, name, spec, state, revision) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![tenant, name, to_json(&*row.spec)?, to_json(&row.state)?, row.revision])?,
        (Some(row), Some(expected)) => conn
            .prepare_cached(
                "UPDATE subscription SET spec = ?3, state = ?4, revision = ?5 \
                 WHERE tenant = ?1 AND name = ?2 AND revision = ?6",
            )?
            .execute(params![tenant, name, to_json(&*row.spec)?, to_json(&row.state)?, row.revision, expected])?,
    };
    Ok(changed == 1)
}

/// Writes a delivery. Returns false when it has changed since it was read. Part of a transaction.
pub(super) fn deliver(conn: &Connection, write: &DeliveryWrite) -> Sql<bool> {
    let row = &write.row;
    let Some(expected) = write.expected else {
        let inserted = conn
            .prepare_cached(&format!(
                "INSERT INTO delivery ({DELIVERY_COLUMNS}) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT DO NOTHING"
            ))?
            .execute(params![
                row.id,
                row.tenant.0,
                row.subscription.as_str(),
                row.event_id,
                &*row.kind,
                &*row.subject,
                &*row.event,
                row.created_at.0,
                row.state as u8,
                row.attempts,
                row.next_at.0,
                row.ended_at.map(|at| at.0),
                row.status,
                row.error.as_deref(),
                row.revision
            ])?;
        return Ok(inserted == 1);
    };
    let changed = conn
        .prepare_cached(
            "UPDATE delivery SET state = ?2, attempts = ?3, next_at = ?4, ended_at = ?5, status = ?6, error = ?7, \
             revision = ?8 WHERE id = ?1 AND revision = ?9",
        )?
        .execute(params![
            row.id,
            row.state as u8,
            row.attempts,
            row.next_at.0,
            row.ended_at.map(|at| at.0),
            row.status,
            row.error.as_deref(),
            row.revision,
            expected
        ])?;
    if changed == 1 {
        return Ok(true);
    }
    // Deleted with its subscription in this turn: there is nothing to change.
    let known = conn.prepare_cached("SELECT 1 FROM delivery WHERE id = ?1")?.exists([row.id])?;
    Ok(!known)
}

fn decode(row: &Row<'_>) -> Sql<SubscriptionRow> {
    Ok(SubscriptionRow {
        tenant: TenantId(row.get(0)?),
        name: Name::new(must(text(row, 1)?, "name")?),
        spec: Arc::new(from_json(must(text(row, 2)?, "specification")?, "subscription")?),
        state: from_json(must(text(row, 3)?, "state")?, "state of a subscription")?,
        revision: row.get(4)?,
    })
}

fn decode_delivery(row: &Row<'_>) -> Sql<DeliveryRow> {
    Ok(DeliveryRow {
        id: row.get(0)?,
        tenant: TenantId(row.get(1)?),
        subscription: Name::new(must(text(row, 2)?, "subscription")?),
        event_id: row.get(3)?,
        kind: row.get(4)?,
        subject: row.get(5)?,
        event: row.get(6)?,
        created_at: Timestamp(row.get(7)?),
        state: must(DeliveryState::from_number(row.get(8)?), "state of a delivery")?,
        attempts: row.get(9)?,
        next_at: Timestamp(row.get(10)?),
        ended_at: row.get::<_, Option<i64>>(11)?.map(Timestamp),
        status: row.get(12)?,
        error: row.get(13)?,
        revision: row.get(14)?,
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

/// Returns one subscription.
pub(super) fn one(conn: &Connection, tenant: TenantId, name: &Name) -> Sql<Option<SubscriptionRow>> {
    let sql = format!("SELECT {COLUMNS} FROM subscription WHERE tenant = ?1 AND name = ?2");
    Ok(all(conn, &sql, params![tenant.0, name.as_str()], decode)?.pop())
}

/// Returns all subscriptions, by tenant and name.
pub(super) fn every(conn: &Connection) -> Sql<Vec<SubscriptionRow>> {
    all(conn, &format!("SELECT {COLUMNS} FROM subscription ORDER BY tenant, name"), [], decode)
}

/// Returns one delivery.
pub(super) fn delivery(conn: &Connection, id: i64) -> Sql<Option<DeliveryRow>> {
    let sql = format!("SELECT {DELIVERY_COLUMNS} FROM delivery WHERE id = ?1");
    Ok(all(conn, &sql, [id], decode_delivery)?.pop())
}

/// Returns the deliveries of a subscription that are due.
pub(super) fn due(
    conn: &Connection,
    (tenant, name): (TenantId, &Name),
    now: Timestamp,
    ordered: bool,
    most: u32,
) -> Sql<Vec<DeliveryRow>> {
    let first = if ordered {
        "AND NOT EXISTS (SELECT 1 FROM delivery earlier WHERE earlier.tenant = ?1 AND earlier.subscription = ?2 \
         AND earlier.subject = delivery.subject AND earlier.id < delivery.id AND earlier.state = 0)"
    } else {
        ""
    };
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS} FROM delivery WHERE tenant = ?1 AND subscription = ?2 AND state = 0 \
         AND next_at <= ?3 {first} ORDER BY next_at, id LIMIT ?4"
    );
    all(conn, &sql, params![tenant.0, name.as_str(), now.0, most.min(1_000)], decode_delivery)
}

/// Returns the earliest time at which a delivery of a subscription is due.
pub(super) fn next(conn: &Connection, tenant: TenantId, name: &Name) -> Sql<Option<Timestamp>> {
    let mut query = conn.prepare_cached(
        "SELECT next_at FROM delivery WHERE tenant = ?1 AND subscription = ?2 AND state = 0 ORDER BY next_at LIMIT 1",
    )?;
    Ok(query.query_row(params![tenant.0, name.as_str()], |row| row.get(0)).optional()?.map(Timestamp))
}

/// Counts the pending deliveries of a subscription, at most `most`.
pub(super) fn pending(conn: &Connection, tenant: TenantId, name: &Name, most: u32) -> Sql<u32> {
    let mut query = conn.prepare_cached(
        "SELECT count(*) FROM (SELECT 1 FROM delivery \
         WHERE tenant = ?1 AND subscription = ?2 AND state = 0 LIMIT ?3)",
    )?;
    Ok(query.query_row(params![tenant.0, name.as_str(), most], |row| row.get(0))?)
}

/// Returns deliveries of a subscription, newest first.
pub(super) fn page(
    conn: &Connection,
    (tenant, name): (TenantId, &Name),
    state: Option<DeliveryState>,
    before: Option<i64>,
    most: u32,
) -> Sql<Vec<DeliveryRow>> {
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS} FROM delivery WHERE tenant = ?1 AND subscription = ?2 AND id < ?3 \
         AND (?4 IS NULL OR state = ?4) ORDER BY id DESC LIMIT ?5"
    );
    let values =
        params![tenant.0, name.as_str(), before.unwrap_or(i64::MAX), state.map(|state| state as u8), most.min(1_000)];
    all(conn, &sql, values, decode_delivery)
}

/// Deletes deliveries that ended before a time. Part of a transaction.
pub(super) fn prune(conn: &Connection, before: Timestamp, most: u32) -> Sql<usize> {
    let mut delete = conn.prepare_cached(
        "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery INDEXED BY delivery_ended \
         WHERE ended_at IS NOT NULL AND ended_at < ?1 ORDER BY ended_at LIMIT ?2)",
    )?;
    Ok(delete.execute(params![before.0, most])?)
}
