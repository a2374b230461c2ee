//! Rows of tasks: writing and reading.

use std::sync::Arc;

use kapelle_core::{
    RunId, TaskError, TaskId, TenantId, Timestamp,
    money::Money,
    run::{ScopeId, Slot},
    task::{HoldReason, Lease, Origin, StateKind, Task, TaskState},
    worker::Provenance,
};
use rusqlite::{CachedStatement, Connection, Row, Statement, params, types::ToSql};

use super::{
    columns::{from_json, must, payload, payload_columns, text, to_json},
    fault::{Sql, Trouble},
    names::Names,
};

/// Columns that [`decode`] reads, in its order.
pub(super) const COLUMNS: &str = "id, tenant, queue, worker, priority, created_at, run, scope, slot, key, \
     state, revision, epoch, failures, crashes, rank, at, reason, needs, waits_for, nonce, host, started_at, \
     ended_at, dead, detail, policy, input_id, input, output_id, output, path";

const INSERT: &str = "INSERT INTO task (id, tenant, queue, worker, priority, created_at, run, scope, slot, key, \
     policy, input_id, input, state, revision, epoch, failures, crashes, rank, at, due_at, reason, needs, waits_for, \
     nonce, host, started_at, ended_at, dead, detail, output_id, output, path, requires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, \
     ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34)";

macro_rules! update {
    ($set:literal, $condition:literal) => {
        concat!(
            "UPDATE task SET state = ?3, revision = ?4, epoch = ?5, failures = ?6, crashes = ?7, rank = ?8, at = ?9, ",
            "due_at = ?10, reason = ?11, needs = ?12, waits_for = ?13, nonce = ?14, host = ?15, started_at = ?16, ",
            "ended_at = ?17, dead = ?18, detail = ?19, output = ?20",
            $set,
            " WHERE id = ?1 AND revision = ?2",
            $condition
        )
    };
}

/// For outputs that have their own row. A column with a reference makes SQLite keep a copy of every page that the
/// statement touches.
const UPDATE: &str = update!(", output_id = ?21", "");
/// For all others: nearly every update.
const UPDATE_PLAIN: &str = update!("", " AND output_id IS NULL");

/// Statements of one turn, prepared once.
pub(super) struct Writer<'c> {
    insert: CachedStatement<'c>,
    update: CachedStatement<'c>,
    update_plain: CachedStatement<'c>,
}

/// Columns that depend on the state.
#[derive(Default)]
struct StateColumns<'a> {
    rank: Option<i64>,
    at: Option<i64>,
    reason: Option<i64>,
    needs: Option<i64>,
    waits_for: Option<String>,
    nonce: Option<i64>,
    host: Option<u32>,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    dead: Option<bool>,
    detail: Option<std::borrow::Cow<'a, str>>,
    output: (Option<i64>, Option<&'a [u8]>),
}

