//! `kapelle budgets list|set|raise|reset`: limits of spending.

use std::collections::BTreeMap;

use kapelle::{
    Money,
    core::{Account, TenantId, definition::nearest},
    scripts::scan::named,
};
use kapelle_api::{Api, Budget, BudgetList, ResetBudget, SetBudget};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    shown,
};

/// List, set, raise and reset budgets.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the budgets, what is spent of each, and where its limit comes from
    List {
        /// Also list the tokens of earlier processes of scripts
        #[arg(long)]
        all: bool,
    },
    /// Set the total that an account may spend, including what is spent already
    Set(Change),
    /// Raise the limit of an account by an amount
    Raise(Change),
    /// Give an account the limit of kapelle.yaml again; without one it is unlimited
    Reset {
        /// day, tenant, worker:NAME, queue:NAME or key:NAME
        account: String,
        /// The tenant of the account
        #[arg(long, default_value_t = TenantId::DEFAULT.0, value_parser = clap::value_parser!(u32).range(1..))]
        tenant: u32,
    },
}

/// An account and an amount.
#[derive(Debug, clap::Args)]
struct Change {
    /// day, tenant, task_7, run_3, worker:NAME, queue:NAME or key:NAME
    account: String,
    /// Dollars, such as 2.50
    amount: String,
    /// The tenant of the account
    #[arg(long, default_value_t = TenantId::DEFAULT.0, value_parser = clap::value_parser!(u32).range(1..))]
    tenant: u32,
}

/// Runs the verb.
///
/// # Errors
/// When the account is unknown, the amount is invalid, or the folder cannot be opened.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List { all: false }) {
        Verb::List { all } => list(app, all).await,
        Verb::Reset { account, tenant } => reset(app, account, tenant).await,
        Verb::Set(change) => set(app, &change, false).await,
        Verb::Raise(change) => set(app, &change, true).await,
    }
}

async fn list(app: &App, all: bool) -> Result<Code, Failure> {
    let BudgetList { mut budgets } = ApiSession::reading(app)?.api().budgets().await?;
    if !all {
        latest_processes(app, &mut budgets);
    }
    if app.out.json {
        app.out.print_json(&json!(BudgetList { budgets }))?;
        return Ok(Code::Ok);
    }
    if budgets.is_empty() {
        app.out.note("no budgets: `kapelle budgets set day 10` limits spending to $10 a day");
        return Ok(Code::Ok);
    }
    let rows = budgets.into_iter().map(|budget| {
        let (limit, spent) = (Money(budget.limit_nanousd), Money(budget.spent_nanousd));
        let percent = (u128::from(spent.0) * 100).checked_div(u128::from(limit.0)).unwrap_or(100);
        let from = origin(&budget);
        let account = match TenantId(budget.tenant) {
            TenantId::DEFAULT => budget.account,
            TenantId(other) => format!("{} of tenant {other}", budget.account),
        };
        vec![account, limit.to_string(), spent.to_string(), format!("{percent} %"), from]
    });
    app.out.print(&shown::table(&["ACCOUNT", "LIMIT", "SPENT", "USED", "FROM"], rows.collect()))?;
    Ok(Code::Ok)
}

/// Says where the limit of a budget comes from.
fn origin(budget: &Budget) -> String {
    let at = budget.set_at.split('.').next().unwrap_or_default().replace('T', " ");
    let at = at.trim_end_matches('Z');
    match &budget.set_by {
        _ if budget.of_file => "kapelle.yaml".to_owned(),
        _ if budget.account.starts_with("process ") => "max_cost of its settings".to_owned(),
        Some(who) => format!("by hand, {who}, {at}Z"),
        None if budget.account.starts_with("key:") => format!("the key, {at}Z"),
        None => format!("by hand, {at}Z"),
    }
}

