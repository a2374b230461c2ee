//! Checks of the work: tasks that wait for somebody, scripts that fail, providers that refuse, tasks that were given up.

use std::collections::BTreeMap;

use kapelle_api::{
    Api, CircuitState, ClientError, DeadGroup, LogLine, ProcessState, Provider, ProviderModel, Script, ScriptProcess,
    TaskQuery, Waiting,
};

use super::{Check, State};
use crate::{api_session::ApiSession, app::App, shown};

/// Waiting tasks that are looked at.
const LOOKED: u32 = 500;
/// Lines of a script's output in which a cause is searched.
const LINES: usize = 40;
/// Groups of dead letters that are named.
const GROUPS: usize = 3;

/// Makes the checks, by the server that works on the folder or by reading it. A folder without data has no work.
pub(super) async fn checks(app: &App) -> Vec<Check> {
    let Ok(session) = ApiSession::reading(app) else { return Vec::new() };
    let api = session.api();
    let found = [waiting(api).await, scripts(api).await, providers(api).await, dead(api).await];
    let unreadable = |error: ClientError| {
        vec![Check::new("work", State::Warn, error.to_string()).todo("`kapelle status` shows what can be read")]
    };
    found.into_iter().flat_map(|part| part.unwrap_or_else(unreadable)).collect()
}

async fn waiting(api: &dyn Api) -> Result<Vec<Check>, ClientError> {
    let state = Some("ready,held,parked".to_owned());
    let query = TaskQuery { state, steps: Some(true), limit: Some(LOOKED), ..TaskQuery::default() };
    let tasks = api.tasks(query).await?.tasks;
    let mut groups: BTreeMap<String, (usize, Waiting)> = BTreeMap::new();
    for waiting in tasks.iter().filter_map(|task| task.waiting.clone()).filter(needs_somebody) {
        groups.entry(waiting.to_string()).or_insert((0, waiting)).0 += 1;
    }
    if groups.is_empty() {
        return Ok(vec![Check::new("tasks", State::Ok, "0 tasks wait for a worker, money or a person")]);
    }
    let at_least = if tasks.len() == LOOKED as usize { "at least " } else { "" };
    let check = |(why, (count, waiting)): (String, (usize, Waiting))| {
        let verb = if count == 1 { "waits" } else { "wait" };
        let found = format!("{at_least}{} {verb}: {why}", shown::count(count, "task"));
        Check::new("tasks", State::Warn, found).todo(waiting.lift(None).unwrap_or_default())
    };
    Ok(groups.into_iter().map(check).collect())
}

/// Tells whether a wait ends only when somebody does something.
fn needs_somebody(waiting: &Waiting) -> bool {
    matches!(
        waiting,
        Waiting::Paused { .. }
            | Waiting::Money { .. }
            | Waiting::Process
            | Waiting::Script { .. }
            | Waiting::Served { .. }
            | Waiting::Listener { .. }
            | Waiting::Labels { .. }
    )
}

async fn scripts(api: &dyn Api) -> Result<Vec<Check>, ClientError> {
    let mut checks = Vec::new();
    for script in api.workers_status().await?.scripts {
        let Some(process) = script.processes.iter().find(|process| fails(process)) else { continue };
        let lines = api.script_logs(&script.id, LINES).await.map(|log| log.lines).unwrap_or_default();
        checks.push(failing(&script, process, &lines));
    }
    Ok(checks)
}

fn fails(process: &ScriptProcess) -> bool {
    process.failures > 0 || process.state == ProcessState::Crashed
}

fn failing(script: &Script, process: &ScriptProcess, lines: &[LogLine]) -> Check {
    let name = &script.name;
    let exit = process.last_exit.as_ref();
    let reason = exit.map_or("it does not run", |exit| exit.reason.as_str());
    let said = lines.iter().rev().find(|line| line.stream == "err" && !line.text.trim().is_empty());
    let said = said.map_or_else(String::new, |line| format!(": {}", line.text.trim()));
    let failures = shown::count(process.failures as usize, "failure");
    let found = format!("{name} has {failures} in a row, the last time {reason}{said}");
    let usual = format!("`kapelle logs {name}` shows its output");
    let todo = cause(exit.map_or("", |exit| exit.kind.as_str()), lines).unwrap_or(usual);
    Check::new("process", State::Warn, found).todo(format!("{todo}; then `kapelle workers restart {name}`"))
}

