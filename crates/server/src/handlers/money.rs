//! Budgets, cost and calls.

use axum::http::StatusCode;
use kapelle::{
    Money,
    core::{Account, AccountKind, RunId, TaskId, TenantId, account},
    engine::{LimitBy, NO_LIMIT, command},
    store::{AccountRow, BudgetRow, CallFilter, CallRow},
};
use kapelle_api as api;
use serde::Deserialize;

use crate::{
    auth::Role,
    call::{Call, json, ok},
    cursor,
    problem::Problem,
    route::Answer,
    shown,
};

/// Rows of a report when nobody says.
const ROWS: u32 = 100;

/// Whether somebody sees the money of all tenants: admins of the first.
fn sees_all(call: &Call) -> bool {
    call.tenant() == TenantId::DEFAULT && call.who.role == Role::Admin
}

/// `GET /api/v1/budgets`: those of the caller's tenant; of all tenants for admins of the first.
pub async fn budgets(call: Call) -> Answer {
    let (tenant, all) = (call.tenant(), sees_all(&call));
    let listed = call.list(move |app| {
        let found = if all { app.kapelle.all_budgets()? } else { app.kapelle.budgets(tenant)? };
        Ok(api::BudgetList { budgets: found.iter().map(|(row, spent)| budget(row, *spent)).collect() })
    });
    ok(&listed.await?)
}

fn budget(row: &BudgetRow, spent: Money) -> api::Budget {
    api::Budget {
        tenant: row.tenant.0,
        account: row.account.written(),
        limit_nanousd: row.limit.0,
        spent_nanousd: spent.0,
        set_at: shown::time(row.at),
    }
}

/// `POST /api/v1/budgets`
pub async fn set(call: Call) -> Answer {
    let given: api::SetBudget = call.json()?;
    let account =
        Account::parse(&given.account).map_err(|error| Problem::unprocessable(format!("account: {error}")))?;
    let limit = Money(given.limit_nanousd);
    if matches!(account, Account::Provider(_) | Account::Model(_)) {
        return Err(Problem::unprocessable("account: what a provider or a model may cost is not limited"));
    }
    if limit >= NO_LIMIT {
        return Err(Problem::unprocessable("limit_nanousd: this is more than can be counted"));
    }
    let owner = call.tenant() == TenantId::DEFAULT;
    let tenant = TenantId(given.tenant.unwrap_or(call.tenant().0));
    if tenant != call.tenant() && !owner {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            api::code::FORBIDDEN,
            "tenant: only admins of tenant 1 set the budgets of other tenants",
        ));
    }
    if tenant == TenantId::EACH {
        return Err(Problem::unprocessable("tenant: 0 is not a tenant; expected 1 or more"));
    }
    if !owner {
        within_given(&call, &account, limit).await?;
    }
    let missing = match &account {
        Account::Task(id) => call.app.engine().reader().task(tenant, *id)?.is_none(),
        Account::Run(id) => call.app.engine().reader().run(tenant, *id)?.is_none(),
        _ => false,
    };
    if missing {
        return Err(Problem::not_found(account.shown()));
    }
    let by = if owner { LimitBy::Owner } else { LimitBy::Tenant };
    let command = command::SetLimit { tenant, account: account.clone(), limit, by };
    let of = if tenant == call.tenant() { String::new() } else { format!(" of tenant {}", tenant.0) };
    let resource = format!("{}{of} {limit}", account.written());
    call.app.act(&call.who, "budget.set", &resource, command).await?;
    call.app.kapelle.budgets_changed();
    let found = call.list(move |app| Ok(app.kapelle.budgets(tenant)?)).await?;
    let found = found.iter().find(|(row, _)| row.account == account && row.tenant == tenant);
    let (row, spent) = found.ok_or_else(|| Problem::internal("the budget is not where it was put"))?;
    json(StatusCode::OK, &budget(row, *spent))
}

