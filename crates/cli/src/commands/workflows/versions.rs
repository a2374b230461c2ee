//! The stored versions of workflows: each change is one, immutable and numbered, and runs stay on theirs.

use kapelle::core::definition::nearest;
use kapelle_api::{Api, ClientError, DiffQuery, Paging, Rollback, Version};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::{Tone, paint},
    project::Project,
    remote, shown, workflow,
};

const MOST: Paging = Paging { limit: Some(1_000), cursor: None };

/// Returns the versions of a workflow, newest first.
async fn stored(api: &dyn Api, workflow: &str) -> Result<Vec<Version>, Failure> {
    let found = api.versions(workflow, MOST).await.map(|page| page.versions).or_else(|error| match error {
        ClientError::Refused(problem) if problem.code == kapelle_api::code::NOT_FOUND => Ok(Vec::new()),
        other => Err(other),
    })?;
    if !found.is_empty() {
        return Ok(found);
    }
    let all = api.workflows(MOST).await?.versions;
    let failure = Failure::not_found(format!("no version of a workflow `{workflow}` is stored"));
    Err(match nearest(workflow, all.iter().map(|version| version.workflow.as_str())) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help("a version is stored when a run of it is started"),
    })
}

fn numbered<'r>(versions: &'r [Version], workflow: &str, number: u32) -> Result<&'r Version, Failure> {
    versions.iter().find(|version| version.number == number).ok_or_else(|| {
        let known: Vec<String> = versions.iter().rev().map(|version| version.number.to_string()).collect();
        Failure::not_found(format!("`{workflow}` has no version {number}"))
            .help(format!("there are {}", known.join(", ")))
    })
}

/// Prints the versions, newest first.
pub(super) async fn list(app: &App, workflow: &str) -> Result<Code, Failure> {
    let versions = stored(ApiSession::reading(app)?.api(), workflow).await?;
    if app.out.json {
        app.out.print_json(&json!({ "versions": versions, "next_cursor": null }))?;
        return Ok(Code::Ok);
    }
    let row = |version: &Version| {
        let hash: String = version.sha256.chars().take(12).collect();
        vec![version.number.to_string(), hash, shown::instant(&version.created_at), version.file.clone()]
    };
    app.out.print(&shown::table(&["VERSION", "SHA256", "STORED", "FILE"], versions.iter().map(row).collect()))?;
    Ok(Code::Ok)
}

/// Prints the text of a version.
pub(super) async fn source(app: &App, workflow: &str, number: Option<u32>) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let versions = stored(session.api(), workflow).await?;
    let number = match number {
        Some(number) => numbered(&versions, workflow, number)?.number,
        None => versions[0].number,
    };
    let version = session.api().version(workflow, number).await?;
    if app.out.json {
        app.out.print_json(&json!(version))?;
    } else {
        app.out.print(version.source.trim_end())?;
    }
    Ok(Code::Ok)
}

/// Prints the difference between two versions, as a unified diff.
pub(super) async fn diff(app: &App, workflow: &str, from: Option<u32>, to: Option<u32>) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    stored(session.api(), workflow).await?;
    let compared = session.api().diff(workflow, DiffQuery { from, to }).await?;
    if app.out.json {
        app.out.print_json(&json!(compared))?;
        return Ok(Code::Ok);
    }
    let painted = compared.diff.lines().map(|line| match line.as_bytes().first() {
        Some(b'+') => paint(Tone::Good, line),
        Some(b'-') => paint(Tone::Bad, line),
        _ => line.to_owned(),
    });
    app.out.print(&painted.collect::<Vec<_>>().join("\n"))?;
    Ok(Code::Ok)
}

/// Makes the text of an earlier version the newest again.
pub(super) async fn rollback(app: &App, workflow: &str, number: u32) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let done = async {
        numbered(&stored(session.api(), workflow).await?, workflow, number)?;
        let newest = session.api().rollback(workflow, Rollback { number }).await?;
        Ok((session.api().version(workflow, number).await?.source, newest))
    };
    let done: Result<(String, Version), Failure> = done.await;
    session.close(Ok(())).await?;
    let (source, newest) = done?;
    // The file in the folder is what a start by its name uses: it is restored as well.
    let named =
        |path: &std::path::PathBuf| workflow::read(path).is_ok_and(|read| read.definition.name.as_str() == workflow);
    let is_here = !remote::is_named(app);
    let file = workflow::files(&app.project).into_iter().filter(|_| is_here).find(named);
    if let Some(file) = &file {
        std::fs::write(file, source).map_err(|error| Failure::io(file, &error))?;
    }
    if app.out.json {
        app.out.print_json(&json!(newest))?;
        return Ok(Code::Ok);
    }
    let written = file.as_deref().map_or_else(String::new, |file| format!("; written to {}", Project::shown(file)));
    let newest = newest.number;
    app.out.print(&format!("version {newest} of {workflow} has the text of version {number}{written}"))?;
    Ok(Code::Ok)
}

/// Deletes a version.
pub(super) async fn delete(app: &App, workflow: &str, number: u32) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let done = session.api().delete_version(workflow, number).await;
    let deleted = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(deleted))?;
    } else {
        app.out.print(&format!("version {number} of {workflow} is deleted"))?;
    }
    Ok(Code::Ok)
}