/// Returns what to do about an exit of that kind, or about what the script wrote before it.
fn cause(kind: &str, lines: &[LogLine]) -> Option<String> {
    let any = |parts: &[&str]| lines.iter().any(|line| parts.iter().any(|part| line.text.contains(part)));
    let quoted = |before: &str| {
        let after = lines.iter().rev().find_map(|line| line.text.split_once(before))?.1;
        after.split(['\'', '"']).next().filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let memory = ["MemoryError", "Cannot allocate memory", "bad_alloc", "heap out of memory", "not enough memory"];
    if kind == "oom" || any(&memory) {
        return Some("it needs more memory: write `limits: { memory: 4GiB }` into its settings".to_owned());
    }
    if let Some(module) = quoted("No module named '") {
        let package = module.split('.').next().unwrap_or(&module).to_owned();
        return Some(format!("install it where the script runs: `.venv/bin/pip install {package}`"));
    }
    if let Some(package) = quoted("Cannot find package '").or_else(|| quoted("Cannot find module '")) {
        return Some(format!("install it where the script runs: `npm install {package}`"));
    }
    match kind {
        "not_ready" => Some(
            "it was not ready in time: raise `start_timeout` in its settings, or let it print what `ready` waits for"
                .to_owned(),
        ),
        "processes" => Some("it starts too many processes: raise `limits: { processes }` in its settings".to_owned()),
        _ => None,
    }
}

async fn providers(api: &dyn Api) -> Result<Vec<Check>, ClientError> {
    let report = api.providers().await?;
    let checks = report.providers.iter().flat_map(|provider| {
        let refused = (provider.state == "key_refused").then(|| {
            let why = provider.reason.as_deref().unwrap_or("its key was refused");
            Check::new("provider", State::Warn, format!("{}: {why}", provider.name)).todo(
                "set a valid key in the environment or in .env; `kapelle config show --origin` names the variable",
            )
        });
        refused.into_iter().chain(provider.models.iter().filter_map(|model| troubled(provider, model)))
    });
    Ok(checks.collect())
}

fn troubled(provider: &Provider, model: &ProviderModel) -> Option<Check> {
    let recent = model.recent_failed + model.recent_refused > 0;
    if model.circuit == CircuitState::Closed && !recent {
        return None;
    }
    let circuit = match model.circuit {
        CircuitState::Closed => "some calls fail",
        CircuitState::Cooling => "it asked for a wait",
        CircuitState::Open | CircuitState::Probing => "it is not called for a while after five failures in a row",
    };
    let error = model.last_error.as_ref();
    let category = error.map_or("", |error| error.category.as_str());
    let said = error.map_or_else(String::new, |error| {
        let text = error.message.as_deref().unwrap_or("the call was another tenant's");
        format!("; the last error, {category}: {text}")
    });
    let todo = match category {
        "rate_limited" => "set `requests_per_minute` of the provider, or add a second link to the chain of the alias",
        "unavailable" | "timeout" => {
            "check its address (`kapelle config show --origin`) and its page of incidents; a second link in the chain \
             of the alias answers meanwhile"
        }
        _ => "`kapelle providers` shows each model; correct the name of the model, the key or the request",
    };
    let found = format!("{}/{}: {circuit}{said}", provider.name, model.model);
    Some(Check::new("provider", State::Warn, found).todo(todo))
}

async fn dead(api: &dyn Api) -> Result<Vec<Check>, ClientError> {
    let check = |group: &DeadGroup| {
        let tasks = shown::count(usize::try_from(group.tasks).unwrap_or(usize::MAX), "task");
        let found = format!("{} was given up on {tasks}, {}: {}", group.worker, group.category, group.message);
        Check::new("dead", State::Warn, found)
            .todo("`kapelle dead groups` shows them; mend the cause, then `kapelle dead retry --all`")
    };
    Ok(api.dead_groups().await?.groups.iter().take(GROUPS).map(check).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, text: &str) -> Option<String> {
        let line =
            LogLine { number: 1, at: String::new(), instance: 1, stream: "err".to_owned(), text: text.to_owned() };
        cause(kind, &[line])
    }

    #[test]
    fn the_output_of_a_script_tells_what_it_lacks() {
        for (kind, text, part) in [
            ("exit", "ModuleNotFoundError: No module named 'torch.nn'", "pip install torch`"),
            ("exit", "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /x", "npm install zod`"),
            ("signal", "RuntimeError: DefaultCPUAllocator: not enough memory", "memory: 4GiB"),
            ("oom", "", "memory: 4GiB"),
            ("not_ready", "loading", "start_timeout"),
        ] {
            let found = of(kind, text).unwrap_or_default();
            assert!(found.contains(part), "{kind} {text}: {found}");
        }
        assert_eq!(of("exit", "ValueError: no"), None);
    }
}
