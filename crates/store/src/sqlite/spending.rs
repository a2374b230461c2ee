//! Spending by hour and by day.

use kapelle_core::{Money, TenantId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::fault::Sql;
use crate::spending::{Fold, Span, Spend, SpendFilter, SpendKey, SpendRow, Sums};

/// Writes what the calls of one turn add. Part of a transaction. A sum stays at the largest number of its column.
pub(super) fn write(added: Sums, conn: &Connection) -> Sql<()> {
    if added.0.is_empty() {
        return Ok(());
    }
    let mut put = conn.prepare_cached(
        "INSERT INTO spend (span, tenant, start, worker, queue, key, provider, model, \
         spent, unknown, calls, given, input, output) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT DO UPDATE SET \
         spent = iif(spent > 9223372036854775807 - ?9, 9223372036854775807, spent + ?9), \
         unknown = iif(unknown > 9223372036854775807 - ?10, 9223372036854775807, unknown + ?10), \
         calls = calls + ?11, given = given + ?12, \
         input = iif(input > 9223372036854775807 - ?13, 9223372036854775807, input + ?13), \
         output = iif(output > 9223372036854775807 - ?14, 9223372036854775807, output + ?14)",
    )?;
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    for (key, sums) in added.0 {
        put.execute(params![
            key.span as u8,
            key.tenant.0,
            key.start,
            key.worker,
            key.queue,
            key.key,
            key.provider,
            key.model,
            signed(sums.spent.0),
            signed(sums.unknown.0),
            signed(sums.calls),
            signed(sums.given),
            signed(sums.input),
            signed(sums.output)
        ])?;
    }
    Ok(())
}

/// Returns sums of a tenant by time and name.
pub(super) fn read(conn: &Connection, tenant: TenantId, filter: &SpendFilter) -> Sql<Vec<SpendRow>> {
    let mut query = conn.prepare_cached(
        "SELECT start, worker, queue, key, provider, model, spent, unknown, calls, given, input, output FROM spend \
         WHERE span = ?1 AND tenant = ?2 AND start >= ?3 AND start < ?4 \
         AND (?5 IS NULL OR worker = ?5) AND (?6 IS NULL OR model = ?6)",
    )?;
    let span = filter.span;
    let mut rows = query.query(params![span as u8, tenant.0, filter.from, filter.to, filter.worker, filter.model])?;
    let mut fold = Fold::new(filter);
    while let Some(row) = rows.next()? {
        let key = SpendKey {
            span,
            tenant,
            start: row.get(0)?,
            worker: row.get(1)?,
            queue: row.get(2)?,
            key: row.get(3)?,
            provider: row.get(4)?,
            model: row.get(5)?,
        };
        fold.add(&key, &sums(row)?);
    }
    Ok(fold.rows())
}

fn sums(row: &Row<'_>) -> Sql<Spend> {
    let count = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
    Ok(Spend {
        spent: Money(count(6)?),
        unknown: Money(count(7)?),
        calls: count(8)?,
        given: count(9)?,
        input: count(10)?,
        output: count(11)?,
    })
}

/// Deletes sums of old hours. Returns their number.
pub(super) fn prune(conn: &Connection, now: Timestamp, most: u32) -> Sql<usize> {
    let mut delete = conn.prepare_cached(
        "DELETE FROM spend WHERE (span, tenant, start, worker, queue, key, provider, model) IN \
         (SELECT span, tenant, start, worker, queue, key, provider, model FROM spend INDEXED BY spend_hours \
          WHERE span = 0 AND start < ?1 \
          ORDER BY start, tenant, worker, queue, key, provider, model LIMIT ?2)",
    )?;
    Ok(delete.execute((Span::first_hour(now), most))?)
}
