//! Idempotency keys.

use std::sync::Arc;

use kapelle_core::{RunId, TaskId, TenantId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::{Sql, Trouble};
use crate::batch::{KeyReply, KeyRow, KeyWrite};

const TASKS: i64 = 0;
const RUN: i64 = 1;
const FIRE: i64 = 2;

/// A new row, or one in place of another whose time is over. False when the key is taken. Part of a transaction.
pub(super) fn insert(conn: &Connection, KeyWrite { row: key, at }: &KeyWrite) -> Sql<bool> {
    let (kind, first, count) = match key.reply {
        KeyReply::Tasks(first, count) => (TASKS, first.0, count),
        KeyReply::Run(run) => (RUN, run.0, 1),
        KeyReply::Fire(scheduled) => (FIRE, scheduled.0, 1),
    };
    let mut insert = conn.prepare_cached(
        "INSERT INTO idempotency (tenant, key, body, kind, first, count, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (tenant, key) DO UPDATE SET \
         body = excluded.body, kind = excluded.kind, first = excluded.first, count = excluded.count, \
         until = excluded.until WHERE idempotency.until < ?8",
    )?;
    let written = insert.execute(params![key.tenant.0, &*key.key, key.body, kind, first, count, key.until.0, at.0])?;
    Ok(written == 1)
}

/// Returns the reply of a key, whether it has expired or not.
pub(super) fn one(conn: &Connection, tenant: TenantId, key: &str) -> Sql<Option<KeyRow>> {
    let mut query =
        conn.prepare_cached("SELECT body, kind, first, count, until FROM idempotency WHERE tenant = ?1 AND key = ?2")?;
    let row: Option<([u8; 32], i64, i64, u32, i64)> = query
        .query_row((tenant.0, key), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .optional()?;
    let Some((body, kind, first, count, until)) = row else { return Ok(None) };
    let reply = match kind {
        TASKS => KeyReply::Tasks(TaskId(first), count),
        RUN => KeyReply::Run(RunId(first)),
        FIRE => KeyReply::Fire(Timestamp(first)),
        other => return Err(Trouble::Damaged(format!("an idempotency key is of unknown kind {other}"))),
    };
    Ok(Some(KeyRow { tenant, key: Arc::from(key), body, reply, until: Timestamp(until) }))
}
