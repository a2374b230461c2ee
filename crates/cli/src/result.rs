//! The result of a run: printed, written to files, and turned into an exit code.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kapelle::Category;
use kapelle_api::{Api, Run, RunState, TaskError};
use serde_json::Value;

use crate::{
    app::App,
    describe::{self, RunView},
    failure::{Code, Failure, advice_for},
    follow::End,
    out::stdout_is_terminal,
    page,
    project::Project,
};

/// Prints how a run ended, or that it continues.
///
/// # Errors
/// When the run did not succeed, with what to do.
pub async fn tell(app: &App, api: &dyn Api, run: &str, end: End, folder: Option<&Path>) -> Result<Code, Failure> {
    if folder.is_some() || app.out.json {
        let view = RunView::load(api, run).await?;
        if let Some(folder) = folder {
            for path in write(&view, folder)? {
                app.out.note(&format!("wrote {}", Project::shown(&path)));
            }
        }
        if app.out.json {
            app.out.print_json(&view.json())?;
        }
    }
    let ended = api.run_details(run).await?;
    if !ended.state.is_ended() {
        let code = match end {
            End::Ended => Code::Failed,
            End::Drained(code) | End::Stopped(code) => code,
        };
        app.out.note(&format!("{run} is not finished. Continue with: {}", app.resume_line(run)));
        return Ok(code);
    }
    let outputs = ended.outputs.clone().unwrap_or_default();
    if !app.out.json {
        print(app, &outputs)?;
    }
    app.out.note(&describe::summary(&ended));
    match (ended.state, &ended.error) {
        (RunState::Failed, Some(error)) => Err(failed(&ended, error)),
        (RunState::Cancelled, _) => {
            let reason = ended.reason.as_deref().unwrap_or("without a reason");
            Err(Failure::new(Code::Failed, format!("{run} was cancelled: {reason}")).json_told())
        }
        _ => Ok(Code::Ok),
    }
}

fn failed(run: &Run, error: &TaskError) -> Failure {
    let help = |error: &TaskError| Category::from_word(&error.category).map_or("", advice_for);
    let Some(task) = run.stopped_by.as_deref() else {
        let what = format!("{} failed: {}", run.id, describe::error_text(error));
        return Failure::new(Code::Failed, what).help(help(error)).json_told();
    };
    let tried = if task.attempt > 1 { format!(" after {} attempts", task.attempt) } else { String::new() };
    let error = task.error.as_ref().unwrap_or(error);
    let step = task.step.as_deref().unwrap_or(&task.id);
    Failure::new(Code::Failed, format!("step `{step}` failed{tried}: {}", describe::error_text(error)))
        .help(format!("{}; `kapelle logs {}` shows every step", help(error), run.id))
        .json_told()
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
    let folder = folder.join(&view.run.id);
    fs::create_dir_all(&folder).map_err(|error| Failure::io(&folder, &error))?;
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| Failure::io(&path, &error))?;
        Ok::<PathBuf, Failure>(path)
    };
    let mut written = Vec::new();
    if let Some(report) = view.run.outputs.as_ref().and_then(report) {
        written.push(put("report.md", report)?);
    }
    written.push(put("run.json", &format!("{:#}\n", view.json()))?);
    Ok(written)
}
