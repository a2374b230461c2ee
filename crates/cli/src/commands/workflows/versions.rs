//! The stored versions of workflows: each change is one, immutable and numbered, and runs stay on theirs.

use kapelle::{
    core::{Name, TenantId, definition::nearest},
    store::{Page, Reader, SqliteReader, VersionRow},
};
use kapelle_api::Rollback;
use serde_json::json;
use similar::TextDiff;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::{Tone, paint},
    project::Project,
    shown, workflow,
};

const MOST: u32 = 1_000;

fn stored(reader: &SqliteReader, workflow: &str) -> Result<Vec<VersionRow>, Failure> {
    let name = Name::parse(workflow).map_err(|error| Failure::usage(error.to_string()))?;
    let rows = reader.versions(TenantId::DEFAULT, Some(&name), Page { before: None, most: MOST })?;
    if !rows.is_empty() {
        return Ok(rows);
    }
    let all = reader.versions(TenantId::DEFAULT, None, Page { before: None, most: MOST })?;
    let failure = Failure::not_found(format!("no version of a workflow `{workflow}` is stored"));
    Err(match nearest(workflow, all.iter().map(|row| row.workflow.as_str())) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help("a version is stored when a run of it is started"),
    })
}

fn numbered<'r>(rows: &'r [VersionRow], workflow: &str, number: u32) -> Result<&'r VersionRow, Failure> {
    rows.iter().find(|row| row.number == number).ok_or_else(|| {
        let known: Vec<String> = rows.iter().rev().map(|row| row.number.to_string()).collect();
        Failure::not_found(format!("`{workflow}` has no version {number}"))
            .help(format!("there are {}", known.join(", ")))
    })
}

fn text(row: &VersionRow) -> String {
    String::from_utf8_lossy(&row.source).into_owned()
}

fn hash(row: &VersionRow) -> String {
    row.sha256.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Prints the versions, newest first.
pub(super) fn list(app: &App, workflow: &str) -> Result<Code, Failure> {
    let rows = stored(&app.reader()?, workflow)?;
    if app.out.json {
        let versions: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "number": row.number, "sha256": row.sha256.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
                    "file": &*row.file, "created_at": shown::time_exact(row.created_at), "bytes": row.source.len(),
                })
            })
            .collect();
        app.out.print_json(&json!({ "workflow": workflow, "versions": versions }))?;
        return Ok(Code::Ok);
    }
    let row = |row: &VersionRow| {
        vec![
            row.number.to_string(),
            hash(row),
            shown::time(row.created_at),
            row.source.len().to_string(),
            row.file.to_string(),
        ]
    };
    app.out.print(&shown::table(&["VERSION", "SHA256", "STORED", "BYTES", "FILE"], rows.iter().map(row).collect()))?;
    Ok(Code::Ok)
}

/// Prints the text of a version.
pub(super) fn source(app: &App, workflow: &str, number: Option<u32>) -> Result<Code, Failure> {
    let rows = stored(&app.reader()?, workflow)?;
    let row = match number {
        Some(number) => numbered(&rows, workflow, number)?,
        None => &rows[0],
    };
    if app.out.json {
        app.out.print_json(&json!({ "workflow": workflow, "number": row.number, "source": text(row) }))?;
    } else {
        app.out.print(text(row).trim_end())?;
    }
    Ok(Code::Ok)
}

/// Prints the difference between two versions, as a unified diff.
pub(super) fn diff(app: &App, workflow: &str, from: Option<u32>, to: Option<u32>) -> Result<Code, Failure> {
    let rows = stored(&app.reader()?, workflow)?;
    let later = match to {
        Some(number) => numbered(&rows, workflow, number)?,
        None => &rows[0],
    };
    let earlier = match from {
        Some(number) => numbered(&rows, workflow, number)?,
        None => rows.iter().find(|row| row.number < later.number).ok_or_else(|| {
            Failure::not_found(format!("`{workflow}` has one version, {}: there is nothing to compare", later.number))
        })?,
    };
    let (old, new) = (text(earlier), text(later));
    let name = |row: &VersionRow| format!("{workflow} version {}", row.number);
    let diff = TextDiff::from_lines(&old, &new).unified_diff().header(&name(earlier), &name(later)).to_string();
    if app.out.json {
        let (from, to) = (earlier.number, later.number);
        app.out.print_json(&json!({ "workflow": workflow, "from": from, "to": to, "diff": diff }))?;
        return Ok(Code::Ok);
    }
    let painted = diff.lines().map(|line| match line.as_bytes().first() {
        Some(b'+') => paint(Tone::Good, line),
        Some(b'-') => paint(Tone::Bad, line),
        _ => line.to_owned(),
    });
    app.out.print(&painted.collect::<Vec<_>>().join("\n"))?;
    Ok(Code::Ok)
}

/// Makes the text of an earlier version the newest again.
pub(super) async fn rollback(app: &App, workflow: &str, number: u32) -> Result<Code, Failure> {
    let rows = stored(&app.reader()?, workflow)?;
    let row = numbered(&rows, workflow, number)?;
    let session = ApiSession::open(app).await?;
    let done = session.api().rollback(workflow, Rollback { number }).await;
    session.close(done).await?;
    let newest = stored(&app.reader()?, workflow)?.first().map_or(0, |row| row.number);
    // The file in the folder is what a start by its name uses: it is restored as well.
    let named =
        |path: &std::path::PathBuf| workflow::read(path).is_ok_and(|read| read.definition.name.as_str() == workflow);
    let file = workflow::files(&app.project).into_iter().find(named);
    if let Some(file) = &file {
        std::fs::write(file, &row.source).map_err(|error| Failure::io(file, &error))?;
    }
    let shown = file.as_deref().map(Project::shown);
    if app.out.json {
        app.out.print_json(&json!({ "workflow": workflow, "from": number, "number": newest, "file": shown }))?;
        return Ok(Code::Ok);
    }
    let written = shown.map_or_else(String::new, |file| format!("; written to {file}"));
    app.out.print(&format!("version {newest} of {workflow} has the text of version {number}{written}"))?;
    Ok(Code::Ok)
}

/// Deletes a version.
pub(super) async fn delete(app: &App, workflow: &str, number: u32) -> Result<Code, Failure> {
    stored(&app.reader()?, workflow)?;
    let session = ApiSession::open(app).await?;
    let done = session.api().delete_version(workflow, number).await;
    session.close(done).await?;
    deleted(app, workflow, number)
}

fn deleted(app: &App, workflow: &str, number: u32) -> Result<Code, Failure> {
    if app.out.json {
        app.out.print_json(&json!({ "workflow": workflow, "deleted": number }))?;
    } else {
        app.out.print(&format!("version {number} of {workflow} is deleted"))?;
    }
    Ok(Code::Ok)
}
