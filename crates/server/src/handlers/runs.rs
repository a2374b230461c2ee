//! Runs.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use axum::http::StatusCode;
use kapelle::{
    RunId, TaskId,
    core::{
        Name, TenantId,
        approval::OWNER,
        definition::{Action, Definition, Strategy},
        run::{Rerun, RunStatus},
    },
    engine::{EngineError, NewRun, VersionRef, command},
    store::{JournalEntry, Page, RunFilter, RunRow},
    workers::inside,
};
use kapelle_api as api;
use serde::Deserialize;
use serde_json::{Value, json as value};

use super::{
    artifacts,
    tasks::{Wait, reason, refuse_while_draining},
};
use crate::{
    app::App,
    call::{Call, json, ok},
    cursor::{self, Paging},
    problem::Problem,
    route::Answer,
    shown, stream,
};

/// Versions of a workflow that are looked through for a number.
const VERSIONS_MAX: u32 = 1_000;
/// Bytes of a workflow file that are read; the parser refuses what is longer.
const FILE_MAX: u64 = (16 << 20) + 1;

/// `POST /api/v1/runs`
pub async fn start(call: Call) -> Answer {
    let given: api::StartRun = call.json()?;
    refuse_while_draining(&call)?;
    let key = call.idempotency(&given)?;
    let tenant = call.tenant();
    let strategy = given.strategy.as_deref().map(strategy).transpose()?;
    let by = starter(&call);
    // Reading and checking a large definition takes a while: not on a thread that serves others.
    let run = call.list(move |app| {
        let (version, definition) = version(app, tenant, &given)?;
        check_workers(app, tenant, &definition)?;
        let mut inputs = given.inputs;
        kapelle::check_inputs(&definition, &mut inputs)
            .map_err(|error| Problem::unprocessable(format!("inputs: {error}")))?;
        artifacts::check(app, tenant, &inputs)?;
        Ok(NewRun { version, inputs: app.engine().payload(&inputs)?, strategy, rerun: None, by })
    });
    let id = call.app.engine().start_run(tenant, run.await?, key).await?;
    json(StatusCode::CREATED, &api::StartedRun { id: id.to_string(), state: "running".to_owned() })
}

/// The key that starts a run. The folder's own token is its owner.
fn starter(call: &Call) -> Option<Arc<str>> {
    (call.who.actor != OWNER).then(|| Arc::from(call.who.actor.as_str()))
}

fn strategy(word: &str) -> Result<Strategy, Problem> {
    match word {
        "sequential" => Ok(Strategy::Sequential),
        "parallel" => Ok(Strategy::Parallel),
        "priority" => Ok(Strategy::Priority { fail_fast_at: None }),
        other => Err(Problem::unprocessable(format!(
            "strategy: there is no `{}`, but {}",
            other.chars().take(40).collect::<String>(),
            Strategy::NAMES.join(", ")
        ))),
    }
}

/// What is to be run: a text, a stored version, or the file of the project with that name.
fn version(app: &App, tenant: TenantId, given: &api::StartRun) -> Result<(VersionRef, Arc<Definition>), Problem> {
    if let Some(source) = &given.source {
        if given.workflow.is_some() || given.version.is_some() {
            return Err(Problem::unprocessable("source: give either a text or the name of a workflow, not both"));
        }
        return load(source.as_bytes(), "workflow");
    }
    let Some(text) = &given.workflow else {
        return Err(Problem::unprocessable("workflow: name one, or give its text as `source`"));
    };
    let name = Name::parse(text).map_err(|error| Problem::unprocessable(format!("workflow: {error}")))?;
    let file = app.workflows.as_deref().filter(|_| tenant == TenantId::DEFAULT && given.version.is_none());
    if let Some((source, file)) = file.and_then(|folder| project_file(folder, &name)) {
        return load(&source, &file);
    }
    let page = Page { before: None, most: VERSIONS_MAX };
    let versions = app.engine().reader().versions(tenant, Some(&name), page)?;
    let found = match given.version {
        None => versions.into_iter().max_by_key(|row| row.number),
        Some(number) => versions.into_iter().find(|row| row.number == number),
    };
    let row = found.ok_or_else(|| Problem::unprocessable(format!("workflow: there is no `{name}` of that version")))?;
    let (_, definition) = load(&row.source, &row.file)?;
    Ok((VersionRef::Stored(row.id), definition))
}

pub fn load(source: &[u8], file: &str) -> Result<(VersionRef, Arc<Definition>), Problem> {
    let version = kapelle::load(source, file)?;
    match &version {
        VersionRef::Source { definition, .. } => {
            let definition = Arc::clone(definition);
            Ok((version, definition))
        }
        VersionRef::Stored(_) => Err(Problem::internal("a text was read as something stored")),
    }
}

