//! The outbox: deliveries of what happened in a turn, in its commit. Without subscriptions it costs nothing.

use std::sync::Arc;

use kapelle_core::{
    Money, Name, TaskError, TenantId, Timestamp,
    run::{Run, RunStatus},
    schedule::{FireOutcome, Open},
    subscription::{EventKind, Occurrence, number},
    task::{Task, TaskState, WaitFor},
};
use kapelle_store::{DeliveryRow, DeliveryState, DeliveryWrite, FireRow, IdKind, StoreError};
use serde_json::{Value, json};

use super::{effect::Effect, notice::Notice, rows::Rows, state::LoopState};

/// Adds the deliveries of what happened in the turn, and wakes the sender when there is something to send.
pub(super) fn keep(state: &mut LoopState) -> Result<(), StoreError> {
    if !state.subscriptions.is_empty() {
        for told in occurrences(state) {
            let event = told.event(state.rows.now);
            let wants = |known: &&super::subscriptions::Known| {
                let wanted = known.filter.as_ref().is_some_and(|filter| filter.wants(told.kind) && filter.fits(&event));
                wanted && known.row.state.disabled.is_none()
            };
            let names: Vec<Name> =
                state.subscriptions.of(told.tenant).filter(wants).map(|known| known.row.name.clone()).collect();
            if !names.is_empty() {
                add(&mut state.rows, &told, &names)?;
            }
        }
    }
    let cache = &state.rows.cache;
    if !cache.deliveries.is_empty() || !cache.subscriptions.is_empty() {
        state.rows.effects.push(Effect::Tell(Notice::Deliveries));
    }
    Ok(())
}

/// Draws ids of deliveries and returns the first.
pub(super) fn fresh_id(rows: &mut Rows, count: usize) -> Result<i64, StoreError> {
    rows.store.ids(IdKind::Delivery, u32::try_from(count).unwrap_or(u32::MAX))
}

/// Adds one event for several subscriptions, and returns the id of the first delivery, which numbers the event.
pub(super) fn add(rows: &mut Rows, told: &Occurrence, names: &[Name]) -> Result<i64, StoreError> {
    let first = fresh_id(rows, names.len())?;
    let mut event = told.event(rows.now);
    number(&mut event, first);
    let (event, subject): (Arc<str>, Arc<str>) = (event.to_string().into(), told.subject.as_str().into());
    for (id, name) in (first..).zip(names) {
        let row = DeliveryRow {
            id,
            tenant: told.tenant,
            subscription: name.clone(),
            event_id: first,
            kind: told.kind.as_str().into(),
            subject: Arc::clone(&subject),
            event: Arc::clone(&event),
            created_at: rows.now,
            state: DeliveryState::Pending,
            attempts: 0,
            next_at: rows.now,
            ended_at: None,
            status: None,
            error: None,
            revision: 0,
        };
        rows.cache.deliveries.push(DeliveryWrite { row, expected: None });
    }
    Ok(first)
}

/// Makes a delivery one that was not sent yet.
pub(super) fn pending(row: DeliveryRow, now: Timestamp) -> DeliveryRow {
    let (state, attempts, next_at, ended_at) = (DeliveryState::Pending, 0, now, None);
    let (status, error, revision) = (None, None, 0);
    DeliveryRow { created_at: now, state, attempts, next_at, ended_at, status, error, revision, ..row }
}

/// Events of a turn that anybody wants.
struct Wanted<'a> {
    state: &'a LoopState,
    told: Vec<Occurrence>,
}

