//! Deletion of expired rows, in pieces.

use kapelle_core::RunId;
use rusqlite::{Connection, params};

use super::{
    answer,
    fault::{Sql, Trouble},
    hosted, ledger, spending, subscription,
};
use crate::{contract::Retention, spending::Span};

/// Tells whether there is something to delete.
pub(super) fn has_expired(conn: &Connection, retention: Retention) -> Sql<bool> {
    let mut query = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM idempotency WHERE until < ?1) \
         OR EXISTS (SELECT 1 FROM answer WHERE until < ?1) \
         OR EXISTS (SELECT 1 FROM kept_call WHERE until < ?1) \
         OR EXISTS (SELECT 1 FROM model_call INDEXED BY model_call_loose \
                    WHERE task IS NULL AND at < ?2 AND state <> 0) \
         OR EXISTS (SELECT 1 FROM task INDEXED BY task_ended \
                    WHERE ended_at < ?2 AND ended_at IS NOT NULL AND run IS NULL) \
         OR EXISTS (SELECT 1 FROM run WHERE ended_at < ?3) \
         OR EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_ended WHERE ended_at IS NOT NULL AND ended_at < ?2) \
         OR EXISTS (SELECT 1 FROM spend INDEXED BY spend_hours WHERE span = 0 AND start < ?4)",
    )?;
    let hours = Span::first_hour(retention.keys_before);
    let bounds = [retention.keys_before.0, retention.tasks_before.0, retention.runs_before.0, hours];
    Ok(query.query_row(bounds, |row| row.get(0))?)
}

/// Deletes a bounded number of rows, within the transaction of a turn.
pub(super) fn delete(conn: &Connection, retention: Retention) -> Sql<()> {
    let mut left = retention.most;
    keys(conn, retention, &mut left)?;
    tasks(conn, retention, &mut left)?;
    runs(conn, retention, &mut left)
}

fn keys(conn: &Connection, retention: Retention, left: &mut u32) -> Sql<()> {
    let mut delete = conn.prepare_cached(
        "DELETE FROM idempotency WHERE (tenant, key) IN (SELECT tenant, key FROM idempotency \
         WHERE until < ?1 ORDER BY until, tenant, key LIMIT ?2)",
    )?;
    let deleted = delete.execute(params![retention.keys_before.0, *left])?;
    take(left, deleted);
    let deleted = answer::prune(conn, retention.keys_before, *left)?;
    take(left, deleted);
    let deleted = ledger::prune(conn, retention.tasks_before, retention.keys_before, *left)?;
    take(left, deleted);
    let deleted = spending::prune(conn, retention.keys_before, *left)?;
    take(left, deleted);
    let deleted = subscription::prune(conn, retention.tasks_before, *left)?;
    take(left, deleted);
    Ok(())
}

fn tasks(conn: &Connection, retention: Retention, left: &mut u32) -> Sql<()> {
    let sql = "SELECT id, input_id, output_id FROM task INDEXED BY task_ended \
               WHERE ended_at < ?1 AND ended_at IS NOT NULL AND run IS NULL ORDER BY ended_at, id LIMIT ?2";
    let deleted = delete_tasks(conn, sql, retention.tasks_before.0, *left)?;
    take(left, deleted);
    Ok(())
}

fn runs(conn: &Connection, retention: Retention, left: &mut u32) -> Sql<()> {
    let mut oldest = conn.prepare_cached(
        "SELECT id, inputs_id, outputs_id FROM run WHERE ended_at < ?1 ORDER BY ended_at, id LIMIT 1",
    )?;
    while *left > 0 {
        let mut rows = oldest.query([retention.runs_before.0])?;
        let Some(row) = rows.next()? else { break };
        let run = RunId(row.get(0)?);
        let payloads: [Option<i64>; 2] = [row.get(1)?, row.get(2)?];
        drop(rows);
        let sql = "SELECT id, input_id, output_id FROM task WHERE run = ?1 ORDER BY scope, slot LIMIT ?2";
        let steps = delete_tasks(conn, sql, run.0, *left)?;
        take(left, steps);
        let mut journal = conn.prepare_cached(
            "DELETE FROM journal WHERE run = ?1 AND seq IN \
             (SELECT seq FROM journal WHERE run = ?1 ORDER BY seq LIMIT ?2)",
        )?;
        let entries = journal.execute((run.0, *left))?;
        take(left, entries);
        if *left > 0 {
            conn.prepare_cached("DELETE FROM run WHERE id = ?1")?.execute([run.0])?;
            ledger::forget_account(conn, &kapelle_core::Account::Run(run))?;
            payloads.into_iter().flatten().try_for_each(|payload| delete_payload(conn, payload))?;
            take(left, 1);
        }
    }
    Ok(())
}

/// Deletes the tasks of a query, with their attempts and payloads.
fn delete_tasks(conn: &Connection, sql: &str, bound: i64, most: u32) -> Sql<usize> {
    let mut query = conn.prepare_cached(sql)?;
    let rows = query.query_map((bound, most), |row| Ok((row.get(0)?, [row.get(1)?, row.get(2)?])))?;
    let found: Vec<(i64, [Option<i64>; 2])> = rows.collect::<Result<_, _>>()?;
    let mut attempts = conn.prepare_cached("DELETE FROM attempt WHERE task = ?1")?;
    let mut task = conn.prepare_cached("DELETE FROM task WHERE id = ?1")?;
    for (id, payloads) in &found {
        attempts.execute([id])?;
        hosted::forget_given(conn, *id)?;
        task.execute([id])?;
        ledger::forget_task(conn, *id)?;
        payloads.iter().flatten().try_for_each(|payload| delete_payload(conn, *payload))?;
    }
    Ok(found.len())
}

/// Deletes a payload without references.
fn delete_payload(conn: &Connection, id: i64) -> Result<(), Trouble> {
    conn.prepare_cached(
        "DELETE FROM payload WHERE id = ?1 \
         AND NOT EXISTS (SELECT 1 FROM task WHERE input_id = ?1) \
         AND NOT EXISTS (SELECT 1 FROM task WHERE output_id = ?1) \
         AND NOT EXISTS (SELECT 1 FROM run WHERE inputs_id = ?1) \
         AND NOT EXISTS (SELECT 1 FROM run WHERE outputs_id = ?1)",
    )?
    .execute([id])?;
    Ok(())
}

fn take(left: &mut u32, deleted: usize) {
    *left = left.saturating_sub(u32::try_from(deleted).unwrap_or(u32::MAX));
}
