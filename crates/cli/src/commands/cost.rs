//! `kapelle cost`: what was spent, and by whom; and every call, line by line.

use kapelle::{Money, core::AccountKind};
use kapelle_api::{Api, CallQuery, CostOfPeriod, CostQuery, CostReport};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    ids, moment, shown,
};

/// Calls read at a time.
const PAGE: u32 = 1_000;
/// Characters of the longest bar.
const BAR: u32 = 24;

/// Show what was spent, and by whom.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// task, run, worker, queue, key, token, provider, model, tenant or day; several with commas, such as worker,day
    /// [default: worker; with --per all together]
    #[arg(long, value_name = "KIND,...", value_parser = kinds)]
    by: Option<String>,
    /// A row for each hour, day or month (UTC); by default of the last day, 30 days, or year
    #[arg(long, value_parser = ["hour", "day", "month"], conflicts_with = "export")]
    per: Option<String>,
    /// Only calls from then on: a time back from now, such as 7d, or a date, such as 2026-12-01. Sums are of whole hours
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    from: Option<String>,
    /// Only calls before then, as --from
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    to: Option<String>,
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
    /// Only calls of this model, as the provider calls it, such as gpt-6-luna
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
        by: args.by.clone().or_else(|| args.per.is_none().then(|| "worker".to_owned())),
        per: args.per.clone(),
        from: args.from.clone(),
        to: args.to.clone(),
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
    } else if report.per.is_some() {
        app.out.print(&per_period(&report, args.by.is_some()))?;
        app.out.note(&total(&report));
    } else {
        app.out.print(&table(&report))?;
        if report.from.is_some() {
            app.out.note(&total(&report));
        }
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

/// Formats a row for each period; of several names, one for each that has calls in it.
fn per_period(report: &CostReport, named: bool) -> String {
    let most = if named { report.rows.iter().collect() } else { vec![&report.total] };
    let most = most.iter().flat_map(|row| &row.periods).map(|sums| sums.cost_nanousd).max().unwrap_or(0);
    let line = |start: &str, names: &[String], sums: &CostOfPeriod| {
        let mut line = vec![start.to_owned()];
        line.extend_from_slice(names);
        line.push(Money(sums.cost_nanousd).to_string());
        line.extend([sums.calls, sums.given_calls, sums.input_tokens, sums.output_tokens].map(|n| n.to_string()));
        line.push(bar(sums.cost_nanousd, most));
        line
    };
    let mut lines = Vec::new();
    for (at, start) in report.periods.iter().enumerate() {
        let start = shortened(start, report.per.as_deref());
        if !named {
            lines.extend(report.total.periods.get(at).map(|sums| line(&start, &[], sums)));
            continue;
        }
        for row in &report.rows {
            let names = if row.names.is_empty() { std::slice::from_ref(&row.name) } else { row.names.as_slice() };
            let sums = row.periods.get(at).filter(|sums| sums.calls + sums.given_calls > 0);
            lines.extend(sums.map(|sums| line(&start, names, sums)));
        }
    }
    let kinds: Vec<String> = report.by.split(',').map(str::to_uppercase).collect();
    let mut headings = vec!["FROM"];
    headings.extend(kinds.iter().map(String::as_str).filter(|_| named));
    headings.extend(["COST", "CALLS", "REUSED", "TOKENS IN", "OUT", ""]);
    shown::table(&headings, lines)
}

/// Shortens the start of a period: `2026-12-01 10:00`, `2026-12-01`, `2026-12`.
fn shortened(start: &str, per: Option<&str>) -> String {
    let length = match per {
        Some("month") => 7,
        Some("day") => 10,
        _ => 16,
    };
    start.chars().take(length).collect::<String>().replace('T', " ")
}

/// Draws an amount beside the highest one. An amount above zero is never without a mark.
fn bar(amount: u64, most: u64) -> String {
    let eighths = if most == 0 { 0 } else { u128::from(amount) * u128::from(BAR) * 8 / u128::from(most) };
    let eighths = usize::try_from(eighths).unwrap_or(0).max(usize::from(amount > 0));
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    format!("{}{}", "█".repeat(eighths / 8), rest.get(eighths % 8).unwrap_or(&""))
}

/// Says what the rows add up to, and over which time.
fn total(report: &CostReport) -> String {
    let clock = |time: &Option<String>| shortened(time.as_deref().unwrap_or_default(), Some("hour"));
    format!(
        "{} for {} {} from {} to {} UTC; reused answers cost nothing",
        Money(report.total.cost_nanousd),
        report.total.calls,
        if report.total.calls == 1 { "call" } else { "calls" },
        clock(&report.from),
        clock(&report.to)
    )
}

/// Reports that this kind of account has no calls, and names the views that have some.
async fn nobody(api: &dyn Api, args: &Args) -> Result<String, Failure> {
    if args.worker.is_some() || args.run.is_some() || args.model.is_some() {
        let what = [("worker", &args.worker), ("run", &args.run), ("model", &args.model)];
        let what = what.iter().filter_map(|(kind, name)| Some(format!("{kind} {}", name.as_ref()?)));
        return Ok(format!("no model calls of {}", what.collect::<Vec<_>>().join(" and ")));
    }
    if args.from.is_some() || args.to.is_some() || args.per.is_some() {
        return Ok("no model calls in this time".to_owned());
    }
    let asked = args.by.as_deref().unwrap_or("worker");
    let mut others = Vec::new();
    for kind in AccountKind::ALL.into_iter().filter(|kind| !matches!(kind, AccountKind::Tenant)) {
        let query = CostQuery { by: Some(kind.as_str().to_owned()), limit: Some(1), ..CostQuery::default() };
        if kind.as_str() != asked && !api.cost(query).await?.rows.is_empty() {
            others.push(format!("--by {}", kind.as_str()));
        }
    }
    Ok(match others.as_slice() {
        [] => "no model calls yet".to_owned(),
        others => format!("no {asked} asked a model; see `kapelle cost` with {}", others.join(", ")),
    })
}

async fn export(app: &App, api: &dyn Api, (run, args): (Option<String>, &Args)) -> Result<Code, Failure> {
    let (model, since, until) = (args.model.clone(), args.from.clone(), args.to.clone());
    let mut query = CallQuery { run, model, since, until, limit: Some(PAGE), ..CallQuery::default() };
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
