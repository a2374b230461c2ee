//! The result of a run: printed, written to files, and turned into an exit code.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kapelle::{RunId, core::run::RunStatus, store::Reader};
use serde_json::Value;

use crate::{
    app::App,
    describe::RunView,
    failure::{Code, Failure, advice},
    follow::End,
    out::stdout_is_terminal,
    page,
    project::Project,
    tally::RunTally,
};

/// Prints how a run ended, or that it continues.
///
/// # Errors
/// When the run did not succeed, with what to do.
pub fn tell(app: &App, reader: &dyn Reader, run: RunId, end: End, folder: Option<&Path>) -> Result<Code, Failure> {
    if folder.is_some() || app.out.json {
        let view = RunView::load(reader, run)?;
        if let Some(folder) = folder {
            for path in write(&view, folder)? {
                app.out.note(&format!("wrote {}", Project::shown(&path)));
            }
        }
        if app.out.json {
            app.out.print_json(&view.json())?;
        }
    }
    let view = RunTally::load(reader, run)?;
    if !view.row.status.kind().is_terminal() {
        let code = match end {
            End::Ended => Code::Failed,
            End::Drained(code) | End::Stopped(code) => code,
        };
        app.out.note(&format!("{run} is not finished. Continue with: {}", app.resume_line(&run.to_string())));
        return Ok(code);
    }
    if !app.out.json {
        print(app, &view.outputs)?;
    }
    app.out.note(&view.summary());
    match &view.row.status {
        RunStatus::Failed { error, .. } => Err(failed(&view, error)),
        RunStatus::Cancelled { reason, .. } => {
            Err(Failure::new(Code::Failed, format!("{run} was cancelled: {reason}")).json_told())
        }
        _ => Ok(Code::Ok),
    }
}

fn failed(view: &RunTally, error: &kapelle::TaskError) -> Failure {
    let what = match &view.stopped_by {
        Some(step) => {
            let tried = if step.attempts > 1 { format!(" after {} attempts", step.attempts) } else { String::new() };
            let error = step.error.as_deref().unwrap_or(error);
            let failure = format!("step `{}` failed{tried}: {error}", step.name);
            return Failure::new(Code::Failed, failure)
                .help(format!("{}; `kapelle logs {}` shows every step", advice(error), view.row.id))
                .json_told();
        }
        None => format!("{} failed: {error}", view.row.id),
    };
    Failure::new(Code::Failed, what).help(advice(error)).json_told()
}

/// Returns the report of a run, if it has one.
fn report(outputs: &Value) -> Option<&str> {
    outputs.get("report").and_then(Value::as_str)
}

fn print(app: &App, outputs: &Value) -> Result<(), Failure> {
    match (report(outputs), outputs) {
        (Some(report), _) if stdout_is_terminal() => app.out.print(&format!("\n{}", page::for_terminal(report))),
        (Some(report), _) => app.out.print(report),
        (None, Value::Null) => Ok(()),
        (None, outputs) => app.out.print_json(outputs),
    }
}

/// Writes `report.md` and `run.json` into a folder of the run's own. Returns their paths.
///
/// # Errors
/// When they cannot be written.
pub fn write(view: &RunView, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = folder.join(view.row.id.to_string());
    fs::create_dir_all(&folder).map_err(|error| Failure::io(&folder, &error))?;
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| Failure::io(&path, &error))?;
        Ok::<PathBuf, Failure>(path)
    };
    let mut written = Vec::new();
    if let Some(report) = report(&view.outputs) {
        written.push(put("report.md", report)?);
    }
    written.push(put("run.json", &format!("{:#}\n", view.json()))?);
    Ok(written)
}