impl<'c> Writer<'c> {
    /// Prepares the statements on that connection.
    pub fn new(conn: &'c Connection) -> Sql<Writer<'c>> {
        Ok(Writer {
            insert: conn.prepare_cached(INSERT)?,
            update: conn.prepare_cached(UPDATE)?,
            update_plain: conn.prepare_cached(UPDATE_PLAIN)?,
        })
    }

    /// Inserts a row.
    pub fn insert(&mut self, conn: &Connection, names: &mut Names, task: &Task) -> Sql<()> {
        let queue = names.id(conn, &task.queue)?;
        let worker = names.id(conn, &task.worker)?;
        let requires = match task.policy.requires.text() {
            Some(labels) => names.id(conn, labels)?,
            None => 0,
        };
        let origin = task.origin.as_ref();
        let (input_id, input) = payload_columns(&task.input);
        let state = state_columns(&task.state)?;
        let policy = names.policy_text(&task.policy)?;
        self.insert.execute(params![
            task.id.0,
            task.tenant.0,
            queue,
            worker,
            task.priority,
            task.created_at.0,
            origin.map(|origin| origin.run.0),
            origin.map(|origin| origin.scope.0),
            origin.map(|origin| origin.slot.0),
            task.key.as_ref().map(|key| key.as_str()),
            policy,
            input_id,
            input,
            task.state.kind() as u8,
            task.revision,
            task.epoch,
            task.failures,
            task.crashes,
            state.rank,
            state.at,
            task.due_at().map(|due| due.0),
            state.reason,
            state.needs,
            state.waits_for,
            state.nonce,
            state.host,
            state.started_at,
            state.ended_at,
            state.dead,
            state.detail,
            state.output.0,
            state.output.1,
            origin.map(|origin| &*origin.path),
            requires,
        ])?;
        Ok(())
    }

    /// Updates a row with the expected revision. Returns false when the revision differs.
    pub fn update(&mut self, task: &Task, expected: u32) -> Sql<bool> {
        let columns = state_columns(&task.state)?;
        if columns.output.0.is_none() {
            bind_update(&mut self.update_plain, task, expected, &columns)?;
            if self.update_plain.raw_execute()? == 1 {
                return Ok(true);
            }
        }
        bind_update(&mut self.update, task, expected, &columns)?;
        self.update.raw_bind_parameter(21, columns.output.0)?;
        Ok(self.update.raw_execute()? == 1)
    }
}

fn bind_update(update: &mut Statement<'_>, task: &Task, expected: u32, columns: &StateColumns<'_>) -> Sql<()> {
    let values: [&dyn ToSql; 20] = [
        &task.id.0,
        &expected,
        &(task.state.kind() as u8),
        &task.revision,
        &task.epoch,
        &task.failures,
        &task.crashes,
        &columns.rank,
        &columns.at,
        &task.due_at().map(|due| due.0),
        &columns.reason,
        &columns.needs,
        &columns.waits_for,
        &columns.nonce,
        &columns.host,
        &columns.started_at,
        &columns.ended_at,
        &columns.dead,
        &columns.detail,
        &columns.output.1,
    ];
    for (at, value) in values.into_iter().enumerate() {
        update.raw_bind_parameter(at + 1, value)?;
    }
    Ok(())
}

fn state_columns(state: &TaskState) -> Sql<StateColumns<'_>> {
    let none = StateColumns::default();
    let error = |error: &Arc<TaskError>| Ok::<_, Trouble>(Some(to_json(&**error)?.into()));
    Ok(match state {
        TaskState::Scheduled { at } => StateColumns { at: Some(at.0), ..none },
        TaskState::Ready { rank } => StateColumns { rank: Some(*rank), ..none },
        TaskState::Running(lease) => StateColumns {
            nonce: Some(lease.nonce.cast_signed()),
            host: Some(lease.host),
            started_at: Some(lease.started_at.0),
            ..none
        },
        TaskState::Retrying { at, error: why } => StateColumns { at: Some(at.0), detail: error(why)?, ..none },
        TaskState::Held { reason, rank } => StateColumns { rank: Some(*rank), reason: Some(*reason as i64), ..none },
        TaskState::Parked { rank, needs } => {
            StateColumns { rank: Some(*rank), needs: Some(needs.0.cast_signed()), ..none }
        }
        TaskState::Waiting(wait) => StateColumns { waits_for: Some(to_json(wait)?), ..none },
        TaskState::Succeeded { output, provenance, started_at, ended_at } => {
            let plain = **provenance == Provenance::default();
            let detail = if plain { None } else { Some(to_json(&**provenance)?.into()) };
            StateColumns {
                started_at: Some(started_at.0),
                ended_at: Some(ended_at.0),
                detail,
                output: payload_columns(output),
                ..none
            }
        }
        TaskState::Failed { error: why, dead, ended_at } => {
            StateColumns { dead: Some(*dead), ended_at: Some(ended_at.0), detail: error(why)?, ..none }
        }
        TaskState::Discarded { error, dead, reason, ended_at, discarded_at } => StateColumns {
            at: Some(discarded_at.0),
            dead: Some(*dead),
            ended_at: Some(ended_at.0),
            detail: Some(to_json(&(&**error, &**reason))?.into()),
            ..none
        },
        TaskState::Cancelled { reason, ended_at } | TaskState::Skipped { reason, ended_at } => {
            StateColumns { ended_at: Some(ended_at.0), detail: Some((&**reason).into()), ..none }
        }
    })
}

