//! Workers that are scripts: how they are doing, started anew, and what they write. They are those of the folder's owner:
//! for other tenants they do not exist.

use std::sync::Arc;

use axum::http::StatusCode;
use kapelle::{
    core::{TenantId, Timestamp},
    engine::command,
    scripts::{
        Fleet,
        fleet::{ProcessStatus, ScriptStatus},
        log::Line,
    },
    supervisor::machine::Exit,
};
use kapelle_api::{self as api, code};
use serde::Deserialize;
use serde_json::json as value;
use tokio::sync::broadcast::error::RecvError;

use crate::{
    app::App,
    call::{Call, ok},
    problem::Problem,
    route::Answer,
    shown, stream,
};

/// Lines that are given when nobody says how many.
const TAIL: usize = 100;
/// Lines that are given at most.
const TAIL_MAX: usize = 1_000;
/// How often a stream shows that it lives.
const SIGN: std::time::Duration = std::time::Duration::from_secs(15);

/// The fleet, for whom it exists.
fn fleet(call: &Call) -> Option<&Fleet> {
    call.app.kapelle.fleet().filter(|_| call.tenant() == TenantId::DEFAULT)
}

/// Why a script has neither processes nor a log: it was not started, or there is none of that id.
fn missing(call: &Call) -> Problem {
    let id = call.param("id");
    let worker = id.split('.').next().unwrap_or(id);
    let idle = |script: &ScriptStatus| script.id == worker && script.standing != "started";
    match fleet(call).and_then(|fleet| fleet.status().into_iter().find(idle)) {
        Some(ScriptStatus { name, why, .. }) => {
            let detail = format!("script {name} was not started, and so there is no process and no log of it: {why}");
            Problem::new(StatusCode::NOT_FOUND, code::NOT_FOUND, detail)
        }
        None => Problem::not_found(id.chars().take(40).collect::<String>()),
    }
}

/// `GET /api/v1/scripts`
pub async fn list(call: Call) -> Answer {
    ok(&api::ScriptList { scripts: fleet(&call).map(|fleet| all(&call.app, fleet)).unwrap_or_default() })
}

/// Every script as it travels.
pub fn all(app: &App, fleet: &Fleet) -> Vec<api::Script> {
    fleet.status().iter().map(|status| script(app, status)).collect()
}

/// Characters of a reason that are written down.
const REASON: usize = 500;

/// Writes down who has scripts changed, in the trail and in the session log, in one commit and before it happens.
async fn write_down(
    call: &Call,
    (action, event): (&str, &str),
    resource: &str,
    more: serde_json::Value,
) -> Result<(), Problem> {
    let mut note = value!({ "event": event, "by": call.who.actor });
    if let (Some(note), serde_json::Value::Object(more)) = (note.as_object_mut(), more) {
        note.extend(more);
    }
    call.app.act(&call.who, action, resource, command::Note { note: Arc::from(note.to_string()) }).await?;
    Ok(())
}

async fn write_restart(call: &Call, whom: &str, why: &str) -> Result<(), Problem> {
    let why: String = why.chars().take(REASON).collect();
    let more = if why.is_empty() { value!({ "worker": whom }) } else { value!({ "worker": whom, "reason": why }) };
    write_down(call, ("script.restart", "worker_restart_asked"), whom, more).await
}

/// `POST /workers/restart/{id}`
pub async fn restart(call: Call) -> Answer {
    let why = call.json::<api::Reason>()?.reason.unwrap_or_default();
    let id = call.param("id");
    let whom = fleet(&call).and_then(|fleet| fleet.name(id)).ok_or_else(|| missing(&call))?;
    write_restart(&call, &whom, &why).await?;
    let done = fleet(&call).is_some_and(|fleet| fleet.restart(id, &why));
    if done { ok(&api::Restarted { restarted: 1 }) } else { Err(missing(&call)) }
}

/// `POST /workers/restart-all`
pub async fn restart_all(call: Call) -> Answer {
    let why = call.json::<api::Reason>()?.reason.unwrap_or_default();
    let Some(fleet) = fleet(&call) else { return ok(&api::Restarted { restarted: 0 }) };
    if !fleet.status().iter().any(|script| script.standing == "started") {
        return ok(&api::Restarted { restarted: 0 });
    }
    write_restart(&call, "all", &why).await?;
    ok(&api::Restarted { restarted: fleet.restart_all(&why) })
}

