//! Held tasks.

use kapelle_core::{
    Name, Requires, TenantId,
    task::{HoldReason, Task},
};
use rusqlite::{Connection, types::ToSql};

use super::{columns::text, fault::Sql, names::Names, task_queries::select};
use crate::contract::{HeldPlace, Lane};

/// Returns the tasks held for a reason, with that key if one is given.
pub(super) fn of(
    conn: &Connection,
    names: &mut Names,
    reason: HoldReason,
    key: Option<&Name>,
    most: u32,
) -> Sql<Vec<Task>> {
    let reason = reason as i64;
    match key {
        None => select(
            conn,
            names,
            "INDEXED BY task_held WHERE state = 4 AND reason = ?1 ORDER BY rank, id LIMIT ?2",
            (reason, most),
        ),
        Some(key) => select(
            conn,
            names,
            "INDEXED BY task_held_key WHERE state = 4 AND reason = ?1 AND key = ?2 ORDER BY rank, id LIMIT ?3",
            (reason, key.as_str(), most),
        ),
    }
}

/// Returns the tasks held for a reason that match the filter. The index returns them in order; others are skipped.
pub(super) fn of_place(
    conn: &Connection,
    names: &mut Names,
    reason: HoldReason,
    place: HeldPlace<'_>,
    most: u32,
) -> Sql<Vec<Task>> {
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(reason as i64), Box::new(most), Box::new(place.tenant.0)];
    let index = if place.key.is_some() { "task_held_key" } else { "task_held" };
    let mut rest = format!("INDEXED BY {index} WHERE state = 4 AND reason = ?1 AND tenant = ?3");
    for (column, name) in [("queue", place.queue), ("worker", place.worker)] {
        let Some(name) = name else { continue };
        let Some(id) = names.find(conn, name)? else { return Ok(Vec::new()) };
        values.push(Box::new(id));
        rest += &format!(" AND {column} = ?{}", values.len());
    }
    if let Some(key) = place.key {
        values.push(Box::new(key.as_str().to_owned()));
        rest += &format!(" AND key = ?{}", values.len());
    }
    rest += " ORDER BY rank, id LIMIT ?2";
    select(conn, names, &rest, rusqlite::params_from_iter(values))
}

/// Returns every lane and key in which tasks are held for a reason.
pub(super) fn lanes(conn: &Connection, names: &mut Names, reason: HoldReason) -> Sql<Vec<(Lane, Option<Name>)>> {
    let mut query = conn.prepare_cached(
        "SELECT DISTINCT tenant, queue, worker, key FROM task INDEXED BY task_held WHERE state = 4 AND reason = ?1",
    )?;
    let mut rows = query.query([reason as i64])?;
    let mut lanes = Vec::new();
    while let Some(row) = rows.next()? {
        let (queue, worker) = (names.name(conn, row.get(1)?)?, names.name(conn, row.get(2)?)?);
        // Required labels do not matter for holds.
        let lane = Lane { tenant: TenantId(row.get(0)?), queue, worker, requires: Requires::default() };
        lanes.push((lane, text(row, 3)?.map(Name::new)));
    }
    lanes.sort_unstable();
    Ok(lanes)
}
