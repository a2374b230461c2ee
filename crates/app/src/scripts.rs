//! Workers that are scripts: their state, restarts and logs. They belong to the folder's owner: for other tenants they
//! do not exist.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use kapelle_api::{self as api, LiveEvent, LiveKind, code};
use kapelle_core::{Name, TaskId, TenantId, Timestamp};
use kapelle_engine::command;
use kapelle_scripts::{
    Fleet,
    fleet::{ProcessStatus, ScriptStatus},
    log::Line,
};
use kapelle_supervisor::machine::Exit;
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    events::Hub,
    to_api,
};

/// Default number of lines.
const TAIL: usize = 100;
/// The most lines.
const TAIL_MAX: usize = 1_000;
/// Time after the end of a task in which its lines may still arrive, in milliseconds.
const LATE_MS: i64 = 250;
/// Characters of a reason that are recorded.
const REASON: usize = 500;
/// The most processes of a script.
const INSTANCES_MAX: u32 = 64;

impl App {
    /// Returns the fleet, for callers that may see it.
    fn fleet_of(&self, by: &Caller) -> Option<&Fleet> {
        self.fleet().filter(|_| by.tenant == TenantId::DEFAULT)
    }

    /// Returns why a script has neither processes nor a log: it was not started, or the id is unknown.
    fn missing_script(&self, by: &Caller, id: &str) -> AppError {
        let worker = id.split('.').next().unwrap_or(id);
        let idle = |script: &ScriptStatus| script.id == worker && script.standing != "started";
        match self.fleet_of(by).and_then(|fleet| fleet.status().into_iter().find(idle)) {
            Some(ScriptStatus { name, why, .. }) => {
                let message = format!("script {name} was not started and has neither a process nor a log: {why}");
                AppError::new(code::NOT_FOUND, message)
            }
            None => AppError::not_found(id.chars().take(40).collect::<String>()),
        }
    }

    /// Returns why a script that serves a worker cannot work now; `None` when it can, or the worker is not a script.
    pub(crate) fn script_holds_up(&self, tenant: TenantId, worker: &Name) -> Option<String> {
        self.fleet().and_then(|fleet| fleet.holds_up(tenant, worker.as_str()))
    }

    /// Every script, for the owner of the folder.
    pub(crate) fn all_scripts(&self, tenant: TenantId) -> Vec<api::Script> {
        let fleet = self.fleet().filter(|_| tenant == TenantId::DEFAULT);
        fleet.map(|fleet| all(self, fleet)).unwrap_or_default()
    }

    /// Returns the number of scripts in each state; `None` where scripts are not supervised.
    pub(crate) fn script_counts(&self) -> Option<Value> {
        self.fleet().map(|fleet| serde_json::to_value(fleet.counts()).unwrap_or_default())
    }