impl Wanted<'_> {
    /// Adds an event when a subscription of the tenant has its kind.
    fn tell(&mut self, tenant: TenantId, kind: EventKind, event: impl FnOnce() -> (String, Value)) {
        let mut all = self.state.subscriptions.of(tenant);
        if all.any(|known| known.filter.as_ref().is_some_and(|filter| filter.wants(kind))) {
            let (subject, data) = event();
            self.told.push(Occurrence { tenant, kind, subject, data });
        }
    }

    fn tell_notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Parked { tenant, task, needs } => {
                let Some(task) = self.state.rows.cache.task(*task) else { return };
                self.tell(*tenant, EventKind::TaskParked, || (task.id.to_string(), parked(task, *needs)));
                if let Some(origin) = &task.origin {
                    self.tell(*tenant, EventKind::RunParked, || (origin.run.to_string(), parked(task, *needs)));
                }
            }
            Notice::BudgetLow { tenant, account, limit, spent } => {
                let account = account.written();
                let data = json!({ "account": account, "limit_nanousd": limit.0, "spent_nanousd": spent.0 });
                self.tell(*tenant, EventKind::BudgetThreshold, || (account, data));
            }
            _ => {}
        }
    }
}

/// Returns what happened in the turn that anybody wants to know, in one order on every replay.
fn occurrences(state: &LoopState) -> Vec<Occurrence> {
    let mut wanted = Wanted { state, told: Vec::new() };
    let cache = &state.rows.cache;
    let mut tasks: Vec<_> = cache.changed_tasks.values().collect();
    tasks.sort_unstable_by_key(|changed| changed.row.id);
    for changed in tasks {
        let task = &changed.row;
        for kind in kinds_of_task(task, changed.expected.is_none()) {
            wanted.tell(task.tenant, kind, || (task.id.to_string(), of_task(task)));
        }
    }
    for effect in &state.rows.effects {
        if let Effect::Tell(notice) = effect {
            wanted.tell_notice(notice);
        }
    }
    for note in &state.scratch.notes {
        let Some((kind, data)) = of_script(note) else { continue };
        // Scripts belong to the tenant of the folder.
        wanted.tell(TenantId::DEFAULT, kind, || (data["worker"].as_str().unwrap_or_default().to_owned(), data.clone()));
    }
    let mut runs: Vec<&Run> = cache.changed_runs.values().map(|changed| &changed.row).collect();
    runs.sort_unstable_by_key(|run| run.id);
    for run in runs {
        let Some(kind) = kind_of_run(run) else { continue };
        wanted.tell(run.tenant, kind, || (run.id.to_string(), of_run(run)));
    }
    for fire in &cache.fires {
        let Some(kind) = kind_of_fire(fire) else { continue };
        wanted.tell(fire.tenant, kind, || (fire.schedule.to_string(), of_fire(fire)));
    }
    for known in &state.scratch.told {
        wanted.tell(known.tenant, known.kind, || (known.subject.clone(), known.data.clone()));
    }
    wanted.told
}

fn kinds_of_task(task: &Task, is_new: bool) -> impl Iterator<Item = EventKind> {
    let (kind, dead) = match &task.state {
        TaskState::Succeeded { .. } => (Some(EventKind::TaskSucceeded), false),
        TaskState::Failed { dead, .. } => (Some(EventKind::TaskFailed), *dead),
        TaskState::Cancelled { .. } => (Some(EventKind::TaskCancelled), false),
        // The row of a step is made when its wait begins.
        TaskState::Waiting(WaitFor::Approval { .. }) if is_new => (Some(EventKind::ApprovalRequested), false),
        _ => (None, false),
    };
    kind.into_iter().chain(dead.then_some(EventKind::TaskDead))
}

fn of_task(task: &Task) -> Value {
    let mut data = json!({
        "task": task.id.to_string(),
        "worker": task.worker.as_str(),
        "queue": task.queue.as_str(),
        "state": task.state.kind().as_str(),
        "attempt": task.epoch,
        "created_at": time(task.created_at),
    });
    if let Some(origin) = &task.origin {
        (data["run"], data["step"]) = (json!(origin.run.to_string()), json!(&*origin.path));
    }
    if let Some(at) = task.ended_at() {
        data["ended_at"] = time(at);
    }
    match &task.state {
        TaskState::Succeeded { provenance, started_at, ended_at, .. } => {
            data["took_ms"] = json!(ended_at.since(*started_at).0);
            data["cost_nanousd"] = json!(provenance.cost.0);
            data["degraded"] = json!(provenance.degraded.is_some());
        }
        TaskState::Failed { error: given, dead, .. } => {
            (data["error"], data["cost_nanousd"]) = (error(given), json!(given.cost.0));
            data["dead"] = json!(dead);
        }
        TaskState::Cancelled { reason, .. } => data["reason"] = json!(&**reason),
        TaskState::Waiting(wait) => data["until"] = wait.until().map_or(Value::Null, time),
        _ => {}
    }
    data
}

