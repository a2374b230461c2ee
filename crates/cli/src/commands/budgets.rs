//! `kapelle budgets list|set|raise`: limits of spending.

use kapelle::{
    Money,
    core::{Account, TenantId},
};
use kapelle_api::{BudgetList, SetBudget};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    shown,
};

/// List, set and raise budgets.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the budgets, and what is spent of each
    List,
    /// Set the total that an account may spend, including what is spent already
    Set(Change),
    /// Raise the limit of an account by an amount
    Raise(Change),
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
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => list(app).await,
        Verb::Set(change) => set(app, &change, false).await,
        Verb::Raise(change) => set(app, &change, true).await,
    }
}

async fn list(app: &App) -> Result<Code, Failure> {
    let BudgetList { budgets } = ApiSession::reading(app)?.api().budgets().await?;
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
        let account = match TenantId(budget.tenant) {
            TenantId::DEFAULT => budget.account,
            TenantId(other) => format!("{} of tenant {other}", budget.account),
        };
        vec![account, limit.to_string(), spent.to_string(), format!("{percent} %")]
    });
    app.out.print(&shown::table(&["ACCOUNT", "LIMIT", "SPENT", "USED"], rows.collect()))?;
    Ok(Code::Ok)
}

async fn set(app: &App, change: &Change, raise: bool) -> Result<Code, Failure> {
    let account = Account::parse(&change.account).map_err(|error| Failure::usage(error.to_string()))?;
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
    let budget = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(budget))?;
    } else {
        app.out.print(&format!("{}{} may spend {limit}", account.shown(), of_tenant(change)))?;
    }
    Ok(Code::Ok)
}

fn of_tenant(change: &Change) -> String {
    if change.tenant == TenantId::DEFAULT.0 { String::new() } else { format!(" of tenant {}", change.tenant) }
}
