//! `kapelle approvals list|approve|deny`.

use kapelle::{
    TaskId,
    core::{
        TenantId, plain,
        task::{StateKind, Task, TaskState, WaitFor},
    },
    store::{Page, Reader, SqliteReader, TaskFilter},
};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    describe,
    failure::{Code, Failure},
    ids, shown,
};

/// Answer steps that wait for a person.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the steps that wait for an answer
    List,
    /// Approve: the step succeeds
    Approve(Answer),
    /// Deny: the step fails
    Deny(Answer),
}

#[derive(Debug, clap::Args)]
struct Answer {
    /// The step, such as task_12
    task: String,
    /// A comment on the answer
    #[arg(long, default_value = "")]
    comment: String,
    /// The person who answers [default: the user of the system]
    #[arg(long)]
    by: Option<String>,
}

/// Rows read at a time.
const PAGE: u32 = 1_000;

/// Runs the verb.
///
/// # Errors
/// When the step does not exist, or does not wait for an answer.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => list(app),
        Verb::Approve(answer) => tell(app, &answer, true).await,
        Verb::Deny(answer) => tell(app, &answer, false).await,
    }
}

fn waiting(reader: &SqliteReader) -> Result<Vec<Task>, Failure> {
    let filter = TaskFilter { state: Some(StateKind::Waiting), steps: true, ..TaskFilter::default() };
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = reader.tasks(TenantId::DEFAULT, &filter, Page { before, most: PAGE })?;
        let Some(last) = page.last() else { break };
        before = Some(last.id.0);
        let asks = |task: &Task| matches!(&task.state, TaskState::Waiting(WaitFor::Approval { .. }));
        found.extend(page.into_iter().filter(asks));
    }
    found.reverse();
    Ok(found)
}

fn list(app: &App) -> Result<Code, Failure> {
    let reader = app.reader()?;
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for task in waiting(&reader)? {
        let question = describe::value(&reader, &task.input)?;
        let question = question.as_str().map_or_else(|| question.to_string(), str::to_owned);
        let (run, step) = task
            .origin
            .as_ref()
            .map_or_else(Default::default, |origin| (origin.run.to_string(), origin.path.to_string()));
        let until = match &task.state {
            TaskState::Waiting(wait) => wait.until(),
            _ => None,
        };
        values.push(json!({
            "task": task.id.to_string(), "run": run, "step": step, "question": question,
            "since": shown::time_exact(task.created_at), "until": until.map(shown::time_exact),
        }));
        let until = until.map_or_else(|| "-".to_owned(), shown::time);
        rows.push(vec![task.id.to_string(), run, step, shown::time(task.created_at), until, question]);
    }
    if app.out.json {
        app.out.print_json(&json!({ "approvals": values }))?;
    } else if rows.is_empty() {
        app.out.note("nothing waits for an approval");
    } else {
        app.out.print(&shown::table(&["TASK", "RUN", "STEP", "SINCE", "UNTIL", "QUESTION"], rows))?;
        app.out.note("Answer with: kapelle approvals approve TASK, or deny TASK --comment WHY");
    }
    Ok(Code::Ok)
}

async fn tell(app: &App, answer: &Answer, approved: bool) -> Result<Code, Failure> {
    let id: TaskId = ids::task(&answer.task)?;
    let reader = app.reader()?;
    let task = reader.task(TenantId::DEFAULT, id)?.ok_or_else(|| Failure::not_found(format!("{id} does not exist")))?;
    let user = || std::env::var("USER").ok().filter(|name| !name.is_empty());
    let by = plain::line(&answer.by.clone().or_else(user).unwrap_or_else(|| "someone".to_owned()));
    let given = kapelle_api::Answer { by: Some(by.clone()), comment: Some(answer.comment.clone()) };
    let session = ApiSession::open(app).await?;
    let is_local = session.is_local();
    let done = session.api().answer(&id.to_string(), approved, given).await;
    session.close(done).await?;
    let word = if approved { "approved" } else { "denied" };
    let run = task.origin.map(|origin| origin.run.to_string());
    if app.out.json {
        app.out.print_json(&json!({ "task": id.to_string(), "run": run, "answer": word, "by": by }))?;
        return Ok(Code::Ok);
    }
    app.out.print(&format!("{id} {word} by {by}"))?;
    if let Some(run) = run.filter(|_| is_local) {
        app.out.note(&format!("Go on with: {}", app.resume_line(&run)));
    }
    Ok(Code::Ok)
}
