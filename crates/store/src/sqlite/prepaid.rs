//! Prepaid amounts: money reserved for calls yet to be made.

use kapelle_core::{CallId, Money, RunId, TaskId, TenantId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::{
    columns,
    fault::{Sql, Trouble, written},
};
use crate::{
    contract::Conflicts,
    ledger::{PrepaidRow, PrepaidWrite},
};

/// Writes the prepaid amounts of a turn. Part of a transaction.
pub(super) fn write(conn: &Connection, writes: &[PrepaidWrite], conflicts: &mut Conflicts) -> Sql<()> {
    for write in writes {
        match write {
            PrepaidWrite::Drawn(row) => conflicts.other |= !insert(conn, row)?,
            PrepaidWrite::Gone(id) => {
                conn.prepare_cached("DELETE FROM block WHERE id = ?1")?.execute([id.0])?;
            }
        }
    }
    Ok(())
}

fn insert(conn: &Connection, row: &PrepaidRow) -> Sql<bool> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO block (id, tenant, task, attempt, run, epoch, payer, amount, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let done = insert.execute(params![
        row.id.0,
        row.tenant.0,
        row.task.map(|task| task.0),
        row.attempt,
        row.run.map(|run| run.0),
        i64::try_from(row.epoch).unwrap_or(i64::MAX),
        columns::to_json(&row.payer)?,
        i64::try_from(row.amount.0).unwrap_or(i64::MAX),
        row.at.0
    ]);
    written(done.map(drop).map_err(Trouble::from))
}

fn block_row(row: &Row<'_>) -> Sql<PrepaidRow> {
    Ok(PrepaidRow {
        id: CallId(row.get(0)?),
        tenant: TenantId(row.get(1)?),
        task: row.get::<_, Option<i64>>(2)?.map(TaskId),
        attempt: row.get(3)?,
        run: row.get::<_, Option<i64>>(4)?.map(RunId),
        epoch: row.get::<_, i64>(5)?.cast_unsigned(),
        payer: columns::from_json(columns::must(columns::text(row, 6)?, "payer")?, "payer")?,
        amount: Money(row.get::<_, i64>(7)?.cast_unsigned()),
        at: Timestamp(row.get(8)?),
    })
}

/// Returns the prepaid amounts after an id.
pub(super) fn after(conn: &Connection, after: CallId, most: u32) -> Sql<Vec<PrepaidRow>> {
    let mut query = conn.prepare_cached(
        "SELECT id, tenant, task, attempt, run, epoch, payer, amount, at FROM block WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut rows = query.query((after.0, most))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(block_row(row)?);
    }
    Ok(found)
}
