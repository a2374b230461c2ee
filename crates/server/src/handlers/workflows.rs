//! Workflows and their versions.

use axum::http::StatusCode;
use kapelle::{
    core::{Name, TenantId},
    engine::{VersionRef, command},
    store::{Deletion, Page, VersionRow},
};
use kapelle_api as api;
use serde::Deserialize;
use similar::TextDiff;

use super::{runs, tasks::refuse_while_draining};
use crate::{
    app::App,
    auth,
    call::{Call, json, ok},
    cursor::{self, Paging},
    problem::Problem,
    route::Answer,
    shown,
};

/// Versions of a workflow that are looked through for a number.
const VERSIONS_MAX: u32 = 1_000;

fn name(call: &Call) -> Result<Name, Problem> {
    let text = call.param("name");
    Name::parse(text).map_err(|_| Problem::not_found(text.chars().take(90).collect::<String>()))
}

async fn page(call: &Call, workflow: Option<Name>) -> Result<api::VersionPage, Problem> {
    let given: Paging = call.query()?;
    let page = cursor::page(given.limit, given.cursor.as_deref())?;
    let tenant = call.tenant();
    let read = call.list(move |app| {
        let rows = app.engine().reader().versions(tenant, workflow.as_ref(), page)?;
        let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id));
        Ok(api::VersionPage { versions: rows.iter().map(shown::version).collect(), next_cursor })
    });
    read.await
}

/// `GET /api/v1/workflows`
pub async fn list(call: Call) -> Answer {
    ok(&page(&call, None).await?)
}

/// `GET /api/v1/workflows/{name}`
pub async fn versions(call: Call) -> Answer {
    let workflow = name(&call)?;
    let found = page(&call, Some(workflow.clone())).await?;
    if found.versions.is_empty() && call.parts.uri.query().is_none() {
        return Err(Problem::not_found(format!("a version of the workflow {workflow}")));
    }
    ok(&found)
}

/// `GET /api/v1/workflows/{name}/{number}`
pub async fn get(call: Call) -> Answer {
    let (workflow, tenant) = (name(&call)?, call.tenant());
    let missing = || Problem::not_found(format!("that version of the workflow {workflow}"));
    let number: u32 = call.param("number").parse().map_err(|_| missing())?;
    let of = workflow.clone();
    let rows = call.list(move |app| {
        let page = Page { before: None, most: VERSIONS_MAX };
        Ok(app.engine().reader().versions(tenant, Some(&of), page)?)
    });
    let row: VersionRow = rows.await?.into_iter().find(|row| row.number == number).ok_or_else(missing)?;
    let source = String::from_utf8_lossy(&row.source).into_owned();
    call.tagged(&auth::hex(&row.sha256), &api::VersionSource { version: shown::version(&row), source })
}

/// The versions of a workflow, newest first.
fn stored(app: &App, tenant: TenantId, workflow: &Name) -> Result<Vec<VersionRow>, Problem> {
    let page = Page { before: None, most: VERSIONS_MAX };
    let mut rows = app.engine().reader().versions(tenant, Some(workflow), page)?;
    if rows.is_empty() {
        return Err(Problem::not_found(format!("a version of the workflow {workflow}")));
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.number));
    Ok(rows)
}

fn numbered<'r>(rows: &'r [VersionRow], field: &str, number: u32) -> Result<&'r VersionRow, Problem> {
    rows.iter().find(|row| row.number == number).ok_or_else(|| {
        let known: Vec<String> = rows.iter().take(20).map(|row| row.number.to_string()).collect();
        Problem::unprocessable(format!("{field}: there is no version {number}, but {}", known.join(", ")))
    })
}

/// A version as it is told, with the file that would be run instead of it.
fn told(app: &App, row: &VersionRow) -> api::Version {
    let folder = app.workflows.as_deref().filter(|_| row.tenant == TenantId::DEFAULT);
    let file = folder.and_then(|folder| runs::project_file(folder, &row.workflow));
    let other = file.filter(|(source, _)| **source != *row.source);
    api::Version { shadowed_by: other.map(|(_, file)| file), ..shown::version(row) }
}

