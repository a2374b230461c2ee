//! Queries of tasks, on the writing and the reading side.

use std::sync::LazyLock;

use kapelle_core::{
    Requires, RunId, TaskId, TenantId, Timestamp,
    run::StepRow,
    run::{ScopeId, Slot},
    task::{Rank, StateKind, Task},
};
use rusqlite::{Connection, OptionalExtension, Params, Row, types::ToSql};

use super::{
    columns::{from_json, must, text},
    fault::Sql,
    names::Names,
    task::{COLUMNS, decode},
};
use crate::{
    contract::Lane,
    rows::{LaneCount, Page, TaskFilter},
};

/// Returns the tasks of a query: `SELECT <columns> FROM task <rest>`.
pub(super) fn select(conn: &Connection, names: &mut Names, rest: &str, params: impl Params) -> Sql<Vec<Task>> {
    let mut query = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM task {rest}"))?;
    let mut rows = query.query(params)?;
    let mut tasks = Vec::new();
    while let Some(row) = rows.next()? {
        tasks.push(decode(conn, names, row)?);
    }
    Ok(tasks)
}

/// Returns one task, of any tenant.
pub(super) fn one(conn: &Connection, names: &mut Names, id: TaskId) -> Sql<Option<Task>> {
    Ok(select(conn, names, "WHERE id = ?1", [id.0])?.pop())
}

/// Returns one task of a tenant.
pub(super) fn one_of(conn: &Connection, names: &mut Names, tenant: TenantId, id: TaskId) -> Sql<Option<Task>> {
    Ok(select(conn, names, "WHERE id = ?1 AND tenant = ?2", (id.0, tenant.0))?.pop())
}

/// Returns the lanes with ready tasks, each found by a search after the one before. The search goes first with other
/// requirements, then for another worker of its queue, then for another queue, then for another tenant. One comparison
/// of all four would read every task of the lane.
pub(super) fn lanes(conn: &Connection, names: &mut Names) -> Sql<Vec<Lane>> {
    let next = |rest: &str| {
        conn.prepare_cached(&format!(
            "SELECT tenant, queue, worker, requires FROM task INDEXED BY task_open \
             WHERE state = 1 AND state < 10 AND {rest} LIMIT 1"
        ))
    };
    let mut by_labels = next("tenant = ?1 AND queue = ?2 AND worker = ?3 AND requires > ?4 ORDER BY requires")?;
    let mut by_worker = next("tenant = ?1 AND queue = ?2 AND worker > ?3 ORDER BY worker, requires")?;
    let mut by_queue = next("tenant = ?1 AND queue > ?2 ORDER BY queue, worker, requires")?;
    let mut by_tenant = next("tenant > ?1 ORDER BY tenant, queue, worker, requires")?;
    let lane = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let mut lanes = Vec::new();
    let mut last: (u32, i64, i64, i64) = (0, 0, 0, 0);
    loop {
        let mut found = by_labels.query_row(last, lane).optional()?;
        if found.is_none() {
            found = by_worker.query_row((last.0, last.1, last.2), lane).optional()?;
        }
        if found.is_none() {
            found = by_queue.query_row((last.0, last.1), lane).optional()?;
        }
        if found.is_none() {
            found = by_tenant.query_row([last.0], lane).optional()?;
        }
        let Some(found) = found else { break };
        last = found;
        let (tenant, queue, worker, requires) = found;
        lanes.push(Lane {
            tenant: TenantId(tenant),
            queue: names.name(conn, queue)?,
            worker: names.name(conn, worker)?,
            requires: labels(conn, names, requires)?,
        });
    }
    lanes.sort_unstable();
    Ok(lanes)
}

/// Returns the labels behind a number; 0 stands for an empty set.
fn labels(conn: &Connection, names: &mut Names, id: i64) -> Sql<Requires> {
    Ok(if id == 0 { Requires::default() } else { Requires::kept(names.name(conn, id)?) })
}

/// Returns the ready tasks of a lane after a position.
pub(super) fn ready(
    conn: &Connection,
    names: &mut Names,
    lane: &Lane,
    after: Option<(Rank, TaskId)>,
    most: u32,
) -> Sql<Vec<Task>> {
    let (Some(queue), Some(worker)) = (names.find(conn, &lane.queue)?, names.find(conn, &lane.worker)?) else {
        return Ok(Vec::new());
    };
    let requires = match lane.requires.text() {
        None => 0,
        Some(labels) => match names.find(conn, labels)? {
            Some(id) => id,
            None => return Ok(Vec::new()),
        },
    };
    let (rank, id) = after.map_or((i64::MIN, i64::MIN), |(rank, id)| (rank, id.0));
    select(
        conn,
        names,
        "INDEXED BY task_open WHERE state = 1 AND state < 10 AND tenant = ?1 AND queue = ?2 AND worker = ?3 \
         AND requires = ?7 AND (rank, id) > (?4, ?5) ORDER BY rank, id LIMIT ?6",
        (lane.tenant.0, queue, worker, rank, id, most, requires),
    )
}

