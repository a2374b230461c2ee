//! `kapelle calls list|show`: single calls of models.

use kapelle::Money;
use kapelle_api::{CallQuery, CallState, ModelCall};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    ids, moment, shown,
};

/// List and show calls of models.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List calls, newest first
    List(List),
    /// Show one call: its accounts, tokens, cost and recorded answer
    Show {
        /// An id such as call_7
        call: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only calls of this task
    #[arg(long)]
    task: Option<String>,
    /// Only calls of this run
    #[arg(long)]
    run: Option<String>,
    /// Only calls of this provider
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Only calls of this model, as the provider calls it, such as gpt-6-luna
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Only calls in this state: open, charged, free, unknown, or given: answered by another call
    #[arg(long, value_parser = ["open", "charged", "free", "unknown", "given"])]
    state: Option<String>,
    /// Only calls from then on: a time back from now, such as 7d, or a date, such as 2026-12-01
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    from: Option<String>,
    /// Only calls before then, as --from
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    to: Option<String>,
    /// The most rows
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Runs the verb.
///
/// # Errors
/// When the call does not exist, or an id is invalid.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List(args.list)) {
        Verb::List(list) => self::list(app, list).await,
        Verb::Show { call } => show(app, &ids::call(&call)?.to_string()).await,
    }
}

async fn list(app: &App, list: List) -> Result<Code, Failure> {
    let query = CallQuery {
        task: list.task.as_deref().map(ids::task).transpose()?.map(|task| task.to_string()),
        run: list.run.as_deref().map(ids::run).transpose()?.map(|run| run.to_string()),
        provider: list.provider,
        model: list.model,
        state: list.state,
        since: list.from,
        until: list.to,
        limit: Some(list.limit),
        cursor: None,
    };
    let page = ApiSession::reading(app)?.api().calls(query).await?;
    if app.out.json {
        app.out.print_json(&json!(page))?;
    } else if page.calls.is_empty() {
        app.out.note("no model calls");
    } else {
        let rows = page.calls.iter().map(|call| {
            vec![
                call.id.clone(),
                state(call).to_owned(),
                format!("{}/{}", call.provider, call.model),
                call.task.clone().unwrap_or_else(|| "-".to_owned()),
                Money(call.cost_nanousd).to_string(),
                call.input_tokens.to_string(),
                call.output_tokens.to_string(),
                shown::instant(&call.at),
            ]
        });
        let heading = ["CALL", "STATE", "MODEL", "TASK", "COST", "TOKENS IN", "OUT", "BEGAN"];
        app.out.print(&shown::table(&heading, rows.collect()))?;
    }
    Ok(Code::Ok)
}

async fn show(app: &App, id: &str) -> Result<Code, Failure> {
    let found = ApiSession::reading(app)?.api().call(id).await?;
    if app.out.json {
        app.out.print_json(&json!(found))?;
        return Ok(Code::Ok);
    }
    let call = &found.call;
    let mut facts = vec![
        ("state", state(call).to_owned()),
        ("model", format!("{}/{}", call.provider, call.model)),
        ("operation", call.operation.clone()),
        ("run", call.run.clone().unwrap_or_default()),
        ("task", call.task.as_ref().map_or_else(String::new, |task| format!("{task}, attempt {}", call.attempt))),
        ("began", shown::instant(&call.at)),
        ("ended", call.ended_at.as_deref().map(shown::instant).unwrap_or_default()),
        ("cost", format!("{} of {} reserved", Money(call.cost_nanousd), Money(call.reserved_nanousd))),
        ("tokens", format!("{} sent, {} received", call.input_tokens, call.output_tokens)),
        ("charged to", call.payers.join(", ")),
        ("provider's id", call.provider_request_id.clone().unwrap_or_default()),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    let mut text = format!("{}\n", call.id);
    for (name, value) in facts {
        text.push_str(&format!("{name:<14} {value}\n"));
    }
    match (&found.answer, found.answer_bytes) {
        (Some(answer), _) => text.push_str(&format!("\nanswer:\n{answer:#}\n")),
        (None, Some(bytes)) => text.push_str(&format!("\nthe answer of {bytes} bytes is too long to show\n")),
        (None, None) => text.push_str("\nits answer is not recorded\n"),
    }
    app.out.print(&text)?;
    Ok(Code::Ok)
}

fn state(call: &ModelCall) -> &'static str {
    match call.state {
        CallState::Open => "open",
        CallState::Charged => "charged",
        CallState::Free => "free",
        CallState::Unknown => "unknown",
        CallState::Given => "given",
    }
}
