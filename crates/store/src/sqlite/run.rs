//! The rows of runs.

use std::sync::Arc;

use kapelle_core::{
    RunId, TaskId, TenantId, Timestamp,
    run::{Run, RunStatus, StatusKind},
};
use rusqlite::{Connection, Params, Row, params, types::ToSql};

use super::{
    columns::{from_json, must, payload, payload_columns, text, to_json},
    fault::Sql,
    names::Names,
};
use crate::rows::{Page, RunFilter, RunRow};

const COLUMNS: &str = "id, tenant, workflow, version, created_at, status, seq, revision, stopped_by, ended_at, detail, \
     inputs_id, inputs, outputs_id, outputs, strategy";

const INSERT: &str = "INSERT INTO run (id, tenant, workflow, version, created_at, status, seq, revision, stopped_by, \
     ended_at, detail, inputs_id, inputs, outputs_id, outputs, strategy) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

const UPDATE: &str = "UPDATE run SET created_at = ?3, status = ?4, seq = ?5, revision = ?6, stopped_by = ?7, \
     ended_at = ?8, detail = ?9, outputs_id = ?10, outputs = ?11 WHERE id = ?1 AND revision = ?2";

type Outputs<'a> = (Option<i64>, Option<&'a [u8]>);

fn detail(status: &RunStatus) -> Sql<(Option<String>, Outputs<'_>)> {
    Ok(match status {
        RunStatus::Running => (None, (None, None)),
        RunStatus::Cancelling { reason } | RunStatus::Cancelled { reason, .. } => {
            (Some(reason.to_string()), (None, None))
        }
        RunStatus::Failed { error, .. } => (Some(to_json(&**error)?), (None, None)),
        RunStatus::Succeeded { outputs, .. } => (None, payload_columns(outputs)),
    })
}

/// A new row. Part of a transaction.
pub(super) fn insert(conn: &Connection, names: &mut Names, run: &Run) -> Sql<()> {
    let (detail, outputs) = detail(&run.status)?;
    let inputs = payload_columns(&run.inputs);
    let workflow = names.id(conn, &run.workflow)?;
    conn.prepare_cached(INSERT)?.execute(params![
        run.id.0,
        run.tenant.0,
        workflow,
        run.version,
        run.created_at.0,
        run.status.kind() as u8,
        run.seq.cast_signed(),
        run.revision,
        run.stopped_by.map(|task| task.0),
        run.status.ended_at().map(|at| at.0),
        detail,
        inputs.0,
        inputs.1,
        outputs.0,
        outputs.1,
        to_json(&run.strategy)?,
    ])?;
    Ok(())
}

/// The new state of a row that has the expected revision; whether it had. Part of a transaction.
pub(super) fn update(conn: &Connection, run: &Run, expected: u32) -> Sql<bool> {
    let (detail, outputs) = detail(&run.status)?;
    let changed = conn.prepare_cached(UPDATE)?.execute(params![
        run.id.0,
        expected,
        run.created_at.0,
        run.status.kind() as u8,
        run.seq.cast_signed(),
        run.revision,
        run.stopped_by.map(|task| task.0),
        run.status.ended_at().map(|at| at.0),
        detail,
        outputs.0,
        outputs.1,
    ])?;
    Ok(changed == 1)
}

fn decode(conn: &Connection, names: &mut Names, row: &Row<'_>) -> Sql<RunRow> {
    let kind = must(StatusKind::from_number(row.get(5)?), "status")?;
    let ended_at = || -> Sql<Timestamp> { Ok(Timestamp(must(row.get(9)?, "end")?)) };
    let reason = || -> Sql<Arc<str>> { Ok(Arc::from(must(text(row, 10)?, "reason")?)) };
    let status = match kind {
        StatusKind::Running => RunStatus::Running,
        StatusKind::Cancelling => RunStatus::Cancelling { reason: reason()? },
        StatusKind::Cancelled => RunStatus::Cancelled { reason: reason()?, ended_at: ended_at()? },
        StatusKind::Succeeded => RunStatus::Succeeded { outputs: payload(row, 13, 14)?, ended_at: ended_at()? },
        StatusKind::Failed => {
            let error = Arc::new(from_json(must(text(row, 10)?, "error")?, "error")?);
            RunStatus::Failed { error, ended_at: ended_at()? }
        }
    };
    Ok(RunRow {
        id: RunId(row.get(0)?),
        tenant: TenantId(row.get(1)?),
        workflow: names.name(conn, row.get(2)?)?,
        version: row.get(3)?,
        strategy: from_json(must(text(row, 15)?, "strategy")?, "strategy")?,
        inputs: payload(row, 11, 12)?,
        created_at: Timestamp(row.get(4)?),
        status,
        stopped_by: row.get::<_, Option<i64>>(8)?.map(TaskId),
        seq: row.get::<_, i64>(6)?.cast_unsigned(),
        revision: row.get(7)?,
    })
}

fn select(conn: &Connection, names: &mut Names, rest: &str, params: impl Params) -> Sql<Vec<RunRow>> {
    let mut query = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM run {rest}"))?;
    let mut rows = query.query(params)?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(decode(conn, names, row)?);
    }
    Ok(runs)
}

/// One run, of any tenant.
pub(super) fn one(conn: &Connection, names: &mut Names, id: RunId) -> Sql<Option<RunRow>> {
    Ok(select(conn, names, "WHERE id = ?1", [id.0])?.pop())
}

/// One run of a tenant.
pub(super) fn one_of(conn: &Connection, names: &mut Names, tenant: TenantId, id: RunId) -> Sql<Option<RunRow>> {
    Ok(select(conn, names, "WHERE id = ?1 AND tenant = ?2", (id.0, tenant.0))?.pop())
}

/// The runs behind an id that have not ended.
pub(super) fn open(conn: &Connection, after: RunId, most: u32) -> Sql<Vec<RunId>> {
    let mut query = conn
        .prepare_cached("SELECT id FROM run INDEXED BY run_open WHERE status < 10 AND id > ?1 ORDER BY id LIMIT ?2")?;
    let rows = query.query_map((after.0, most), |row| row.get(0).map(RunId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Runs of a tenant, newest first.
pub(super) fn page(
    conn: &Connection,
    names: &mut Names,
    tenant: TenantId,
    filter: &RunFilter,
    page: Page,
) -> Sql<Vec<RunRow>> {
    let before = page.before.unwrap_or(i64::MAX);
    let most = page.most.min(1_000);
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(tenant.0), Box::new(before), Box::new(most)];
    let mut rest = String::from("WHERE tenant = ?1 AND id < ?2");
    if filter.open {
        rest += " AND status < 10";
    }
    if let Some(workflow) = &filter.workflow {
        let Some(id) = names.find(conn, workflow)? else { return Ok(Vec::new()) };
        values.push(Box::new(id));
        rest += " AND workflow = ?4";
    }
    rest += " ORDER BY id DESC LIMIT ?3";
    select(conn, names, &rest, rusqlite::params_from_iter(values))
}
