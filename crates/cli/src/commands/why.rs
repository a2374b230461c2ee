//! `kapelle why ID`: why a task or a run does not go on, and what ends the wait.

use kapelle::core::definition::nearest;
use kapelle_api::Explanation;
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    ids::{self, Id},
    shown,
};

/// Explain why a task or run does not go on, and what ends the wait.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A task or run, such as task_12 or run_3
    #[arg(value_name = "ID")]
    id: String,
    /// Only this step of a run, such as `classify[17]`
    step: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// When the task, run or step does not exist.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    explain(app, &ids::any(&args.id)?, args.step.as_deref()).await
}

/// Explains a task, or the steps of a run that have not ended.
///
/// # Errors
/// When the task, run or step does not exist.
pub async fn explain(app: &App, id: &Id, step: Option<&str>) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let mut explained = match id {
        Id::Run(run) => session.api().explain_run(&run.to_string()).await?,
        Id::Task(task) => session.api().explain_task(&task.to_string()).await?,
    };
    match step {
        Some(step) => select(&mut explained, step)?,
        None if matches!(id, Id::Run(_)) => explained.steps.retain(|step| !step.ended),
        None => {}
    }
    if app.out.json {
        app.out.print_json(&json!(explained))?;
        return Ok(Code::Ok);
    }
    if explained.steps.is_empty() {
        app.out.print(&format!("{} is {}: nothing waits", explained.id, explained.state))?;
        return Ok(Code::Ok);
    }
    let rows = explained.steps.into_iter();
    let rows = rows.map(|step| vec![step.step, step.state, step.why, step.lift.unwrap_or_default()]);
    let first = if matches!(id, Id::Run(_)) { "STEP" } else { "TASK" };
    app.out.print(&shown::table(&[first, "STATE", "WHY", "WHAT ENDS IT"], rows.collect()))?;
    Ok(Code::Ok)
}

fn select(explained: &mut Explanation, wanted: &str) -> Result<(), Failure> {
    let names: Vec<String> = explained.steps.iter().map(|step| step.step.clone()).collect();
    explained.steps.retain(|step| step.step == wanted);
    if !explained.steps.is_empty() {
        return Ok(());
    }
    let failure = Failure::not_found(format!("{} has no step `{wanted}` so far", explained.id));
    Err(match nearest(wanted, names.iter().map(String::as_str)) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help(format!("`kapelle runs show {}` lists its steps", explained.id)),
    })
}