/// Returns the steps of a run that are held because it was paused.
pub(super) fn held_steps(conn: &Connection, names: &mut Names, run: RunId, most: u32) -> Sql<Vec<Task>> {
    let rest = "INDEXED BY task_held_run WHERE run = ?1 AND state = 4 AND reason = 3 ORDER BY id LIMIT ?2";
    select(conn, names, rest, (run.0, most))
}

/// Returns the step at a position of a run.
pub(super) fn step(conn: &Connection, names: &mut Names, run: RunId, scope: ScopeId, slot: Slot) -> Sql<Option<Task>> {
    Ok(select(conn, names, "WHERE run = ?1 AND scope = ?2 AND slot = ?3", (run.0, scope.0, slot.0))?.pop())
}

/// Returns the rows in one scope of a run after a slot.
pub(super) fn scope(
    conn: &Connection,
    names: &mut Names,
    (run, scope): (RunId, ScopeId),
    after: Option<Slot>,
    most: u32,
) -> Sql<Vec<Task>> {
    let after = after.map_or(-1, |slot| i64::from(slot.0));
    let rest = "WHERE run = ?1 AND scope = ?2 AND slot > ?3 ORDER BY slot LIMIT ?4";
    select(conn, names, rest, (run.0, scope.0, after, most))
}

/// Returns the due tasks.
pub(super) fn due(conn: &Connection, now: Timestamp, most: u32) -> Sql<Vec<TaskId>> {
    ids(conn, "SELECT id FROM task WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?2", (now.0, most))
}

/// Returns the next due time of a task.
pub(super) fn next_due(conn: &Connection) -> Sql<Option<Timestamp>> {
    let mut query = conn.prepare_cached("SELECT due_at FROM task WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1")?;
    Ok(query.query_row([], |row| row.get(0)).optional()?.map(Timestamp))
}

/// Returns running tasks after an id. There are at most as many as slots, so sorting them costs little.
pub(super) fn running(conn: &Connection, names: &mut Names, after: TaskId, most: u32) -> Sql<Vec<Task>> {
    select(
        conn,
        names,
        "WHERE id IN (SELECT id FROM task INDEXED BY task_open WHERE state = 2 AND state < 10 AND id > ?1 \
         ORDER BY id LIMIT ?2) ORDER BY id",
        (after.0, most),
    )
}

/// Returns parked tasks after an id.
pub(super) fn parked(conn: &Connection, names: &mut Names, after: TaskId, most: u32) -> Sql<Vec<Task>> {
    select(
        conn,
        names,
        "WHERE id IN (SELECT id FROM task INDEXED BY task_open WHERE state = 5 AND state < 10 AND id > ?1 \
         ORDER BY id LIMIT ?2) ORDER BY id",
        (after.0, most),
    )
}

/// Returns the rows of a run's steps, reduced to what recovery needs.
pub(super) fn step_rows(conn: &Connection, run: RunId) -> Sql<Vec<StepRow>> {
    let mut query =
        conn.prepare_cached("SELECT scope, slot, id, state, waits_for FROM task WHERE run = ?1 ORDER BY scope, slot")?;
    let mut rows = query.query([run.0])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        let state = must(StateKind::from_number(row.get(3)?), "state")?;
        let (scope, slot) = (ScopeId(row.get(0)?), Slot(row.get(1)?));
        let wait = match text(row, 4)? {
            None => None,
            Some(json) => Some(from_json(json, "wait")?),
        };
        let (opened, signal) = crate::rows::waited(wait.as_ref().filter(|_| state == StateKind::Waiting));
        steps.push(StepRow { scope, slot, task: TaskId(row.get(2)?), state, opened, signal });
    }
    Ok(steps)
}

/// Returns the steps of a run after an id. The ids come from the index alone, so that a page of a large run stays
/// cheap.
pub(super) fn steps(conn: &Connection, names: &mut Names, run: RunId, after: TaskId, most: u32) -> Sql<Vec<Task>> {
    select(
        conn,
        names,
        "WHERE id IN (SELECT id FROM task WHERE run = ?1 AND id > ?2 ORDER BY id LIMIT ?3) ORDER BY id",
        (run.0, after.0, most),
    )
}

