//! Workflows and their versions.

use kapelle::{
    core::Name,
    store::{Page, VersionRow},
};
use kapelle_api as api;

use crate::{
    auth,
    call::{Call, ok},
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
    let read = call.app.list(move |app| {
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
    let rows = call.app.list(move |app| {
        let page = Page { before: None, most: VERSIONS_MAX };
        Ok(app.engine().reader().versions(tenant, Some(&of), page)?)
    });
    let row: VersionRow = rows.await?.into_iter().find(|row| row.number == number).ok_or_else(missing)?;
    let source = String::from_utf8_lossy(&row.source).into_owned();
    call.tagged(&auth::hex(&row.sha256), &api::VersionSource { version: shown::version(&row), source })
}
