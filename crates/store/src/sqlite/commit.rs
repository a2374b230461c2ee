//! One turn as one transaction.

use rusqlite::Connection;

use super::{
    access, answer, attempt, audit,
    fault::{Sql, written},
    gate, hosted,
    ids::Ids,
    journal, key, ledger, memo,
    names::Names,
    payload, prune, run, schedule, session, subscription, task, version,
};
use crate::{
    batch::Batch,
    contract::{Commit, Conflicts},
};

/// Runs one of the statements that begin and end a transaction.
pub(super) fn control(conn: &Connection, sql: &str) -> Sql<()> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Rolls back the open transaction, if there still is one: after some faults SQLite has done so itself.
pub(super) fn roll_back(conn: &Connection) -> Sql<()> {
    if conn.is_autocommit() { Ok(()) } else { control(conn, "ROLLBACK") }
}

/// Writes a batch. On any result but [`Commit::Committed`] the transaction may still be open, and the caller rolls it
/// back.
pub(super) fn turn(conn: &Connection, names: &mut Names, ids: &Ids, batch: &Batch<'_>) -> Sql<Commit> {
    control(conn, "BEGIN IMMEDIATE")?;
    let mut conflicts = Conflicts::default();
    ids.save(conn)?;
    write_once(conn, names, batch, &mut conflicts)?;
    write_runs(conn, names, batch, &mut conflicts)?;
    write_tasks(conn, names, batch, &mut conflicts)?;
    write_histories(conn, batch, &mut conflicts)?;
    ledger::write(conn, &batch.ledger, &mut conflicts)?;
    if let Some(conflict) = conflicts.into_commit() {
        return Ok(conflict);
    }
    // Last, so that a row that this turn revives is not expired any more.
    batch.expired.map_or(Ok(()), |retention| prune::delete(conn, retention))?;
    control(conn, "COMMIT")?;
    Ok(Commit::Committed)
}

fn write_once(conn: &Connection, names: &mut Names, batch: &Batch<'_>, conflicts: &mut Conflicts) -> Sql<()> {
    for (id, body) in &batch.payloads {
        conflicts.other |= !written(payload::insert(conn, *id, body))?;
    }
    for row in &batch.versions {
        conflicts.other |= !written(version::insert(conn, names, row))?;
    }
    for id in &batch.deleted_versions {
        conflicts.other |= !version::delete(conn, *id)?;
    }
    for row in &batch.keys {
        conflicts.other |= !key::insert(conn, row)?;
    }
    batch.gates.iter().try_for_each(|row| gate::put(conn, names, row))?;
    batch.answers.iter().try_for_each(|row| answer::put(conn, row))?;
    for row in &batch.access {
        conflicts.other |= !written(access::write(conn, row))?;
    }
    for row in &batch.audit {
        conflicts.other |= !written(audit::insert(conn, row))?;
    }
    batch.host_workers.iter().try_for_each(|row| hosted::serve(conn, row))?;
    batch.given.iter().try_for_each(|row| hosted::give_again(conn, row))?;
    batch.artifacts.iter().try_for_each(|row| hosted::give(conn, row))?;
    for row in &batch.memos {
        conflicts.other |= !memo::write(conn, row)?;
    }
    for row in &batch.schedules {
        conflicts.other |= !schedule::write(conn, row)?;
    }
    for row in &batch.fires {
        conflicts.other |= !schedule::fire(conn, row)?;
    }
    for row in &batch.subscriptions {
        conflicts.other |= !subscription::write(conn, row)?;
    }
    for row in &batch.deliveries {
        conflicts.other |= !subscription::deliver(conn, row)?;
    }
    if let Some(row) = &batch.session {
        conflicts.other |= !written(session::insert(conn, row))?;
    }
    if let Some(seq) = batch.session_written {
        session::written(conn, seq)?;
    }
    Ok(())
}

fn write_runs(conn: &Connection, names: &mut Names, batch: &Batch<'_>, conflicts: &mut Conflicts) -> Sql<()> {
    for write in &batch.runs {
        let done = match write.expected {
            None => written(run::insert(conn, names, write.run))?,
            Some(expected) => run::update(conn, write.run, expected)?,
        };
        if !done {
            conflicts.runs.insert(write.run.id);
        }
    }
    Ok(())
}

fn write_tasks(conn: &Connection, names: &mut Names, batch: &Batch<'_>, conflicts: &mut Conflicts) -> Sql<()> {
    if batch.tasks.is_empty() {
        return Ok(());
    }
    let mut writer = task::Writer::new(conn)?;
    for write in &batch.tasks {
        let task = write.task;
        let done = match write.expected {
            Some(expected) => writer.update(task, expected)?,
            None => {
                let result = writer.insert(conn, names, task);
                if let (Err(trouble), Some(origin)) = (&result, &task.origin)
                    && trouble.is_taken_twice()
                {
                    conflicts.runs.insert(origin.run);
                }
                written(result)?
            }
        };
        if !done {
            conflicts.tasks.insert(task.id);
        }
    }
    Ok(())
}

fn write_histories(conn: &Connection, batch: &Batch<'_>, conflicts: &mut Conflicts) -> Sql<()> {
    for row in &batch.attempts {
        if !written(attempt::insert(conn, row))? {
            conflicts.tasks.insert(row.task);
        }
    }
    for entry in &batch.journal {
        if !written(journal::insert(conn, entry))? {
            conflicts.runs.insert(entry.run);
        }
    }
    Ok(())
}