/// Returns tasks of a tenant, newest first.
pub(super) fn page(
    conn: &Connection,
    names: &mut Names,
    tenant: TenantId,
    filter: &TaskFilter,
    page: Page,
) -> Sql<Vec<Task>> {
    let before = page.before.unwrap_or(i64::MAX);
    let mut rest = String::from("WHERE tenant = ?1 AND id < ?2");
    let most = page.most.min(1_000);
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(tenant.0), Box::new(before), Box::new(most)];
    if let Some(run) = filter.run {
        values.push(Box::new(run.0));
        rest += &format!(" AND run = ?{}", values.len());
    } else if !filter.steps {
        rest += " AND run IS NULL";
    }
    for (comparison, at) in [(">=", filter.since), ("<", filter.until)] {
        let Some(at) = at else { continue };
        values.push(Box::new(at.0));
        rest += &format!(" AND created_at {comparison} ?{}", values.len());
    }
    let state = if filter.dead { Some(StateKind::Failed) } else { filter.state };
    if filter.dead && filter.state.is_some_and(|state| state != StateKind::Failed) {
        return Ok(Vec::new());
    }
    if let Some(state) = state {
        // The number is written out and its range repeated, so that the partial indexes can be used.
        let range = match state {
            StateKind::Succeeded => "",
            state if state.is_terminal() => " AND state > 10",
            _ => " AND state < 10",
        };
        rest += &format!(" AND state = {}{range}", state as u8);
    }
    if filter.dead {
        rest += " AND dead = 1";
    }
    for (column, name) in [("queue", &filter.queue), ("worker", &filter.worker)] {
        let Some(name) = name else { continue };
        let Some(id) = names.find(conn, name)? else { return Ok(Vec::new()) };
        values.push(Box::new(id));
        rest += &format!(" AND {column} = ?{}", values.len());
    }
    rest += " ORDER BY id DESC LIMIT ?3";
    select(conn, names, &rest, rusqlite::params_from_iter(values))
}

/// Counts of one statement, so that they are those of one moment. Each state has a part of its own: its rows come in the
/// order of the index and need no sorting, which took two thirds of the time.
static OPEN_COUNTS: LazyLock<String> = LazyLock::new(|| {
    let open = StateKind::ALL.into_iter().filter(|state| !state.is_terminal()).map(|state| state as u8);
    let parts = open.map(|state| {
        format!(
            "SELECT {state} AS state, queue, worker, count(*) AS tasks, requires, min(id) AS oldest \
             FROM task INDEXED BY task_open WHERE state = {state} AND state < 10 AND tenant = ?1 \
             GROUP BY queue, worker, requires"
        )
    });
    let parts = parts.collect::<Vec<_>>().join(" UNION ALL ");
    format!(
        "SELECT state, queue, worker, tasks, requires, (SELECT created_at FROM task WHERE id = oldest) FROM ({parts})"
    )
});

/// Counts open tasks, by lane and state. Reads the index, and one row for each lane and state.
pub(super) fn open_counts(conn: &Connection, names: &mut Names, tenant: TenantId) -> Sql<Vec<LaneCount>> {
    let mut query = conn.prepare_cached(&OPEN_COUNTS)?;
    let mut rows = query.query([tenant.0])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        counts.push(LaneCount {
            queue: names.name(conn, row.get(1)?)?,
            worker: names.name(conn, row.get(2)?)?,
            requires: labels(conn, names, row.get(4)?)?,
            state: must(StateKind::from_number(row.get(0)?), "state")?,
            tasks: row.get::<_, i64>(3)?.cast_unsigned(),
            oldest: Timestamp(row.get(5)?),
        });
    }
    let place = |count: &LaneCount| (count.queue.clone(), count.worker.clone(), count.requires.clone(), count.state);
    counts.sort_by_cached_key(place);
    Ok(counts)
}

/// Returns the tenants that have open tasks, by a search in the index for each state and tenant.
pub(super) fn busy_tenants(conn: &Connection) -> Sql<Vec<TenantId>> {
    let mut next = conn.prepare_cached(
        "SELECT tenant FROM task INDEXED BY task_open WHERE state = ?1 AND state < 10 AND tenant > ?2 \
         ORDER BY tenant LIMIT 1",
    )?;
    let mut tenants = std::collections::BTreeSet::new();
    for state in StateKind::ALL.into_iter().filter(|state| !state.is_terminal()) {
        let mut last = 0_u32;
        while let Some(tenant) = next.query_row((state as u8, last), |row| row.get(0)).optional()? {
            tenants.insert(TenantId(tenant));
            last = tenant;
        }
    }
    Ok(tenants.into_iter().collect())
}

/// Returns the first column of a query.
pub(super) fn ids(conn: &Connection, sql: &str, params: impl Params) -> Sql<Vec<TaskId>> {
    let mut query = conn.prepare_cached(sql)?;
    let rows = query.query_map(params, |row| row.get(0).map(TaskId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
