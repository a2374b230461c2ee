//! Calls of models, and their cost.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{Account, AccountKind, CallId, TenantId, Timestamp};
use kapelle_store::{AccountRow, CallRow, CallState, Reader, StoreError};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cost_span::{Covered, Per},
    cost_sums, cursor, filters, history, to_api,
};

/// Bytes of an answer that are shown.
const ANSWER_MAX: usize = 1 << 20;
/// Default number of rows of a report.
const ROWS: u32 = 100;

impl App {
    /// Returns a report of spending, by worker, run, day and so on.
    ///
    /// # Errors
    /// When the kind of report is unknown.
    pub async fn cost(self: &Arc<Self>, by: &Caller, given: api::CostQuery) -> Result<api::CostReport, AppError> {
        by.allow(Permission::Read)?;
        let per = given.per.as_deref().map(Per::parse).transpose()?;
        let words = given.by.unwrap_or_else(|| if per.is_some() { "tenant" } else { "worker" }.to_owned());
        let kinds = words.split(',').map(kind).collect::<Result<Vec<_>, _>>()?;
        let of = cost_sums::Selected { run: filters::id(given.run)?, model: given.model, worker: given.worker };
        let time =
            |field: &str, text: Option<String>| text.map(|text| history::time(field, &text).map(Timestamp)).transpose();
        let (from, to) = (time("from", given.from)?, time("to", given.to)?);
        let covered = Covered::new(per, from, to, self.now())?;
        let most = cursor::page_of(given.limit.or(Some(ROWS)), None)?.most as usize;
        let everybody = by.sees_all() && kinds.contains(&AccountKind::Tenant);
        let all = covered.from.is_none() && of == cost_sums::Selected::default();
        let (tenant, wanted) = (by.tenant, cost_sums::Wanted { kinds, of, covered, most, everybody });
        let listed = self.list_for(tenant, move |app| match wanted.kinds.as_slice() {
            // The account of the day is, of tenant 1, that of all tenants.
            [kind] if all && *kind != AccountKind::Day => Ok(of_accounts(app.reader(), tenant, *kind, &wanted)?),
            _ => cost_sums::report(app.reader(), tenant, &wanted),
        });
        listed.await
    }

    /// Returns calls of models, newest first.
    ///
    /// # Errors
    /// When a filter cannot be read.
    pub async fn calls(self: &Arc<Self>, by: &Caller, given: api::CallQuery) -> Result<api::CallPage, AppError> {
        by.allow(Permission::Read)?;
        let page = cursor::page_of(given.limit, given.cursor.as_deref())?;
        let filter = filters::of_calls(given)?;
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let rows = app.reader().calls(tenant, &filter, page)?;
            let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id.0));
            Ok(api::CallPage { calls: rows.iter().map(of_call).collect(), next_cursor })
        });
        listed.await
    }

    /// Returns a call of a model with its recorded answer.
    ///
    /// # Errors
    /// When the tenant has no such call.
    pub async fn call(self: &Arc<Self>, by: &Caller, id: CallId) -> Result<api::CallAnswered, AppError> {
        by.allow(Permission::Read)?;
        let tenant = by.tenant;
        let row = self.list_for(tenant, move |app| {
            let Some(row) = app.reader().call(tenant, id)? else { return Ok(None) };
            let body = match &row.answer {
                Some(answer) => app.reader().payload(answer.payload)?,
                None => None,
            };
            let answer_bytes = body.as_ref().map(|body| body.len() as u64);
            let answer = body.filter(|body| body.len() <= ANSWER_MAX).map(|body| {
                let text = || serde_json::Value::String(String::from_utf8_lossy(&body).into_owned());
                serde_json::from_slice(&body).unwrap_or_else(|_| text())
            });
            Ok(Some(api::CallAnswered { call: of_call(&row), answer, answer_bytes }))
        });
        row.await?.ok_or_else(|| AppError::not_found(id))
    }
}

/// Returns the totals of all accounts of a kind.
fn of_accounts(
    reader: &dyn Reader,
    tenant: TenantId,
    kind: AccountKind,
    wanted: &cost_sums::Wanted,
) -> Result<api::CostReport, StoreError> {
    let most = u32::try_from(wanted.most).unwrap_or(u32::MAX);
    let everybody = wanted.everybody;
    let rows = if everybody { reader.tenant_accounts(most)? } else { reader.accounts(tenant, kind, most)? };
    let own = reader.account(tenant, &Account::Tenant, 0)?;
    let mut total = cost(&own.unwrap_or_else(|| AccountRow::new(tenant, Account::Tenant, 0)));
    let rows: Vec<api::Cost> = rows.iter().map(cost).collect();
    if everybody {
        let sum = |of: fn(&api::Cost) -> u64| rows.iter().map(of).fold(0, u64::saturating_add);
        total.cost_nanousd = sum(|row| row.cost_nanousd);
        total.unknown_nanousd = sum(|row| row.unknown_nanousd);
        total.calls = sum(|row| row.calls);
        total.input_tokens = sum(|row| row.input_tokens);
        total.output_tokens = sum(|row| row.output_tokens);
    }
    "total".clone_into(&mut total.name);
    let by = cost_sums::words(&wanted.kinds);
    Ok(api::CostReport { by, per: None, from: None, to: None, periods: Vec::new(), rows, total })
}

fn kind(word: &str) -> Result<AccountKind, AppError> {
    AccountKind::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = AccountKind::ALL.into_iter().map(AccountKind::as_str).collect();
        AppError::parameter("by", format!("`{word}` is not one of {}", words.join(", ")))
    })
}

pub(crate) fn call_state(state: CallState) -> api::CallState {
    match state {
        CallState::Open => api::CallState::Open,
        CallState::Charged => api::CallState::Charged,
        CallState::Free => api::CallState::Free,
        CallState::Unknown => api::CallState::Unknown,
        CallState::Given => api::CallState::Given,
    }
}

fn cost(row: &AccountRow) -> api::Cost {
    let name = match &row.account {
        Account::Tenant => cost_sums::of_tenant(row.tenant),
        other => other.name(),
    };
    api::Cost {
        name,
        names: Vec::new(),
        cost_nanousd: row.spent.0,
        unknown_nanousd: row.unknown.0,
        calls: row.calls,
        given_calls: 0,
        input_tokens: row.input,
        output_tokens: row.output,
        periods: Vec::new(),
    }
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
        state: call_state(row.state),
        reserved_nanousd: row.reserved.0,
        cost_nanousd: row.cost.0,
        input_tokens: row.input,
        output_tokens: row.output,
        at: to_api::time(row.at),
        ended_at: row.ended_at.map(to_api::time),
        provider_request_id: row.request_id.as_deref().map(str::to_owned),
        recorded: row.answer.is_some(),
    }
}