fn parked(task: &Task, needs: Money) -> Value {
    let mut data = of_task(task);
    data["needs_nanousd"] = json!(needs.0);
    data
}

/// Reads the note of the session log about a script whose process failed.
fn of_script(note: &str) -> Option<(EventKind, Value)> {
    if !note.contains("\"worker_crashed\"") && !note.contains("\"worker_waiting\"") {
        return None;
    }
    let note: Value = serde_json::from_str(note).ok()?;
    let kind = match note["event"].as_str()? {
        "worker_crashed" => EventKind::ScriptGivenUp,
        // A wait without an exit, or after a success, is for a time of its schedule.
        "worker_waiting" if note["exit"].is_object() && note["exit"]["code"] != 0 => EventKind::ScriptCrashed,
        _ => return None,
    };
    let fields = ["worker", "id", "instance", "exit", "detail"];
    let kept = fields.iter().filter(|field| !note[**field].is_null());
    Some((kind, kept.map(|field| ((*field).to_owned(), note[*field].clone())).collect()))
}

fn kind_of_run(run: &Run) -> Option<EventKind> {
    match &run.status {
        RunStatus::Succeeded { .. } => Some(EventKind::RunSucceeded),
        RunStatus::Failed { .. } => Some(EventKind::RunFailed),
        RunStatus::Cancelled { .. } => Some(EventKind::RunCancelled),
        _ => None,
    }
}

fn of_run(run: &Run) -> Value {
    let mut data = json!({
        "run": run.id.to_string(),
        "workflow": run.workflow.as_str(),
        "state": run.status.kind().as_str(),
        "created_at": time(run.created_at),
    });
    if let Some(at) = run.status.ended_at() {
        data["ended_at"] = time(at);
        data["took_ms"] = json!(at.since(run.created_at).0);
    }
    match &run.status {
        RunStatus::Failed { error: given, .. } => data["error"] = error(given),
        RunStatus::Cancelled { reason, .. } => data["reason"] = json!(&**reason),
        _ => {}
    }
    data
}

fn kind_of_fire(fire: &FireRow) -> Option<EventKind> {
    match &fire.outcome {
        FireOutcome::Started(_) => Some(EventKind::ScheduleFired),
        FireOutcome::Queued(_) => None,
        _ => Some(EventKind::ScheduleMissed),
    }
}

fn of_fire(fire: &FireRow) -> Value {
    let mut data = json!({ "schedule": fire.schedule.as_str(), "scheduled_at": time(fire.scheduled) });
    let state = match &fire.outcome {
        FireOutcome::Started(open) => {
            match open {
                Open::Run(id) => data["run"] = json!(id.to_string()),
                Open::Task(id) => data["task"] = json!(id.to_string()),
            }
            "started"
        }
        FireOutcome::Queued(_) => "queued",
        FireOutcome::Overlapped(_) | FireOutcome::QueueFull => "overlapped",
        FireOutcome::Missed(times) | FireOutcome::Paused(times) => {
            data["times"] = json!(times.count);
            if matches!(fire.outcome, FireOutcome::Paused(_)) { "paused" } else { "missed" }
        }
        FireOutcome::Refused(why) => {
            data["reason"] = json!(&**why);
            "refused"
        }
    };
    data["state"] = json!(state);
    data
}

fn error(error: &TaskError) -> Value {
    json!({ "category": error.category.as_str(), "message": error.message })
}

fn time(at: Timestamp) -> Value {
    json!(at.rfc3339())
}
