//! `kapelle cost`: what was spent, and by whom; and every call, line by line.

use kapelle::{
    Money,
    core::{Account, AccountKind, RunId, TenantId, Timestamp, account},
    store::{CallFilter, CallRow, LedgerReader, Page, SqliteReader},
};
use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure},
    ids, shown,
};

/// Calls read at a time.
const PAGE: u32 = 1_000;

/// Show what was spent, and by whom.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// task, run, worker, queue, key, provider, model, tenant or day
    #[arg(long, default_value = "worker", value_parser = kind)]
    by: AccountKind,
    /// The most rows
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Print every call as a line of JSON, newest first: tenant, run, task, attempt, call, the provider's own id, and
    /// its cost
    #[arg(long)]
    export: bool,
    /// Export only the calls of this run
    #[arg(long, requires = "export")]
    run: Option<String>,
}

fn kind(word: &str) -> Result<AccountKind, String> {
    AccountKind::from_word(word)
        .ok_or_else(|| AccountKind::ALL.map(AccountKind::as_str).join(", "))
        .map_err(|words| format!("expected one of {words}"))
}

/// Runs the verb.
///
/// # Errors
/// When the folder does not exist, or cannot be read.
pub fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let reader = app.reader()?;
    if args.export {
        let run = args.run.as_deref().map(ids::run).transpose()?;
        return export(app, &reader, run);
    }
    // Anybody who may read the folder sees all of its content.
    let rows = match args.by {
        AccountKind::Tenant => reader.tenant_accounts(args.limit)?,
        by => reader.accounts(TenantId::DEFAULT, by, args.limit)?,
    };
    let name = |row: &kapelle::store::AccountRow| match &row.account {
        Account::Day => shown::time_exact(Timestamp(account::end_of(row.day - 1).0)).chars().take(10).collect(),
        Account::Tenant => format!("tenant {}", row.tenant.0),
        other => other.name(),
    };
    if app.out.json {
        let rows = rows.iter().map(|row| {
            json!({
                "name": name(row), "cost_nanousd": row.spent.0, "unknown_nanousd": row.unknown.0, "calls": row.calls,
                "input_tokens": row.input, "output_tokens": row.output,
            })
        });
        app.out.print_json(&json!({ "by": args.by.as_str(), "rows": rows.collect::<Vec<_>>() }))?;
        return Ok(Code::Ok);
    }
    if rows.is_empty() {
        app.out.note(&nobody(&reader, args.by)?);
        return Ok(Code::Ok);
    }
    let unknown = rows.iter().any(|row| row.unknown > Money::ZERO);
    let heading = args.by.as_str().to_uppercase();
    let lines = rows.iter().map(|row| {
        let numbers = [row.calls, row.input, row.output].map(|number| number.to_string());
        let mut line = vec![name(row), row.spent.to_string()];
        line.extend(numbers);
        line.extend(unknown.then(|| shown::money(row.unknown)));
        line
    });
    let mut headings = vec![heading.as_str(), "COST", "CALLS", "TOKENS IN", "OUT"];
    headings.extend(unknown.then_some("OF IT UNKNOWN"));
    app.out.print(&shown::table(&headings, lines.collect()))?;
    Ok(Code::Ok)
}

/// Reports that this kind of account has no calls, and names the views that have some.
fn nobody(reader: &SqliteReader, by: AccountKind) -> Result<String, Failure> {
    let mut others = Vec::new();
    for kind in AccountKind::ALL.into_iter().filter(|kind| !matches!(kind, AccountKind::Tenant) && *kind != by) {
        if !reader.accounts(TenantId::DEFAULT, kind, 1)?.is_empty() {
            others.push(format!("--by {}", kind.as_str()));
        }
    }
    Ok(match others.as_slice() {
        [] => "no model calls yet".to_owned(),
        others => format!("no {} asked a model; see `kapelle cost` with {}", by.as_str(), others.join(", ")),
    })
}

fn export(app: &App, reader: &SqliteReader, run: Option<RunId>) -> Result<Code, Failure> {
    let mut before = None;
    loop {
        let page = Page { before, most: PAGE };
        let rows = reader.calls(TenantId::DEFAULT, CallFilter { task: None, run }, page)?;
        let Some(last) = rows.last() else { return Ok(Code::Ok) };
        before = Some(last.id.0);
        for row in &rows {
            app.out.print(&line(row).to_string())?;
        }
    }
}

fn line(row: &CallRow) -> serde_json::Value {
    json!({
        "tenant": row.tenant.0,
        "run": row.run.map(|run| run.to_string()),
        "task": row.task.map(|task| task.to_string()),
        "attempt": row.attempt,
        "call": row.id.to_string(),
        "provider_request_id": row.request_id.as_deref(),
        "provider": &*row.provider,
        "model": &*row.model,
        "operation": &*row.operation,
        "state": row.state.as_str(),
        "payers": row.payer.iter().map(Account::written).collect::<Vec<_>>(),
        "reserved_nanousd": row.reserved.0,
        "cost_nanousd": row.cost.0,
        "input_tokens": row.input,
        "output_tokens": row.output,
        "at": shown::time_exact(row.at),
        "ended_at": row.ended_at.map(shown::time_exact),
    })
}
