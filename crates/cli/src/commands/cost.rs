//! `kapelle cost`: what was spent, and by whom; and every call, line by line.

use kapelle::{
    Money,
    core::{AccountKind, DurationMs},
    engine::{Clock, SystemClock},
};
use kapelle_api::{Api, CallQuery, CostQuery, CostReport};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    ids, shown,
};

/// Calls read at a time.
const PAGE: u32 = 1_000;

/// Show what was spent, and by whom.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// task, run, worker, queue, key, token, provider, model, tenant or day; several with commas, such as worker,day
    #[arg(long, default_value = "worker", value_name = "KIND,...", value_parser = kinds)]
    by: String,
    /// Only calls since then: a time back from now, such as 7d, or a date, such as 2026-12-01
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
    /// The most rows
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Print every call as a line of JSON, newest first: tenant, run, task, attempt, call, the provider's own id, and
    /// its cost
    #[arg(long)]
    export: bool,
    /// Only calls of this worker's tasks, or of the script of that name
    #[arg(long, value_name = "NAME", conflicts_with = "export")]
    worker: Option<String>,
    /// Only calls of this run
    #[arg(long)]
    run: Option<String>,
    /// Only calls of this model, as the provider calls it, such as gpt-4o-mini
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

fn kinds(words: &str) -> Result<String, String> {
    let unknown = words.split(',').find(|word| AccountKind::from_word(word).is_none());
    match unknown {
        None => Ok(words.to_owned()),
        Some(_) => Err(format!("expected some of {}", AccountKind::ALL.map(AccountKind::as_str).join(", "))),
    }
}

fn since(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is neither a time back, such as 7d, nor a date, such as 2026-12-01");
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return Ok(format!("{date}T00:00:00Z"));
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.to_string());
    }
    let back = DurationMs::parse(text).map_err(|_| wrong())?;
    let now = SystemClock::default().now().0;
    let at = i64::try_from(back.0).ok().and_then(|back| jiff::Timestamp::from_millisecond(now - back).ok());
    at.map(|at| at.to_string()).ok_or_else(wrong)
}

/// Runs the verb.
///
/// # Errors
/// When the folder does not exist, or cannot be read.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let api = session.api();
    let run = args.run.as_deref().map(ids::run).transpose()?.map(|run| run.to_string());
    if args.export {
        return export(app, api, (run, args)).await;
    }
    let query = CostQuery {
        by: Some(args.by.clone()),
        since: args.since.clone(),
        worker: args.worker.clone(),
        run,
        model: args.model.clone(),
        limit: Some(args.limit),
    };
    let report = api.cost(query).await?;
    if app.out.json {
        app.out.print_json(&json!(report))?;
    } else if report.rows.is_empty() {
        app.out.note(&nobody(api, args).await?);
    } else {
        app.out.print(&table(&report))?;
    }
    Ok(Code::Ok)
}

fn table(report: &CostReport) -> String {
    let unknown = report.rows.iter().any(|row| row.unknown_nanousd > 0);
    let kinds: Vec<String> = report.by.split(',').map(str::to_uppercase).collect();
    let lines = report.rows.iter().map(|row| {
        let mut line: Vec<String> = if kinds.len() == 1 { vec![row.name.clone()] } else { row.names.clone() };
        line.push(Money(row.cost_nanousd).to_string());
        line.extend([row.calls, row.input_tokens, row.output_tokens].map(|number| number.to_string()));
        line.extend(unknown.then(|| shown::money(Money(row.unknown_nanousd))));
        line
    });
    let mut headings: Vec<&str> = kinds.iter().map(String::as_str).collect();
    headings.extend(["COST", "CALLS", "TOKENS IN", "OUT"]);
    headings.extend(unknown.then_some("UNKNOWN"));
    shown::table(&headings, lines.collect())
}

/// Reports that this kind of account has no calls, and names the views that have some.
async fn nobody(api: &dyn Api, args: &Args) -> Result<String, Failure> {
    if args.worker.is_some() || args.run.is_some() || args.model.is_some() {
        let what = [("worker", &args.worker), ("run", &args.run), ("model", &args.model)];
        let what = what.iter().filter_map(|(kind, name)| Some(format!("{kind} {}", name.as_ref()?)));
        return Ok(format!("no model calls of {}", what.collect::<Vec<_>>().join(" and ")));
    }
    if args.since.is_some() {
        return Ok("no model calls since then".to_owned());
    }
    let mut others = Vec::new();
    for kind in AccountKind::ALL.into_iter().filter(|kind| !matches!(kind, AccountKind::Tenant)) {
        let query = CostQuery { by: Some(kind.as_str().to_owned()), limit: Some(1), ..CostQuery::default() };
        if kind.as_str() != args.by && !api.cost(query).await?.rows.is_empty() {
            others.push(format!("--by {}", kind.as_str()));
        }
    }
    Ok(match others.as_slice() {
        [] => "no model calls yet".to_owned(),
        others => format!("no {} asked a model; see `kapelle cost` with {}", args.by, others.join(", ")),
    })
}

async fn export(app: &App, api: &dyn Api, (run, args): (Option<String>, &Args)) -> Result<Code, Failure> {
    let (model, since) = (args.model.clone(), args.since.clone());
    let mut query = CallQuery { run, model, since, limit: Some(PAGE), ..CallQuery::default() };
    loop {
        let page = api.calls(query.clone()).await?;
        for call in &page.calls {
            app.out.print(&serde_json::to_string(call).unwrap_or_default())?;
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return Ok(Code::Ok);
        }
    }
}
