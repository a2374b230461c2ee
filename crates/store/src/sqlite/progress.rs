//! Queries of the progress of runs.

use std::sync::Arc;

use kapelle_core::{
    RunId, TaskId, TenantId,
    run::{ScopeId, Slot},
    task::{Rank, StateKind, Task},
};
use rusqlite::Connection;

use super::{
    columns::{must, text},
    fault::Sql,
    names::Names,
    task_queries::select,
};
use crate::{
    contract::Lane,
    progress::{Attention, Replays, StepProgress, StepTotals},
};

/// Returns the rows of a run's steps, by scope and slot; of one scope if it is named.
pub(super) fn steps(conn: &Connection, run: RunId, scope: Option<ScopeId>) -> Sql<Vec<StepProgress>> {
    let mut sql = "SELECT scope, slot, id, state, path FROM task INDEXED BY task_step WHERE run = ?1".to_owned();
    if scope.is_some() {
        sql += " AND scope = ?2";
    }
    let mut query = conn.prepare_cached(&(sql + " ORDER BY scope, slot"))?;
    let mut rows = match scope {
        None => query.query([run.0])?,
        Some(scope) => query.query((run.0, scope.0))?,
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(StepProgress {
            scope: ScopeId(row.get(0)?),
            slot: Slot(row.get(1)?),
            task: TaskId(row.get(2)?),
            state: must(StateKind::from_number(row.get(3)?), "state")?,
            path: Arc::from(text(row, 4)?.unwrap_or_default()),
        });
    }
    Ok(found)
}

/// Returns the step at a path of a run.
pub(super) fn at_path(conn: &Connection, names: &mut Names, run: RunId, path: &str) -> Sql<Option<Task>> {
    Ok(select(conn, names, "WHERE run = ?1 AND path = ?2 ORDER BY id DESC LIMIT 1", (run.0, path))?.pop())
}

/// Counts the steps of a run, the first `most` of them. Only of a task that succeeded is the detail JSON.
pub(super) fn totals(conn: &Connection, run: RunId, most: u32) -> Sql<StepTotals> {
    let mut query = conn.prepare_cached(
        "SELECT state, count(*), total(CASE WHEN state = 10 AND detail IS NOT NULL \
         THEN json_extract(detail, '$.degraded') IS NOT NULL ELSE 0 END) \
         FROM (SELECT state, detail FROM task INDEXED BY task_step WHERE run = ?1 LIMIT ?2) GROUP BY state ORDER BY state",
    )?;
    let mut rows = query.query((run.0, most))?;
    let mut totals = StepTotals::default();
    let mut counted = 0;
    while let Some(row) = rows.next()? {
        let (state, count): (i64, i64) = (row.get(0)?, row.get(1)?);
        totals.states.push((must(StateKind::from_number(state), "state")?, count.cast_unsigned()));
        totals.degraded += row.get::<_, f64>(2)? as u64;
        counted += count.cast_unsigned();
    }
    totals.more = counted >= u64::from(most);
    Ok(totals)
}

/// Counts the calls of tasks that an earlier attempt or another task had paid for.
pub(super) fn replayed(conn: &Connection, of: Replays) -> Sql<u64> {
    let (tasks, id, most) = match of {
        Replays::Task(task) => ("SELECT id, epoch FROM task WHERE id = ?1 LIMIT ?2", task.0, 1),
        Replays::Run(run, most) => {
            ("SELECT id, epoch FROM task INDEXED BY task_step WHERE run = ?1 LIMIT ?2", run.0, most)
        }
    };
    let sql = format!(
        "SELECT count(*) FROM ({tasks}) AS task CROSS JOIN model_call AS call ON call.task = task.id \
         WHERE call.state = 4 OR (call.answer_id IS NOT NULL AND call.attempt < task.epoch \
         AND call.epoch = (SELECT max(newer.epoch) FROM model_call AS newer WHERE newer.task = task.id))"
    );
    let mut query = conn.prepare_cached(&sql)?;
    Ok(query.query_row((id, most), |row| row.get::<_, i64>(0))?.cast_unsigned())
}

/// Returns the runs that a run started, by id.
pub(super) fn children(conn: &Connection, tenant: TenantId, run: RunId, most: u32) -> Sql<Vec<RunId>> {
    let mut query = conn.prepare_cached(
        "SELECT id FROM run WHERE extra IS NOT NULL AND json_extract(extra, '$.parent.run') = ?1 AND tenant = ?2 \
         ORDER BY id LIMIT ?3",
    )?;
    let rows = query.query_map((run.0, tenant.0, most), |row| row.get(0).map(RunId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns those of the newest tasks that are of a tenant and succeeded. The inner limit bounds the work, whatever
/// share of the tasks the tenant has.
pub(super) fn newest_successes(
    conn: &Connection,
    names: &mut Names,
    tenant: TenantId,
    before: Option<TaskId>,
    looked_at: u32,
) -> Sql<Vec<Task>> {
    let rest = "WHERE id IN (SELECT id FROM (SELECT id, tenant, state FROM task WHERE id < ?1 ORDER BY id DESC LIMIT ?2) \
                WHERE tenant = ?3 AND state = 10) ORDER BY id DESC";
    select(conn, names, rest, (before.map_or(i64::MAX, |task| task.0), looked_at, tenant.0))
}

/// Counts the ready tasks of a lane before a position, at most `most`.
pub(super) fn ahead(
    conn: &Connection,
    names: &mut Names,
    lane: &Lane,
    (rank, id): (Rank, TaskId),
    most: u32,
) -> Sql<u32> {
    let (Some(queue), Some(worker)) = (names.find(conn, &lane.queue)?, names.find(conn, &lane.worker)?) else {
        return Ok(0);
    };
    let requires = match lane.requires.text() {
        None => Some(0),
        Some(labels) => names.find(conn, labels)?,
    };
    let Some(requires) = requires else { return Ok(0) };
    let mut query = conn.prepare_cached(
        "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_open WHERE state = 1 AND state < 10 AND tenant = ?1 \
         AND queue = ?2 AND worker = ?3 AND requires = ?4 AND (rank, id) < (?5, ?6) LIMIT ?7)",
    )?;
    Ok(query.query_row((lane.tenant.0, queue, worker, requires, rank, id.0, most), |row| row.get(0))?)
}

/// Counts what people look after.
pub(super) fn attention(conn: &Connection, tenant: TenantId, most: u32) -> Sql<Attention> {
    let mut runs = conn.prepare_cached(
        "SELECT count(*), total(extra IS NOT NULL AND json_extract(extra, '$.paused') IS NOT NULL) \
         FROM run INDEXED BY run_open WHERE status < 10 AND tenant = ?1",
    )?;
    let (open_runs, paused_runs) =
        runs.query_row([tenant.0], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, f64>(1)? as u64)))?;
    let count = |sql: &str| -> Sql<u64> {
        let mut query = conn.prepare_cached(sql)?;
        Ok(query.query_row((tenant.0, most), |row| row.get::<_, f64>(0))? as u64)
    };
    let dead = count(
        "SELECT total(run IS NULL) FROM (SELECT run FROM task INDEXED BY task_unsuccessful \
         WHERE tenant = ?1 AND state = 11 AND state > 10 LIMIT ?2)",
    )?;
    let approvals = count(
        "SELECT total(waits_for LIKE '{\"approval\"%') FROM (SELECT waits_for FROM task INDEXED BY task_open \
         WHERE state = 6 AND state < 10 AND tenant = ?1 LIMIT ?2)",
    )?;
    Ok(Attention { open_runs, paused_runs, dead, approvals })
}
