//! The rows of runs.

use std::sync::Arc;

use kapelle_core::{
    Name, Payload, PayloadId, RunId, TaskError, TaskId, TenantId, Timestamp,
    run::{Parent, Rerun, Run, RunStatus, StatusKind},
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params, types::ToSql};
use serde::{Deserialize, Serialize};

use super::{
    columns::{from_json, must, payload, payload_columns, text, to_json},
    fault::Sql,
    names::Names,
};
use crate::rows::{Page, RunFilter, RunRow};

const COLUMNS: &str = "id, tenant, workflow, version, created_at, status, seq, revision, stopped_by, ended_at, detail, \
     inputs_id, inputs, outputs_id, outputs, strategy, due_at, extra";

const INSERT: &str = "INSERT INTO run (id, tenant, workflow, version, created_at, status, seq, revision, stopped_by, \
     ended_at, detail, inputs_id, inputs, outputs_id, outputs, strategy, due_at, extra) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

const UPDATE: &str = "UPDATE run SET created_at = ?3, status = ?4, seq = ?5, revision = ?6, stopped_by = ?7, \
     ended_at = ?8, detail = ?9, outputs_id = ?10, outputs = ?11, due_at = ?12, extra = ?13 WHERE id = ?1 AND revision = ?2";

/// Fields that few runs have, as one JSON column.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Extra {
    /// Time of the pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Timestamp>,
    /// Time since which it only waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_paused: Option<Timestamp>,
    /// Time at which its limit would be reached, while its clock is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Timestamp>,
    /// Whether it was cancelled twice.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hard: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Parent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun: Option<Rerun>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mailbox: Vec<(Name, Kept)>,
}

/// Payload of a signal that no step has taken yet.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    None,
    Inline(String),
    Row(PayloadId),
}

impl Kept {
    fn of(payload: &Payload) -> Kept {
        match payload {
            Payload::None => Kept::None,
            Payload::Inline(bytes) => Kept::Inline(String::from_utf8_lossy(bytes).into_owned()),
            Payload::Row(id) => Kept::Row(*id),
        }
    }

    fn payload(self) -> Payload {
        match self {
            Kept::None => Payload::None,
            Kept::Inline(text) => Payload::Inline(Arc::from(text.into_bytes())),
            Kept::Row(id) => Payload::Row(id),
        }
    }
}

impl Extra {
    fn of(run: &Run) -> Extra {
        Extra {
            paused: run.paused,
            clock_paused: run.clock_paused,
            due: run.due_at.filter(|_| run.stands_still()),
            hard: matches!(run.status, RunStatus::Cancelling { hard: true, .. }),
            parent: run.parent,
            started_by: run.started_by.as_deref().map(str::to_owned),
            rerun: run.rerun.clone(),
            mailbox: run.mailbox.iter().map(|(name, payload)| (name.clone(), Kept::of(payload))).collect(),
        }
    }

    /// Formats the column; empty for most runs.
    fn text(&self) -> Sql<Option<String>> {
        let plain = self.paused.is_none()
            && self.clock_paused.is_none()
            && !self.hard
            && self.parent.is_none()
            && self.started_by.is_none()
            && self.rerun.is_none()
            && self.mailbox.is_empty();
        if plain { Ok(None) } else { to_json(self).map(Some) }
    }
}

/// Returns the time of the limit. Only an open run whose clock runs can reach its limit.
fn due_at(run: &Run) -> Option<i64> {
    run.due_at.filter(|_| !run.stands_still() && !run.status.kind().is_terminal()).map(|at| at.0)
}

/// Returns the runs whose limit is reached.
pub(super) fn due(conn: &Connection, now: Timestamp, most: u32) -> Sql<Vec<RunId>> {
    let mut query = conn.prepare_cached("SELECT id FROM run WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?2")?;
    let rows = query.query_map((now.0, most), |row| row.get(0).map(RunId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns the next time at which a run reaches its limit.
pub(super) fn next_due(conn: &Connection) -> Sql<Option<Timestamp>> {
    let mut query = conn.prepare_cached("SELECT due_at FROM run WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1")?;
    Ok(query.query_row([], |row| row.get(0)).optional()?.map(Timestamp))
}

type Outputs<'a> = (Option<i64>, Option<&'a [u8]>);

fn detail(status: &RunStatus) -> Sql<(Option<String>, Outputs<'_>)> {
    Ok(match status {
        RunStatus::Running => (None, (None, None)),
        RunStatus::Cancelling { reason, .. } | RunStatus::Cancelled { reason, .. } => {
            (Some(reason.to_string()), (None, None))
        }
        RunStatus::Failed { error, .. } | RunStatus::Failing { error } => (Some(to_json(&**error)?), (None, None)),
        RunStatus::Succeeded { outputs, .. } => (None, payload_columns(outputs)),
    })
}

/// Inserts a row. Part of a transaction.
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
        run.failed_by().map(|task| task.0),
        run.status.ended_at().map(|at| at.0),
        detail,
        inputs.0,
        inputs.1,
        outputs.0,
        outputs.1,
        to_json(&run.strategy)?,
        due_at(run),
        Extra::of(run).text()?,
    ])?;
    Ok(())
}

