//! Scripts for display: from the server that supervises them, or from their files.

use kapelle::{
    Kapelle,
    core::Timestamp,
    scripts::{fleet::ScriptStatus, scan::takers},
};
use kapelle_api as api;

use crate::{
    app::App,
    commands::supervise,
    failure::{Code, Failure},
    out::{Tone, paint},
    settings::Settings,
    shown,
};

/// A line of the table.
pub struct Row {
    name: String,
    state: String,
    mode: String,
    pids: Vec<String>,
    runs: u64,
    restarts: u64,
    file: String,
    about: String,
}

impl Row {
    /// Makes the row of a script that this process supervises.
    pub fn of(script: &ScriptStatus) -> Row {
        let last = script.processes.iter().filter_map(|process| process.last_exit.as_ref()).next_back();
        let next = script.processes.iter().find_map(|process| process.next_start_ms);
        let parked = script.processes.iter().find_map(|process| process.parked.as_ref());
        Row {
            name: script.name.clone(),
            state: if script.standing == "started" { script.state } else { script.standing }.to_owned(),
            mode: script.mode.to_owned(),
            pids: script.processes.iter().filter_map(|process| Some(process.pid?.to_string())).collect(),
            runs: script.processes.iter().map(|process| process.runs).sum(),
            restarts: script.processes.iter().map(|process| process.restarts).sum(),
            file: script.file.clone(),
            about: about(
                (script.standing == "started", &script.uses, &script.why),
                parked.cloned().or_else(|| last.and_then(|exit| last_end(&exit.to_string()))),
                next.map(|at| shown::time(Timestamp(at))),
                (script.fallback.as_deref(), &script.warnings),
            ),
        }
    }

    /// Adds a note to the row.
    #[must_use]
    pub fn with_note(mut self, note: Option<&str>) -> Row {
        let parts = [self.about.as_str(), note.unwrap_or_default()];
        self.about = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        self
    }

    /// Makes the row of a script that a server supervises.
    pub fn of_server(script: &api::Script) -> Row {
        let last = script.processes.iter().filter_map(|process| process.last_exit.as_ref()).next_back();
        let started = script.standing == api::ScriptStanding::Started;
        let parked = script.processes.iter().find_map(|process| process.parked.as_ref());
        Row {
            name: script.name.clone(),
            state: if started { script.state.to_string() } else { script.standing.to_string() },
            mode: script.mode.to_string(),
            pids: script.processes.iter().filter_map(|process| Some(process.pid?.to_string())).collect(),
            runs: script.processes.iter().map(|process| process.runs).sum(),
            restarts: script.processes.iter().map(|process| process.restarts).sum(),
            file: script.file.clone(),
            about: about(
                (started, &script.uses, &script.why),
                parked.cloned().or_else(|| last.and_then(|exit| last_end(&ending(exit)))),
                script.processes.iter().find_map(|process| process.next_start.as_deref().map(shown::instant)),
                (script.fallback.as_deref(), &script.warnings),
            ),
        }
    }
}

/// Says how a process ended, unless it ended well.
fn last_end(reason: &str) -> Option<String> {
    (!reason.starts_with("exit code 0")).then(|| format!("last end: {reason}"))
}

fn about(
    (started, uses, why): (bool, &str, &str),
    last: Option<String>,
    next: Option<String>,
    (fallback, warnings): (Option<&str>, &[String]),
) -> String {
    let about = match (started, last) {
        (true, Some(last)) => last,
        (true, _) => uses.to_owned(),
        (false, _) => why.to_owned(),
    };
    let next = next.map(|at| format!("next start {at}"));
    let fallback = fallback.filter(|name| *name != "wait").map(|name| format!("stand-in: {name}"));
    let all = [Some(about), next, fallback].into_iter().flatten().chain(warnings.iter().cloned());
    all.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Returns how and when a process ended: `exit code 1 at 2026-11-21 03:40:05Z`.
pub fn ending(exit: &api::ScriptExit) -> String {
    let at = exit.at.as_deref().map_or_else(String::new, |at| format!(" at {}", shown::instant(at)));
    format!("{}{at}", exit.reason)
}

/// Formats scripts as a table.
pub fn table(rows: impl Iterator<Item = Row>) -> String {
    let rows = rows.map(|row| {
        let tone = match row.state.as_str() {
            "running" | "idle" => Tone::Good,
            "crashed" | "cannot_start" => Tone::Bad,
            "waiting" | "starting" | "stopping" | "parked" => Tone::Warn,
            _ => Tone::Dim,
        };
        let pids = if row.pids.is_empty() { "-".to_owned() } else { row.pids.join(" ") };
        let state = paint(tone, &row.state);
        let [runs, restarts] = [row.runs, row.restarts].map(|number| number.to_string());
        vec![row.name, state, row.mode, pids, runs, restarts, row.file, row.about]
    });
    shown::table(&["SCRIPT", "STATE", "MODE", "PID", "RUNS", "RESTARTS", "FILE", "ABOUT"], rows.collect())
}

/// Registers the scripts that take tasks as workers, for a process that works without a server. Each is started with
/// its first task, and daemons are not started. They have no gateway and therefore no key.
///
/// # Errors
/// When a required script cannot be started and has no fallback: its tasks would wait for ever.
pub async fn lend(
    app: &App,
    kapelle: &Kapelle,
    settings: &Settings,
    needed: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let Some(helper) = &app.helper else {
        let named = takers(&app.project.workers()).into_iter().find(|script| needed(script.name.as_str()));
        let Some(script) = named else { return Ok(()) };
        let why = if cfg!(target_os = "linux") { "RUN_WORKERS=false" } else { "scripts are supported on Linux only" };
        let failure =
            Failure::new(Code::Unavailable, format!("worker `{}` is a script, and scripts are disabled", script.name));
        return Err(failure.help(why));
    };
    let fleet = kapelle.lend_scripts(helper.clone(), &app.project.workers(), app.surroundings(settings, None)).await;
    let all = fleet.status();
    let stuck =
        |script: &&ScriptStatus| script.standing == "cannot_start" && script.fallback.as_deref() == Some("wait");
    if let Some(script) = all.iter().filter(stuck).find(|script| needed(&script.name)) {
        kapelle.close().await;
        let message = format!("worker `{}` cannot be started: {}", script.name, script.why);
        return Err(Failure::new(Code::Unavailable, message).help("`kapelle workers` shows what each script lacks"));
    }
    supervise::tell(app.out, &fleet, |script| script.mode != "daemon");
    Ok(())
}

/// Returns the id of a script for its name or id.
///
/// # Errors
/// When it is unknown; the message suggests a similar name.
pub fn id(all: &[api::Script], name: &str) -> Result<String, Failure> {
    let found = all.iter().find(|script| script.name == name || script.id == name || script.file == name);
    if let Some(found) = found {
        return Ok(found.id.clone());
    }
    // One process of a script: `worker_0123.2`, or `name.2`.
    if let Some((of, number)) = name.rsplit_once('.').filter(|(_, number)| number.parse::<u32>().is_ok()) {
        return id(all, of).map(|id| format!("{id}.{number}"));
    }
    let shown: String = name.chars().take(80).collect();
    let failure = Failure::not_found(format!("unknown script `{shown}`"));
    let near = kapelle::core::definition::nearest(name, all.iter().map(|script| script.name.as_str()));
    Err(match near {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help("`kapelle workers` shows them all"),
    })
}