/// Replaces the tokens of processes by the names of the processes, and removes those of earlier ones. A token is named
/// after the id of its script, the number of the process and its start.
fn latest_processes(app: &App, budgets: &mut Vec<Budget>) {
    let scripts: BTreeMap<String, String> = named(&app.project.workers()).into_iter().collect();
    let mut latest: BTreeMap<String, (u64, Budget)> = BTreeMap::new();
    budgets.retain(|budget| {
        let Some(token) = budget.account.strip_prefix("token:") else { return true };
        let mut parts = token.splitn(3, '.');
        let (Some(id), Some(number), Some(start)) = (parts.next(), parts.next(), parts.next()) else { return false };
        if let (Some(name), Ok(start)) = (scripts.get(id), start.parse::<u64>()) {
            let account = format!("process {name}.{number}");
            let named = Budget { account: account.clone(), ..budget.clone() };
            match latest.get(&account) {
                Some((known, _)) if *known > start => {}
                _ => drop(latest.insert(account, (start, named))),
            }
        }
        false
    });
    budgets.extend(latest.into_values().map(|(_, budget)| budget));
}

async fn reset(app: &App, account: String, tenant: u32) -> Result<Code, Failure> {
    let session = ApiSession::open(app).await?;
    let done = session.api().reset_budget(ResetBudget { account, tenant: Some(tenant) }).await;
    let reset = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(reset))?;
    } else {
        let limit = reset
            .limit_nanousd
            .map_or_else(|| "is unlimited".to_owned(), |limit| format!("may spend {}", Money(limit)));
        app.out.print(&format!("{} {limit}", reset.account))?;
    }
    Ok(Code::Ok)
}

async fn set(app: &App, change: &Change, raise: bool) -> Result<Code, Failure> {
    let account = parsed(&change.account)?;
    let amount = Money::parse(&change.amount).map_err(|error| Failure::usage(error.to_string()))?;
    let limit = if raise {
        let known = ApiSession::reading(app)?.api().budgets().await?.budgets;
        let known = known.into_iter().find(|known| known.account == account.written() && known.tenant == change.tenant);
        let known = known.ok_or_else(|| {
            Failure::not_found(format!("{} has no budget yet", account.shown()))
                .help(format!("`kapelle budgets set {} AMOUNT` gives it one", account.written()))
        })?;
        Money(known.limit_nanousd).checked_add(amount).ok_or_else(|| Failure::usage("the amount is too large"))?
    } else {
        amount
    };
    let wanted = SetBudget { account: account.written(), limit_nanousd: limit.0, tenant: Some(change.tenant) };
    let session = ApiSession::open(app).await?;
    let done = session.api().set_budget(wanted).await;
    let unknown = unknown(session.api(), &account).await;
    let budget = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(budget))?;
    } else {
        app.out.print(&format!("{}{} may spend {limit}", account.shown(), of_tenant(change)))?;
    }
    if let Some(warning) = unknown.filter(|_| change.tenant == TenantId::DEFAULT.0) {
        app.out.warn(&warning);
    }
    Ok(Code::Ok)
}

/// Parses the name of an account.
fn parsed(text: &str) -> Result<Account, Failure> {
    Account::parse(text).map_err(|error| {
        let failure = Failure::usage(error.to_string());
        match text.strip_prefix("tenant:") {
            Some(number) => failure.help(format!("the number of a tenant stands apart: `tenant --tenant {number}`")),
            None => failure,
        }
    })
}

/// Returns a warning about an account that nobody is known to spend from, with a similar name. A worker, queue or key
/// may be made later.
async fn unknown(api: &dyn Api, account: &Account) -> Option<String> {
    let (kind, name, known) = match account {
        Account::Worker(name) => {
            let mut known: Vec<String> = api.workers().await.ok()?.workers.into_iter().map(|one| one.name).collect();
            // Daemons take no tasks and are no workers of that list.
            known.extend(api.scripts().await.ok()?.scripts.into_iter().map(|script| script.name));
            ("worker or script", name, known)
        }
        Account::Queue(name) => {
            ("queue", name, api.queues().await.ok()?.queues.into_iter().map(|queue| queue.name).collect())
        }
        Account::Key(name) => ("key", name, api.keys().await.ok()?.keys.into_iter().map(|key| key.id).collect()),
        _ => return None,
    };
    if known.iter().any(|one| one == name) {
        return None;
    }
    let near = nearest(name, known.iter().map(String::as_str));
    let hint = near.map_or_else(|| "it is kept for one".to_owned(), |near| format!("did you mean `{near}`?"));
    Some(format!("no {kind} is called `{name}`; {hint}"))
}

fn of_tenant(change: &Change) -> String {
    if change.tenant == TenantId::DEFAULT.0 { String::new() } else { format!(" of tenant {}", change.tenant) }
}