/// `POST /api/v1/workflows`
pub async fn publish(call: Call) -> Answer {
    let given: api::Publish = call.json()?;
    refuse_while_draining(&call)?;
    let file = given.file.unwrap_or_else(|| "workflow.yaml".to_owned());
    if file.is_empty() || file.len() > 255 || file.chars().any(char::is_control) {
        return Err(Problem::unprocessable("file: 1 to 255 bytes without control characters are possible"));
    }
    // Reading and checking a large definition takes a while: not on a thread that serves others.
    let (version, name) = call
        .list(move |_| {
            let (version, definition) = runs::load(given.source.as_bytes(), &file)?;
            Ok((version, definition.name.clone()))
        })
        .await?;
    keep(&call, "workflow.publish", &name, version).await
}

/// `POST /api/v1/workflows/{name}/rollback`
pub async fn rollback(call: Call) -> Answer {
    let (workflow, tenant) = (name(&call)?, call.tenant());
    let given: api::Rollback = call.json()?;
    refuse_while_draining(&call)?;
    let of = workflow.clone();
    let version = call.list(move |app| {
        let rows = stored(app, tenant, &of)?;
        let row = numbered(&rows, "number", given.number)?;
        Ok(runs::load(&row.source, &row.file)?.0)
    });
    let version = version.await?;
    keep(&call, "workflow.rollback", &workflow, version).await
}

/// Stores a text as the newest version, unless it is that already.
async fn keep(call: &Call, action: &str, workflow: &Name, version: VersionRef) -> Answer {
    let tenant = call.tenant();
    let id = call.app.act(&call.who, action, workflow.as_str(), command::StoreVersion { tenant, version }).await?;
    let row = call.app.engine().reader().version(tenant, id)?;
    let row = row.ok_or_else(|| Problem::internal("the version that was stored is not there"))?;
    json(StatusCode::CREATED, &told(&call.app, &row))
}

/// The query of a comparison.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Between {
    from: Option<u32>,
    to: Option<u32>,
}

/// `GET /api/v1/workflows/{name}/diff`
pub async fn diff(call: Call) -> Answer {
    let (workflow, tenant) = (name(&call)?, call.tenant());
    let given: Between = call.query()?;
    let compared = call.list(move |app| {
        let rows = stored(app, tenant, &workflow)?;
        let later = match given.to {
            Some(number) => numbered(&rows, "to", number)?,
            None => &rows[0],
        };
        let earlier = match given.from {
            Some(number) => numbered(&rows, "from", number)?,
            None => rows.iter().find(|row| row.number < later.number).ok_or_else(|| {
                Problem::unprocessable(format!("from: there is no version before {}: name one", later.number))
            })?,
        };
        let text = |row: &VersionRow| String::from_utf8_lossy(&row.source).into_owned();
        let name = |row: &VersionRow| format!("{workflow} version {}", row.number);
        let (old, new) = (text(earlier), text(later));
        let mut config = TextDiff::configure();
        // A file of 16 MiB must not keep a thread for minutes: beyond this the difference is told in larger pieces.
        let compared = config.timeout(std::time::Duration::from_secs(2)).diff_lines(&old, &new);
        let diff = compared.unified_diff().header(&name(earlier), &name(later)).to_string();
        Ok(api::VersionDiff { workflow: workflow.to_string(), from: earlier.number, to: later.number, diff })
    });
    ok(&compared.await?)
}

/// `DELETE /api/v1/workflows/{name}/{number}`
pub async fn remove(call: Call) -> Answer {
    let (workflow, tenant) = (name(&call)?, call.tenant());
    let missing = || Problem::not_found(format!("that version of the workflow {workflow}"));
    let number: u32 = call.param("number").parse().map_err(|_| missing())?;
    let resource = format!("{workflow} version {number}");
    let command = command::DeleteVersion { tenant, workflow: workflow.clone(), number };
    match call.app.act(&call.who, "workflow.delete", &resource, command).await? {
        Deletion::Deleted => ok(&serde_json::json!({ "workflow": workflow.as_str(), "deleted": number })),
        Deletion::Used(runs) => Err(Problem::conflict(format!(
            "{resource} is in use: {runs} runs stay on it until their retention is over"
        ))),
        Deletion::Newest => {
            Err(Problem::conflict(format!("{resource} is the newest, which is what is started by name")))
        }
        Deletion::Missing => Err(missing()),
    }
}