    /// Counts the processes of scripts by state, and their restarts by script.
    pub(crate) fn measured_scripts(&self) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        let (mut states, mut restarts) = (BTreeMap::new(), BTreeMap::new());
        for script in self.fleet().map(Fleet::status).unwrap_or_default() {
            for process in &script.processes {
                *states.entry(process.state.to_owned()).or_default() += 1;
                *restarts.entry(script.name.clone()).or_default() += process.restarts;
            }
        }
        (states, restarts)
    }

    /// Publishes events of scripts to listeners from now on.
    pub fn tell_of_scripts(&self, fleet: &kapelle_scripts::Fleet) {
        let (hub, changes) = (Arc::clone(&self.memory.hub), Arc::clone(&self.memory.changes));
        let mut events = fleet.watch();
        drop(tokio::spawn(async move {
            loop {
                match events.recv().await {
                    Ok(event) => {
                        if let Some(body) = script_event(&event) {
                            changes.event(TenantId::DEFAULT, &body);
                            hub.script_event(body);
                        }
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        }));
    }

    /// Returns the scripts of the folder of workers, by file.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn scripts(&self, by: &Caller) -> Result<api::ScriptList, AppError> {
        by.allow(Permission::Read)?;
        let described = self.described_scripts(by.tenant).await;
        Ok(api::ScriptList { scripts: described.unwrap_or_else(|| self.all_scripts(by.tenant)) })
    }

    /// Records the person who has scripts changed, in the trail and in the session log, in one commit and before the
    /// change.
    async fn write_down(
        &self,
        by: &Caller,
        (action, event): (&str, &str),
        resource: &str,
        more: Value,
    ) -> Result<(), AppError> {
        let mut note = json!({ "event": event, "by": by.actor });
        if let (Some(note), Value::Object(more)) = (note.as_object_mut(), more) {
            note.extend(more);
        }
        self.act(by, action, resource, command::Note { note: Arc::from(note.to_string()) }).await?;
        Ok(())
    }

    async fn write_restart(&self, by: &Caller, whom: &str, why: &str) -> Result<(), AppError> {
        let why: String = why.chars().take(REASON).collect();
        let more = if why.is_empty() { json!({ "worker": whom }) } else { json!({ "worker": whom, "reason": why }) };
        self.write_down(by, ("script.restart", "worker_restart_asked"), whom, more).await
    }

    /// Restarts a script, or one of its processes.
    ///
    /// # Errors
    /// When the script does not exist or is not started.
    pub async fn restart_script(&self, by: &Caller, id: &str, given: api::Reason) -> Result<api::Restarted, AppError> {
        by.allow(Permission::Operate)?;
        let why = given.reason.unwrap_or_default();
        let whom = self.fleet_of(by).and_then(|fleet| fleet.name(id)).ok_or_else(|| self.missing_script(by, id))?;
        self.write_restart(by, &whom, &why).await?;
        let done = self.fleet_of(by).is_some_and(|fleet| fleet.restart(id, &why));
        if done { Ok(api::Restarted { restarted: 1 }) } else { Err(self.missing_script(by, id)) }
    }

    /// Restarts every script that is started.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn restart_scripts(&self, by: &Caller, given: api::Reason) -> Result<api::Restarted, AppError> {
        by.allow(Permission::Operate)?;
        let why = given.reason.unwrap_or_default();
        let Some(fleet) = self.fleet_of(by) else { return Ok(api::Restarted { restarted: 0 }) };
        if !fleet.status().iter().any(|script| script.standing == "started") {
            return Ok(api::Restarted { restarted: 0 });
        }
        self.write_restart(by, "all", &why).await?;
        Ok(api::Restarted { restarted: fleet.restart_all(&why) })
    }

    /// Refuses a script that the caller does not have.
    ///
    /// # Errors
    /// When there is no such script.
    pub fn has_script(&self, by: &Caller, id: &str) -> Result<(), AppError> {
        let there = self.fleet_of(by).is_some_and(|fleet| fleet.status().iter().any(|script| script.id == id));
        if there { Ok(()) } else { Err(self.missing_script(by, id)) }
    }

    /// Changes the number of processes of a script.
    ///
    /// # Errors
    /// When the script does not exist or is not started, or the number is invalid for it.
    pub async fn scale_script(&self, by: &Caller, id: &str, wanted: api::Scale) -> Result<api::Script, AppError> {
        by.allow(Permission::Operate)?;
        let find = || self.fleet_of(by).and_then(|fleet| fleet.status().into_iter().find(|script| script.id == id));
        let there = find().ok_or_else(|| self.missing_script(by, id))?;
        if !(1..=INSTANCES_MAX).contains(&wanted.instances) {
            return Err(AppError::unprocessable(format!("instances must be between 1 and {INSTANCES_MAX}")));
        }
        if there.mode == "task" {
            let message = "a script of mode `task` has a process for each task: set its slots";
            return Err(AppError::unprocessable(message));
        }
        if self.fleet_of(by).is_some_and(|fleet| fleet.name(id).is_some()) {
            let more = json!({ "worker": there.name, "instances": wanted.instances });
            let resource = format!("{} {}", there.name, wanted.instances);
            self.write_down(by, ("script.scale", "worker_scale_asked"), &resource, more).await?;
        }
        if !self.fleet_of(by).is_some_and(|fleet| fleet.scale(id, wanted.instances)) {
            return Err(AppError::conflict(format!("{} is not started: {}", there.name, there.why)));
        }
        Ok(script(self, &find().unwrap_or(there)))
    }

    /// The last lines of a script, oldest first.
    ///
    /// # Errors
    /// As [`App::script_logs`].
    pub fn script_tail(&self, by: &Caller, id: &str, tail: Option<usize>) -> Result<api::LogLines, AppError> {
        if self.rest.is_some() {
            by.allow(Permission::Read)?;
            return self.lines_of_file(id.split('.').next().unwrap_or(id), tail.unwrap_or(TAIL).min(TAIL_MAX));
        }
        Ok(self.script_logs(by, id, tail)?.0)
    }

    /// Returns lines of a script among those that are kept, oldest first: the last ones before a number, with a text.
    ///
    /// # Errors
    /// As [`App::script_logs`].
    pub fn script_lines(&self, by: &Caller, id: &str, given: &api::LogQuery) -> Result<api::LogLines, AppError> {
        let wanted = given.tail.unwrap_or(TAIL);
        if wanted > TAIL_MAX {
            return Err(AppError::parameter("tail", format!("{wanted} lines; expected at most {TAIL_MAX}")));
        }
        let mut lines = self.script_logs(by, id, Some(TAIL_MAX))?.0.lines;
        let text = given.q.as_deref().unwrap_or_default().to_lowercase();
        lines.retain(|line| {
            given.before.is_none_or(|before| line.number < before) && line.text.to_lowercase().contains(&text)
        });
        lines.drain(..lines.len().saturating_sub(wanted));
        Ok(api::LogLines { lines })
    }

    /// Returns the lines that the script of a task's worker wrote while the task was worked on, among those that are kept.
    /// A script that works on several tasks at once mixes their lines. Other workers have no lines.
    ///
    /// # Errors
    /// When the tenant has no such task.
    pub fn task_lines(&self, by: &Caller, id: TaskId) -> Result<api::LogLines, AppError> {
        by.allow(Permission::Read)?;
        let task = to_api::single_task(self, &*self.one_task(by.tenant, id)?)?;
        let script = self.all_scripts(by.tenant).into_iter().find(|script| script.name == task.worker);
        let (Some(script), Some(from)) =
            (script, task.attempts.first().map(|first| first.started_at.clone()).or(task.started_at))
        else {
            return Ok(api::LogLines { lines: Vec::new() });
        };
        let Ok((mut found, _)) = self.script_logs(by, &script.id, Some(TAIL_MAX)) else {
            return Ok(api::LogLines { lines: Vec::new() });
        };
        let within = |line: &api::LogLine| {
            let at = millis(&line.at);
            at >= millis(&from) && task.ended_at.as_deref().is_none_or(|end| at <= millis(end) + LATE_MS)
        };
        found.lines.retain(within);
        Ok(found)
    }

    /// Returns the last lines of a script, oldest first, and those to come.
    ///
    /// # Errors
    /// When it has no log, or more lines are requested than are kept.
    pub fn script_logs(
        &self,
        by: &Caller,
        id: &str,
        tail: Option<usize>,
    ) -> Result<(api::LogLines, broadcast::Receiver<Arc<Line>>), AppError> {
        by.allow(Permission::Read)?;
        let log = self.fleet_of(by).and_then(|fleet| fleet.log(id)).ok_or_else(|| self.missing_script(by, id))?;
        let tail = tail.unwrap_or(TAIL);
        if tail > TAIL_MAX {
            return Err(AppError::invalid(format!("tail is at most {TAIL_MAX}")));
        }
        let (lines, coming) = log.tail(tail);
        Ok((api::LogLines { lines: lines.iter().map(|line| line_of(line)).collect() }, coming))
    }
}