/// Updates a row with the expected revision. Returns false when the revision differs. Part of a transaction.
pub(super) fn update(conn: &Connection, run: &Run, expected: u32) -> Sql<bool> {
    let (detail, outputs) = detail(&run.status)?;
    let changed = conn.prepare_cached(UPDATE)?.execute(params![
        run.id.0,
        expected,
        run.created_at.0,
        run.status.kind() as u8,
        run.seq.cast_signed(),
        run.revision,
        run.failed_by().map(|task| task.0),
        run.status.ended_at().map(|at| at.0),
        detail,
        outputs.0,
        outputs.1,
        due_at(run),
        Extra::of(run).text()?,
    ])?;
    Ok(changed == 1)
}

fn decode(conn: &Connection, names: &mut Names, row: &Row<'_>) -> Sql<RunRow> {
    let kind = must(StatusKind::from_number(row.get(5)?), "status")?;
    let ended_at = || -> Sql<Timestamp> { Ok(Timestamp(must(row.get(9)?, "end")?)) };
    let reason = || -> Sql<Arc<str>> { Ok(Arc::from(must(text(row, 10)?, "reason")?)) };
    let error = || -> Sql<Arc<TaskError>> { Ok(Arc::new(from_json(must(text(row, 10)?, "error")?, "error")?)) };
    let extra: Extra = text(row, 17)?.map_or(Ok(Extra::default()), |json| from_json(json, "run"))?;
    let status = match kind {
        StatusKind::Running => RunStatus::Running,
        StatusKind::Cancelling => RunStatus::Cancelling { reason: reason()?, hard: extra.hard },
        StatusKind::Failing => RunStatus::Failing { error: error()? },
        StatusKind::Cancelled => RunStatus::Cancelled { reason: reason()?, ended_at: ended_at()? },
        StatusKind::Succeeded => RunStatus::Succeeded { outputs: payload(row, 13, 14)?, ended_at: ended_at()? },
        StatusKind::Failed => RunStatus::Failed { error: error()?, ended_at: ended_at()? },
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
        due_at: row.get::<_, Option<i64>>(16)?.map(Timestamp).or(extra.due),
        paused: extra.paused,
        clock_paused: extra.clock_paused,
        parent: extra.parent,
        started_by: extra.started_by.map(Arc::from),
        mailbox: extra.mailbox.into_iter().map(|(name, kept)| (name, kept.payload())).collect(),
        rerun: extra.rerun,
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

/// Returns one run, of any tenant.
pub(super) fn one(conn: &Connection, names: &mut Names, id: RunId) -> Sql<Option<RunRow>> {
    Ok(select(conn, names, "WHERE id = ?1", [id.0])?.pop())
}

/// Returns one run of a tenant.
pub(super) fn one_of(conn: &Connection, names: &mut Names, tenant: TenantId, id: RunId) -> Sql<Option<RunRow>> {
    Ok(select(conn, names, "WHERE id = ?1 AND tenant = ?2", (id.0, tenant.0))?.pop())
}

/// Returns open runs after an id.
pub(super) fn open(conn: &Connection, after: RunId, most: u32) -> Sql<Vec<RunId>> {
    let mut query = conn
        .prepare_cached("SELECT id FROM run INDEXED BY run_open WHERE status < 10 AND id > ?1 ORDER BY id LIMIT ?2")?;
    let rows = query.query_map((after.0, most), |row| row.get(0).map(RunId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns runs of a tenant, newest first.
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
    if !filter.states.is_empty() {
        let numbers: Vec<String> = filter.states.iter().map(|state| (*state as u8).to_string()).collect();
        rest += &format!(" AND status IN ({})", numbers.join(", "));
    }
    for (comparison, at) in [(">=", filter.since), ("<", filter.until)] {
        let Some(at) = at else { continue };
        values.push(Box::new(at.0));
        rest += &format!(" AND created_at {comparison} ?{}", values.len());
    }
    rest += " ORDER BY id DESC LIMIT ?3";
    select(conn, names, &rest, rusqlite::params_from_iter(values))
}

/// Counts the open runs.
pub(super) fn open_count(conn: &Connection) -> Sql<u64> {
    let mut query = conn.prepare_cached("SELECT count(*) FROM run INDEXED BY run_open WHERE status < 10")?;
    Ok(query.query_row([], |row| row.get::<_, i64>(0))?.cast_unsigned())
}