/// The file of a workflow in the folder of the project. A name holds no separators, so the file is in the folder.
pub fn project_file(folder: &Path, name: &Name) -> Option<(Vec<u8>, String)> {
    ["yaml", "yml", "json"].into_iter().find_map(|ending| {
        let file = format!("{name}.{ending}");
        let source = inside::read(inside::project_of(folder), &folder.join(&file), FILE_MAX).ok()?;
        Some((source, file))
    })
}

fn check_workers(app: &App, tenant: TenantId, definition: &Definition) -> Result<(), Problem> {
    for step in definition.blocks.iter().flat_map(|block| &block.steps) {
        if let Action::Worker { worker, .. } = &step.action {
            app.known(tenant, worker).map_err(|problem| Problem {
                detail: format!("line {}: step `{}`: {}", step.line, step.name, problem.detail),
                ..problem
            })?;
        }
    }
    Ok(())
}

/// `GET /api/v1/runs/{id}`
pub async fn get(call: Call) -> Answer {
    let id: RunId = call.id()?;
    let row = match call.query::<Wait>()?.duration()? {
        None => one(&call, id)?,
        Some(wait) => {
            let mut draining = call.app.draining.clone();
            let ended = call.app.engine().wait_run(call.tenant(), id);
            tokio::select! {
                ended = tokio::time::timeout(wait, ended) => match ended {
                    Ok(Ok(row)) => row,
                    Ok(Err(EngineError::Stopped)) | Err(_) => one(&call, id)?,
                    Ok(Err(error)) => return Err(error.into()),
                },
                _ = draining.wait_for(|draining| *draining) => one(&call, id)?,
                () = stream::gone(&call.app, &call.who) => return Err(stream::revoked()),
            }
        }
    };
    let mut run = shown::run_and_cost(&call.app, &row)?;
    if let RunStatus::Succeeded { outputs, .. } = &row.status {
        run.outputs = Some(call.app.engine().value(outputs)?);
    }
    call.tagged(&format!("{id}-{}", row.revision), &run)
}