impl Hub {
    /// Publishes an event of a script, which belongs to the folder's owner.
    fn script_event(&self, body: LiveEvent) {
        if self.active.load(Ordering::Acquire) {
            self.publish(TenantId::DEFAULT, body);
        }
    }
}

/// Returns a time of the API in milliseconds; 0 for another text.
fn millis(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond)
}

/// Converts an event of a script; `None` for one that is not shown.
fn script_event(event: &kapelle_scripts::FleetEvent) -> Option<LiveEvent> {
    let kind = LiveKind::from_word(&format!("worker_{}", event.what))?;
    Some(LiveEvent {
        id: Some(event.id.clone()),
        worker: Some(event.worker.clone()),
        instance: event.instance,
        detail: Some(event.detail.clone()),
        at: Some(to_api::time(Timestamp(event.at_ms))),
        ..LiveEvent::of(kind)
    })
}

/// Converts every script for the API.
fn all(app: &App, fleet: &Fleet) -> Vec<api::Script> {
    fleet.status().iter().map(|status| script(app, status)).collect()
}

fn process_state(word: &str) -> api::ProcessState {
    api::ProcessState::from_word(word).unwrap_or(api::ProcessState::Absent)
}

/// Converts a line of a log for the API.
#[must_use]
pub fn line_of(line: &Line) -> api::LogLine {
    api::LogLine {
        number: line.number,
        at: line.at.clone(),
        instance: line.instance,
        stream: line.stream.as_str().to_owned(),
        text: line.text.clone(),
    }
}

fn script(app: &App, status: &ScriptStatus) -> api::Script {
    api::Script {
        id: status.id.clone(),
        name: status.name.clone(),
        file: status.file.clone(),
        kind: status.kind.to_owned(),
        mode: api::ScriptMode::from_word(status.mode).unwrap_or(api::ScriptMode::Task),
        uses: status.uses.clone(),
        standing: api::ScriptStanding::from_word(status.standing).unwrap_or(api::ScriptStanding::CannotStart),
        why: status.why.clone(),
        state: process_state(status.state),
        interpreter: status.interpreter.clone(),
        warnings: status.warnings.clone(),
        fallback: status.fallback.clone(),
        schedule: status.schedule.clone(),
        max_cost_nanousd: status.max_cost.map(|cost| cost.0),
        processes: status.processes.iter().map(|process| shown_process(app, process)).collect(),
    }
}

fn shown_process(app: &App, status: &ProcessStatus) -> api::ScriptProcess {
    let time = |at: i64| to_api::time(Timestamp(at));
    api::ScriptProcess {
        id: status.id.clone(),
        state: process_state(status.state),
        pid: status.pid,
        started_at: status.started_at_ms.map(time),
        uptime_ms: status.started_at_ms.map(|at| app.now().since(Timestamp(at)).0),
        next_start: status.next_start_ms.map(time),
        runs: status.runs,
        parked: status.parked.clone(),
        restarts: status.restarts,
        failures: status.failures,
        last_exit: status.last_exit.as_ref().map(|exit| shown_exit(exit, status.last_exit_ms.map(time))),
    }
}

fn shown_exit(exit: &Exit, at: Option<String>) -> api::ScriptExit {
    api::ScriptExit {
        reason: exit.to_string(),
        kind: exit.word().to_owned(),
        code: exit.code,
        signal: exit.signal,
        swept: exit.swept,
        at,
    }
}