/// `POST /api/v1/scripts/{id}/scale`
pub async fn scale(call: Call) -> Answer {
    let id = call.param("id");
    let there = fleet(&call).and_then(|fleet| fleet.status().into_iter().find(|script| script.id == id));
    let there = there.ok_or_else(|| missing(&call))?;
    let wanted: api::Scale = call.json()?;
    if !(1..=64).contains(&wanted.instances) {
        return Err(Problem::unprocessable("instances must be between 1 and 64"));
    }
    if there.mode == "task" {
        return Err(Problem::unprocessable("a script of mode `task` has a process for each task: set its slots"));
    }
    let is_started = |fleet: &Fleet| fleet.name(id).is_some();
    if fleet(&call).is_some_and(is_started) {
        let more = value!({ "worker": there.name, "instances": wanted.instances });
        let resource = format!("{} {}", there.name, wanted.instances);
        write_down(&call, ("script.scale", "worker_scale_asked"), &resource, more).await?;
    }
    if !fleet(&call).is_some_and(|fleet| fleet.scale(id, wanted.instances)) {
        return Err(Problem::conflict(format!("{} is not started: {}", there.name, there.why)));
    }
    let now = fleet(&call).and_then(|fleet| fleet.status().into_iter().find(|script| script.id == id));
    ok(&script(&call.app, &now.unwrap_or(there)))
}

/// The query of logs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    tail: Option<usize>,
    follow: Option<bool>,
}

/// `GET /workers/logs/{id}`
pub async fn logs(call: Call) -> Answer {
    let log = fleet(&call).and_then(|fleet| fleet.log(call.param("id"))).ok_or_else(|| missing(&call))?;
    let wanted: Wanted = call.query()?;
    let tail = wanted.tail.unwrap_or(TAIL);
    if tail > TAIL_MAX {
        return Err(Problem::invalid(format!("tail is at most {TAIL_MAX}")));
    }
    let (lines, mut coming) = log.tail(tail);
    if !wanted.follow.unwrap_or(false) {
        return ok(&api::LogLines { lines: lines.iter().map(|line| shown_line(line)).collect() });
    }
    let (sender, response) = stream::events(&call.app, &call.who)?;
    tokio::spawn(async move {
        let event = |line: &Arc<Line>| {
            let body = serde_json::to_value(shown_line(line)).unwrap_or_default();
            stream::event(&line.number.to_string(), "line", &body)
        };
        let work = async {
            for line in &lines {
                if sender.send(event(line)).await.is_err() {
                    return;
                }
            }
            loop {
                let bytes = tokio::select! {
                    line = coming.recv() => match line {
                        Ok(line) => event(&line),
                        // Who reads slower than the script writes is told how much it missed.
                        Err(RecvError::Lagged(missed)) => stream::event("", "missed", &value!({ "lines": missed })),
                        Err(RecvError::Closed) => return,
                    },
                    () = sender.closed() => return,
                    () = tokio::time::sleep(SIGN) => stream::alive(),
                };
                if sender.send(bytes).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stream::over(&call.app, &call.who) => {}
        }
    });
    Ok(response)
}

fn shown_line(line: &Line) -> api::LogLine {
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
        mode: status.mode.to_owned(),
        uses: status.uses.clone(),
        standing: status.standing.to_owned(),
        why: status.why.clone(),
        state: status.state.to_owned(),
        interpreter: status.interpreter.clone(),
        warnings: status.warnings.clone(),
        fallback: status.fallback.clone(),
        processes: status.processes.iter().map(|process| shown_process(app, process)).collect(),
    }
}

fn shown_process(app: &App, status: &ProcessStatus) -> api::ScriptProcess {
    let time = |at: i64| shown::time(Timestamp(at));
    api::ScriptProcess {
        id: status.id.clone(),
        state: status.state.to_owned(),
        pid: status.pid,
        started_at: status.started_at_ms.map(time),
        uptime_ms: status.started_at_ms.map(|at| app.now().since(Timestamp(at)).0),
        next_start: status.next_start_ms.map(time),
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