/// The query of a list of runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    workflow: Option<String>,
    open: Option<bool>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /api/v1/runs`
pub async fn list(call: Call) -> Answer {
    let given: Filter = call.query()?;
    let page = cursor::page(given.limit, given.cursor.as_deref())?;
    let workflow = given.workflow.as_deref().map(Name::parse).transpose();
    let workflow = workflow.map_err(|error| Problem::invalid(format!("workflow: {error}")))?;
    let filter = RunFilter { workflow, open: given.open.unwrap_or(false) };
    let tenant = call.tenant();
    let shown = call.list(move |app| {
        let rows = app.engine().reader().runs(tenant, &filter, page)?;
        let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id.0));
        Ok(api::RunPage { runs: rows.iter().map(shown::run).collect(), next_cursor })
    });
    ok(&shown.await?)
}

/// `GET /api/v1/runs/{id}/steps`
pub async fn steps(call: Call) -> Answer {
    let run = one(&call, call.id()?)?.id;
    let given: Paging = call.query()?;
    let page = cursor::page(given.limit, given.cursor.as_deref())?;
    let shown = call.list(move |app| {
        let rows = app.engine().reader().steps(run, TaskId(page.before.unwrap_or(0)), page.most)?;
        let (mut steps, mut bytes) = (Vec::new(), 0);
        for row in &rows {
            let step = shown::whole_task(app, row)?;
            bytes += step.output.as_ref().map_or(0, |output| output.get().len());
            steps.push(step);
            if bytes >= app.limits.page_bytes {
                break;
            }
        }
        // A page that its outputs have filled is full, whatever the number of its rows.
        let is_full = steps.len() < rows.len();
        let last = rows.get(steps.len().saturating_sub(1)).map(|row| row.id.0);
        let next_cursor = cursor::after(steps.len(), if is_full { 0 } else { page.most }, last);
        Ok(api::StepList { steps, next_cursor })
    });
    ok(&shown.await?)
}

/// The query of a journal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    from: Option<u64>,
    limit: Option<u32>,
}

/// `GET /api/v1/runs/{id}/journal`
pub async fn journal(call: Call) -> Answer {
    let run = one(&call, call.id()?)?.id;
    let given: From = call.query()?;
    let from = given.from.unwrap_or(0).min(i64::MAX as u64);
    let most = cursor::page(given.limit, None)?.most;
    let shown = call.list(move |app| {
        let entries = app.engine().reader().journal(run, from, most)?;
        let next = entries.last().map_or(from, |entry| entry.seq + 1);
        Ok(api::JournalPage { entries: entries.iter().map(entry).collect(), next })
    });
    ok(&shown.await?)
}

/// An entry of a journal as it travels: the stored form with ids as people know them.
pub fn entry(entry: &JournalEntry) -> Value {
    let mut shown = BTreeMap::new();
    if let Ok(Value::Object(event)) = serde_json::to_value(&entry.event) {
        for (key, field) in event {
            let field = match (key.as_str(), field.as_i64()) {
                ("task", Some(id)) => value!(TaskId(id).to_string()),
                ("run" | "child", Some(id)) => value!(RunId(id).to_string()),
                _ => field,
            };
            shown.insert(key, field);
        }
    }
    shown.insert("seq".to_owned(), value!(entry.seq));
    shown.insert("at".to_owned(), value!(shown::time(entry.at)));
    value!(shown)
}

/// `POST /api/v1/runs/{id}/cancel`
pub async fn cancel(call: Call) -> Answer {
    let id = one(&call, call.id()?)?.id;
    let reason = reason(&call)?;
    call.app.act(&call.who, "run.cancel", &id.to_string(), command::CancelRun { run: id, reason }).await?;
    ok(&shown::run(&one(&call, id)?))
}

/// `POST /api/v1/runs/{id}/pause`
pub async fn pause(call: Call) -> Answer {
    let id = one(&call, call.id()?)?.id;
    call.app.act(&call.who, "run.pause", &id.to_string(), command::PauseRun { run: id }).await?;
    ok(&shown::run(&one(&call, id)?))
}

/// `POST /api/v1/runs/{id}/resume`
pub async fn resume(call: Call) -> Answer {
    let id = one(&call, call.id()?)?.id;
    call.app.act(&call.who, "run.resume", &id.to_string(), command::ResumeRun { run: id }).await?;
    ok(&shown::run(&one(&call, id)?))
}

/// `POST /api/v1/runs/{id}/signals/{name}`
pub async fn signal(call: Call) -> Answer {
    let id = one(&call, call.id()?)?.id;
    let given: api::Signal = call.json()?;
    let name = Name::parse(call.param("name")).map_err(|error| Problem::unprocessable(format!("name: {error}")))?;
    let payload = call.app.engine().payload(&given.payload)?;
    call.app.act(&call.who, "run.signal", &id.to_string(), command::Signal { run: id, name, payload }).await?;
    ok(&shown::run(&one(&call, id)?))
}

/// `POST /api/v1/runs/{id}/rerun`
pub async fn rerun(call: Call) -> Answer {
    let row = one(&call, call.id()?)?;
    let given: api::Rerun = call.json()?;
    refuse_while_draining(&call)?;
    let status = row.status.kind();
    if !status.is_terminal() {
        return Err(Problem::conflict(format!(
            "{} is {}: it can be run again once it has ended",
            row.id,
            status.as_str()
        )));
    }
    let (tenant, of, by) = (call.tenant(), row.id, starter(&call));
    let new = call.list(move |app| {
        let from = given.from.as_deref().map(Name::parse).transpose();
        let from = from.map_err(|error| Problem::unprocessable(format!("from: {error}")))?;
        if let Some(step) = &from {
            let stored = app.engine().reader().version(tenant, row.version)?;
            let stored = stored.ok_or_else(|| Problem::internal("the version of the run is not stored"))?;
            let (_, definition) = load(&stored.source, &stored.file)?;
            if definition.block(definition.root).find(step.as_str()).is_none() {
                return Err(Problem::unprocessable(format!("from: {} has no step `{step}`", row.id)));
            }
        }
        let inputs = app.engine().payload(&app.engine().value(&row.inputs)?)?;
        let rerun = Some(Rerun { of: row.id, from, recorded: given.recorded });
        Ok(NewRun { version: VersionRef::Stored(row.version), inputs, strategy: Some(row.strategy), rerun, by })
    });
    let command = command::StartRun { tenant, run: new.await?, key: None };
    let started = call.app.act(&call.who, "run.rerun", &of.to_string(), command).await?;
    json(StatusCode::CREATED, &api::StartedRun { id: started.run.to_string(), state: "running".to_owned() })
}

/// A run of the caller's tenant.
pub fn one(call: &Call, id: RunId) -> Result<RunRow, Problem> {
    let row = call.app.engine().reader().run(call.tenant(), id)?;
    row.ok_or_else(|| Problem::not_found(id))
}
