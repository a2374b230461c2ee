//! `kapelle workers show`: everything about one worker or script.

use kapelle_api::{Health, Script, ScriptProcess, Worker, WorkersStatus};
use serde_json::{Value, json};

use super::{counts, fields::fields, list, nearest, when};
use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    scripts, shown,
};

/// Runs the verb.
///
/// # Errors
/// When neither a worker nor a script has the name.
pub(super) async fn run(app: &App, name: &str) -> Result<Code, Failure> {
    let session = ApiSession::reading_any(app)?;
    let api = session.api();
    let status = api.workers_status().await?;
    let health = status.workers.iter().find(|worker| worker.name == name);
    let script = status.scripts.iter().find(|script| script.name == name || script.id == name);
    let worker = match api.worker(name).await {
        Ok(worker) => Some(worker),
        Err(_) if script.is_some() => None,
        Err(error) => return Err(nearest(api, name, error.into()).await?),
    };
    if app.out.json {
        let mut value = worker.map_or_else(|| json!({ "name": name }), |worker| json!(worker));
        value["status"] = json!(health);
        value["script"] = json!(script);
        app.out.print_json(&value)?;
        return Ok(Code::Ok);
    }
    let about = worker.as_ref().map(|worker| worker.description.clone());
    let about = about.or_else(|| script.map(|script| format!("script {}", script.file))).unwrap_or_default();
    let mut parts = vec![format!("{name}: {about}")];
    let settings = settings(worker.as_ref(), health, &status);
    if !settings.is_empty() {
        parts.push(shown::table(&["SETTING", "VALUE"], settings));
    }
    if let Some(script) = script {
        parts.push(of_script(script));
    }
    for (what, schema) in [("INPUT", worker.as_ref().map(|w| &w.input)), ("OUTPUT", worker.as_ref().map(|w| &w.output))]
    {
        parts.extend(schema.and_then(Option::as_ref).and_then(|schema: &Value| fields(what, schema)));
    }
    app.out.print(&parts.join("\n\n"))?;
    Ok(Code::Ok)
}

fn settings(worker: Option<&Worker>, health: Option<&Health>, status: &WorkersStatus) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        rows.extend(value.map(|value| vec![name.to_owned(), value]));
    };
    if let Some(worker) = worker {
        add("queue", worker.queue.clone());
        add("slots", worker.slots.map(|slots| slots.to_string()));
        add("timeout", worker.timeout_ms.map(|ms| shown::duration(kapelle::core::DurationMs(ms))));
        add("effects", (!worker.effects.is_empty()).then(|| worker.effects.join(", ")));
        add("requires", (!worker.requires.is_empty()).then(|| worker.requires.join(", ")));
    }
    if let Some(health) = health {
        add("where", Some(list::place(health, status)));
        add("state", Some(health.state.to_string()));
        add("paused", health.paused_reason.clone());
        add("model", health.model.clone());
        add("tasks", Some(counts(health)));
        add("succeeded", Some(format!("{}, failed {}", health.succeeded, health.failed)));
        add("last error", health.last_error.clone());
    }
    rows
}

fn of_script(script: &Script) -> String {
    let mut rows = vec![
        vec!["file".to_owned(), script.file.clone()],
        vec!["mode".to_owned(), script.mode.to_string()],
        vec!["standing".to_owned(), script.standing.to_string().replace('_', " ")],
        vec!["log".to_owned(), format!("kapelle logs {}", script.name)],
    ];
    let more = [
        ("why", Some(script.why.clone()).filter(|why| !why.is_empty())),
        ("uses", Some(script.uses.clone()).filter(|uses| !uses.is_empty())),
        ("interpreter", script.interpreter.clone()),
        ("fallback", script.fallback.clone()),
        ("schedule", script.schedule.clone()),
        ("budget", script.max_cost_nanousd.map(|cost| format!("{} of one process or task", kapelle::Money(cost)))),
    ];
    rows.extend(more.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?])));
    rows.extend(script.warnings.iter().map(|warning| vec!["warning".to_owned(), warning.clone()]));
    let mut text = shown::table(&["SCRIPT", "VALUE"], rows);
    if !script.processes.is_empty() {
        let rows = script.processes.iter().map(process);
        let heading = ["PROCESS", "STATE", "PID", "RUNS", "RESTARTS", "STARTED", "NEXT START", "LAST END"];
        text.push_str(&format!("\n\n{}", shown::table(&heading, rows.collect())));
    }
    text
}

fn process(process: &ScriptProcess) -> Vec<String> {
    vec![
        process.id.clone(),
        process.state.to_string(),
        process.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        process.runs.to_string(),
        process.restarts.to_string(),
        when(process.started_at.as_deref()),
        when(process.next_start.as_deref()),
        process.last_exit.as_ref().map_or_else(|| "-".to_owned(), scripts::ending),
    ]
}
