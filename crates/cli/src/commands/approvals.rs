//! `kapelle approvals list|approve|deny`.

use kapelle::core::plain;
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
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

/// Runs the verb.
///
/// # Errors
/// When the step does not exist, or does not wait for an answer.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => list(app).await,
        Verb::Approve(answer) => tell(app, &answer, true).await,
        Verb::Deny(answer) => tell(app, &answer, false).await,
    }
}

async fn list(app: &App) -> Result<Code, Failure> {
    let list = ApiSession::reading(app)?.api().approvals().await?;
    if app.out.json {
        app.out.print_json(&json!(list))?;
        return Ok(Code::Ok);
    }
    if list.approvals.is_empty() {
        app.out.note("nothing waits for an approval");
        return Ok(Code::Ok);
    }
    let rows = list.approvals.into_iter().map(|asked| {
        let question = asked.question.as_str().map_or_else(|| asked.question.to_string(), str::to_owned);
        let until = asked.until.as_deref().map_or_else(|| "-".to_owned(), shown::instant);
        let (run, step) = (asked.run.unwrap_or_default(), asked.step.unwrap_or_default());
        vec![asked.id, run, step, shown::instant(&asked.created_at), until, question]
    });
    app.out.print(&shown::table(&["TASK", "RUN", "STEP", "SINCE", "UNTIL", "QUESTION"], rows.collect()))?;
    app.out.note("Answer with: kapelle approvals approve TASK, or deny TASK --comment WHY");
    Ok(Code::Ok)
}

async fn tell(app: &App, answer: &Answer, approved: bool) -> Result<Code, Failure> {
    let id = ids::task(&answer.task)?;
    let user = || std::env::var("USER").ok().filter(|name| !name.is_empty());
    let by = plain::line(&answer.by.clone().or_else(user).unwrap_or_else(|| "someone".to_owned()));
    let given = kapelle_api::Answer { by: Some(by.clone()), comment: Some(answer.comment.clone()) };
    let session = ApiSession::open_existing(app).await?;
    let is_local = session.is_local();
    let done = session.api().answer(&id.to_string(), approved, given).await;
    let task = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(task))?;
        return Ok(Code::Ok);
    }
    let word = if approved { "approved" } else { "denied" };
    app.out.print(&format!("{id} {word} by {by}"))?;
    if let Some(run) = task.run.filter(|_| is_local) {
        app.out.note(&format!("Go on with: {}", app.resume_line(&run)));
    }
    Ok(Code::Ok)
}
