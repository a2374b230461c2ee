//! `kapelle logs RUN|TASK`: the events of a run or task, line by line.

use kapelle_api::{Api, JournalQuery, Run, Task, TaskState};
use serde_json::json;

use super::script_logs;
use crate::{
    api_session::ApiSession,
    app::App,
    describe,
    failure::{Code, Failure},
    ids::{self, Id},
    journal_lines::Lines,
    scripts, shown,
};

/// Entries read at a time.
const PAGE: u32 = 1_000;

/// Show the events of a run or task, or the output of a script, line by line.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Lines of a script show the number of its process (0 for one that worked on a single task) and \
                        the stream: out, err, or kapelle for starts and ends."
)]
pub struct Args {
    /// An id such as run_3 or task_12, or the name of a script
    #[arg(value_name = "RUN|TASK|SCRIPT")]
    id: String,
    /// For a script: follow its output
    #[arg(short, long)]
    follow: bool,
    /// For a script: the number of last lines
    #[arg(long, value_name = "N", default_value_t = 100)]
    tail: usize,
}

/// Runs the verb.
///
/// # Errors
/// When the run or task does not exist.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let id = match ids::any(&args.id) {
        Ok(id) => id,
        Err(wrong) => {
            // Not an id: the name of a script, perhaps.
            let session = ApiSession::reading_any(app)?;
            let all = session.api().scripts().await?.scripts;
            return match scripts::id(&all, &args.id) {
                Ok(id) => script_logs::run(app, &session, &id, (args.tail, args.follow)).await,
                Err(_) if all.is_empty() => Err(wrong),
                Err(failure) => Err(failure),
            };
        }
    };
    let session = ApiSession::reading(app)?;
    match id {
        Id::Run(run) => {
            let run = session.api().run(&run.to_string(), 0).await?;
            print_run(app, session.api(), &run, 0).await?;
        }
        Id::Task(task) => of_task(app, &session.api().task_details(&task.to_string()).await?)?,
    }
    Ok(Code::Ok)
}

/// Prints the journal of a run from an entry on. Returns the number of the next entry.
///
/// # Errors
/// When it cannot be read.
pub async fn print_run(app: &App, api: &dyn Api, run: &Run, mut from: u64) -> Result<u64, Failure> {
    let mut lines = Lines::of(run);
    loop {
        let page = api.journal(&run.id, JournalQuery { from: Some(from), limit: Some(PAGE) }).await?;
        if page.entries.is_empty() {
            return Ok(from);
        }
        from = page.next;
        for entry in &page.entries {
            lines.learn(entry);
            if app.out.json {
                // One object a line, so that a long journal can be read as it comes.
                app.out.print(&serde_json::to_string(entry).unwrap_or_default())?;
                continue;
            }
            let mut line = format!("{} {}", entry.at, lines.text(entry));
            if entry.event == "scope_failed" {
                let task = entry.fields.get("task").and_then(|task| task.as_str()).unwrap_or_default();
                line.push_str(&failed_attempts(&api.task_details(task).await?));
            }
            app.out.print(&line)?;
        }
    }
}

/// Returns the attempts of a failed step, to be printed below its failure.
fn failed_attempts(task: &Task) -> String {
    let mut text = String::new();
    for attempt in &task.attempts {
        let span = shown::between(&attempt.started_at, &attempt.ended_at).map_or_else(String::new, shown::duration);
        let error = describe::error_text(&attempt.error);
        text.push_str(&format!("\n  attempt {} failed after {span}: {error}", attempt.number));
    }
    text
}

fn of_task(app: &App, task: &Task) -> Result<(), Failure> {
    for (at, event, text) in events(task) {
        let line = json!({ "at": at, "event": event, "text": text });
        app.out.print(&if app.out.json { line.to_string() } else { format!("{at} {text}") })?;
    }
    Ok(())
}

/// Returns the events of a task: time, kind, and text.
fn events(task: &Task) -> Vec<(String, &'static str, String)> {
    let id = &task.id;
    let submitted = format!("{id} submitted for {} in queue {}", task.worker, task.queue);
    let mut lines = vec![(task.created_at.clone(), "submitted", submitted)];
    for attempt in &task.attempts {
        lines.push((attempt.started_at.clone(), "attempt_started", format!("attempt {} began", attempt.number)));
        let failed = format!("attempt {} failed: {}", attempt.number, describe::error_text(&attempt.error));
        lines.push((attempt.ended_at.clone(), "attempt_failed", failed));
    }
    if let Some(started) = &task.started_at {
        lines.push((started.clone(), "attempt_started", format!("attempt {} began", task.attempt)));
    }
    let reason = task.reason.clone().unwrap_or_default();
    let error = task.error.as_ref().map(describe::error_text).unwrap_or_default();
    let ended = task.ended_at.clone().unwrap_or_default();
    match task.state {
        TaskState::Succeeded => {
            let from = &task.provenance;
            let by = from.provider.as_ref().map_or_else(String::new, |provider| format!(", answered by {provider}"));
            let degraded = from.degraded_reason.as_ref().map_or_else(String::new, |why| format!(", degraded: {why}"));
            lines.push((ended, "succeeded", format!("{id} succeeded{by}{degraded}")));
        }
        TaskState::Failed => lines.push((ended, "failed", format!("{id} failed: {error}"))),
        TaskState::Discarded => lines.push((ended, "discarded", format!("{id} discarded: {reason}"))),
        TaskState::Cancelled | TaskState::Skipped => {
            lines.push((ended, task.state.as_str(), format!("{id} {}: {reason}", task.state)));
        }
        TaskState::Running => {}
        // The last line is its state now.
        waits => lines.push((task.created_at.clone(), waits.as_str(), format!("{id} is {waits}: {reason}"))),
    }
    lines
}