/// Reads the task of a row of [`COLUMNS`].
pub(super) fn decode(conn: &Connection, names: &mut Names, row: &Row<'_>) -> Sql<Task> {
    let run: Option<i64> = row.get(6)?;
    let origin = match run {
        Some(run) => Some(Origin {
            run: RunId(run),
            scope: ScopeId(row.get(7)?),
            slot: Slot(row.get(8)?),
            path: Arc::from(text(row, 31)?.unwrap_or_default()),
        }),
        None => None,
    };
    let epoch: u32 = row.get(12)?;
    Ok(Task {
        id: TaskId(row.get(0)?),
        tenant: TenantId(row.get(1)?),
        queue: names.name(conn, row.get(2)?)?,
        worker: names.name(conn, row.get(3)?)?,
        priority: row.get(4)?,
        created_at: Timestamp(row.get(5)?),
        origin,
        key: text(row, 9)?.map(kapelle_core::Name::new),
        state: decode_state(row, epoch)?,
        revision: row.get(11)?,
        epoch,
        failures: row.get(13)?,
        crashes: row.get(14)?,
        policy: names.policy(text(row, 26)?)?,
        input: payload(row, 27, 28)?,
    })
}

fn decode_state(row: &Row<'_>, epoch: u32) -> Sql<TaskState> {
    let number: i64 = row.get(10)?;
    let kind = must(StateKind::from_number(number), "state")?;
    let time = |at: usize, what: &str| -> Sql<Timestamp> { Ok(Timestamp(must(row.get(at)?, what)?)) };
    let rank = || -> Sql<i64> { must(row.get(15)?, "rank") };
    let reason = || -> Sql<Arc<str>> { Ok(Arc::from(must(text(row, 25)?, "reason")?)) };
    let error = || -> Sql<Arc<TaskError>> { Ok(Arc::new(from_json(must(text(row, 25)?, "error")?, "error")?)) };
    Ok(match kind {
        StateKind::Scheduled => TaskState::Scheduled { at: time(16, "time")? },
        StateKind::Ready => TaskState::Ready { rank: rank()? },
        StateKind::Running => TaskState::Running(Lease {
            epoch,
            nonce: must(row.get::<_, Option<i64>>(20)?, "nonce")?.cast_unsigned(),
            host: must(row.get(21)?, "host")?,
            started_at: time(22, "start")?,
        }),
        StateKind::Retrying => TaskState::Retrying { at: time(16, "time")?, error: error()? },
        StateKind::Held => TaskState::Held { reason: hold_reason(row)?, rank: rank()? },
        StateKind::Parked => TaskState::Parked {
            rank: rank()?,
            needs: Money(must(row.get::<_, Option<i64>>(18)?, "amount")?.cast_unsigned()),
        },
        StateKind::Waiting => TaskState::Waiting(from_json(must(text(row, 19)?, "wait")?, "wait")?),
        StateKind::Succeeded => TaskState::Succeeded {
            output: payload(row, 29, 30)?,
            provenance: match text(row, 25)? {
                None => Arc::default(),
                Some(json) => Arc::new(from_json(json, "provenance")?),
            },
            started_at: time(22, "start")?,
            ended_at: time(23, "end")?,
        },
        StateKind::Failed => TaskState::Failed {
            error: error()?,
            dead: must(row.get(24)?, "mark of death")?,
            ended_at: time(23, "end")?,
        },
        StateKind::Cancelled => TaskState::Cancelled { reason: reason()?, ended_at: time(23, "end")? },
        StateKind::Skipped => TaskState::Skipped { reason: reason()?, ended_at: time(23, "end")? },
        StateKind::Discarded => {
            let (error, reason): (TaskError, String) = from_json(must(text(row, 25)?, "error")?, "error")?;
            TaskState::Discarded {
                error: Arc::new(error),
                dead: must(row.get(24)?, "mark of death")?,
                reason: Arc::from(reason),
                ended_at: time(23, "end")?,
                discarded_at: time(16, "time of discarding")?,
            }
        }
    })
}

fn hold_reason(row: &Row<'_>) -> Sql<HoldReason> {
    let number: Option<i64> = row.get(17)?;
    must(HoldReason::ALL.into_iter().find(|reason| Some(*reason as i64) == number), "hold reason")
}