/// Refuses more than the owner of the server gave a tenant: its admins may only lower that.
async fn within_given(call: &Call, account: &Account, limit: Money) -> Result<(), Problem> {
    let (tenant, wanted) = (call.tenant(), account.clone());
    let given = call.list(move |app| Ok(kapelle::given_budget(&**app.engine().reader(), tenant, &wanted)?)).await?;
    let limited = matches!(account, Account::Tenant | Account::Day | Account::Queue(_) | Account::Worker(_));
    match given.filter(|given| limited && limit > *given) {
        None => Ok(()),
        Some(given) => Err(Problem::new(
            StatusCode::FORBIDDEN,
            api::code::FORBIDDEN,
            format!(
                "limit_nanousd: {limit} is more than the {given} that {} was given; an admin of tenant 1 may raise it",
                account.shown()
            ),
        )),
    }
}

/// What a report is by.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct By {
    by: Option<String>,
    limit: Option<u32>,
}

/// `GET /api/v1/cost`
pub async fn cost(call: Call) -> Answer {
    let given: By = call.query()?;
    let word = given.by.as_deref().unwrap_or("worker");
    let kind = AccountKind::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = AccountKind::ALL.into_iter().map(AccountKind::as_str).collect();
        Problem::invalid(format!("by: `{word}` is not one of {}", words.join(", ")))
    })?;
    let (tenant, most) = (call.tenant(), given.limit.unwrap_or(ROWS).clamp(1, 1_000));
    let all = kind == AccountKind::Tenant && sees_all(&call);
    let listed = call.list(move |app| {
        let reader = app.engine().reader();
        let rows = if all { reader.tenant_accounts(most)? } else { reader.accounts(tenant, kind, most)? };
        Ok(api::CostReport { by: kind.as_str().to_owned(), rows: rows.iter().map(row).collect() })
    });
    ok(&listed.await?)
}

fn row(row: &AccountRow) -> api::Cost {
    let name = match &row.account {
        Account::Day => {
            shown::time(kapelle::core::Timestamp(account::end_of(row.day - 1).0)).chars().take(10).collect()
        }
        Account::Tenant => format!("tenant {}", row.tenant.0),
        other => other.name(),
    };
    api::Cost {
        name,
        cost_nanousd: row.spent.0,
        unknown_nanousd: row.unknown.0,
        calls: row.calls,
        input_tokens: row.input,
        output_tokens: row.output,
    }
}

/// Which calls.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    task: Option<String>,
    run: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /api/v1/calls`
pub async fn calls(call: Call) -> Answer {
    let given: Which = call.query()?;
    let page = cursor::page(given.limit, given.cursor.as_deref())?;
    let wrong = |error: kapelle::core::id::IdError| Problem::invalid(error.to_string());
    let filter = CallFilter {
        task: given.task.map(|text| text.parse::<TaskId>()).transpose().map_err(wrong)?,
        run: given.run.map(|text| text.parse::<RunId>()).transpose().map_err(wrong)?,
    };
    let tenant = call.tenant();
    let listed = call.list(move |app| {
        let rows = app.engine().reader().calls(tenant, filter, page)?;
        let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id.0));
        Ok(api::CallPage { calls: rows.iter().map(of_call).collect(), next_cursor })
    });
    ok(&listed.await?)
}

fn of_call(row: &CallRow) -> api::ModelCall {
    api::ModelCall {
        id: row.id.to_string(),
        tenant: row.tenant.0,
        run: row.run.map(|run| run.to_string()),
        task: row.task.map(|task| task.to_string()),
        attempt: row.attempt,
        payers: row.payer.iter().map(Account::written).collect(),
        operation: row.operation.to_string(),
        provider: row.provider.to_string(),
        model: row.model.to_string(),
        state: row.state.as_str().to_owned(),
        reserved_nanousd: row.reserved.0,
        cost_nanousd: row.cost.0,
        input_tokens: row.input,
        output_tokens: row.output,
        at: shown::time(row.at),
        ended_at: row.ended_at.map(shown::time),
        provider_request_id: row.request_id.as_deref().map(str::to_owned),
        recorded: row.answer.is_some(),
    }
}
