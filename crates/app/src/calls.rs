//! Calls of models, and their cost.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{Account, AccountKind, RunId, TaskId, Timestamp, account, id::IdError};
use kapelle_store::{AccountRow, CallFilter, CallRow, CallState};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cost_sums, cursor, to_api,
};

/// Default number of rows of a report.
const ROWS: u32 = 100;

impl App {
    /// Returns a report of spending, by worker, run, day and so on.
    ///
    /// # Errors
    /// When the kind of report is unknown.
    pub async fn cost(self: &Arc<Self>, by: &Caller, given: api::CostQuery) -> Result<api::CostReport, AppError> {
        by.allow(Permission::Read)?;
        let words = given.by.unwrap_or_else(|| "worker".to_owned());
        let kinds = words.split(',').map(kind).collect::<Result<Vec<_>, _>>()?;
        let since = given.since.as_deref().map(since).transpose()?;
        let (tenant, most) = (by.tenant, given.limit.unwrap_or(ROWS).clamp(1, 1_000));
        let everything = by.sees_all();
        let listed = self.list_for(tenant, move |app| {
            let reader = app.reader();
            let rows = match (kinds.as_slice(), since) {
                ([AccountKind::Tenant], None) if everything => reader.tenant_accounts(most)?.iter().map(cost).collect(),
                ([kind], None) => reader.accounts(tenant, *kind, most)?.iter().map(cost).collect(),
                (kinds, since) => cost_sums::of_calls(reader, tenant, kinds, since, most as usize)?,
            };
            let by = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",");
            Ok(api::CostReport { by, rows })
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
        let wrong = |error: IdError| AppError::invalid(error.to_string());
        let filter = CallFilter {
            task: given.task.map(|text| text.parse::<TaskId>()).transpose().map_err(wrong)?,
            run: given.run.map(|text| text.parse::<RunId>()).transpose().map_err(wrong)?,
        };
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let rows = app.reader().calls(tenant, filter, page)?;
            let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id.0));
            Ok(api::CallPage { calls: rows.iter().map(of_call).collect(), next_cursor })
        });
        listed.await
    }
}

fn kind(word: &str) -> Result<AccountKind, AppError> {
    AccountKind::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = AccountKind::ALL.into_iter().map(AccountKind::as_str).collect();
        AppError::parameter("by", format!("`{word}` is not one of {}", words.join(", ")))
    })
}

fn since(text: &str) -> Result<Timestamp, AppError> {
    let parsed = text.parse::<jiff::Timestamp>();
    let wrong = |_| AppError::parameter("since", "expected a time such as 2026-12-01T10:00:00Z");
    Ok(Timestamp(parsed.map_err(wrong)?.as_millisecond()))
}

fn call_state(state: CallState) -> api::CallState {
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
        Account::Day => to_api::time(Timestamp(account::end_of(row.day - 1).0)).chars().take(10).collect(),
        Account::Tenant => format!("tenant {}", row.tenant.0),
        other => other.name(),
    };
    api::Cost {
        name,
        names: Vec::new(),
        cost_nanousd: row.spent.0,
        unknown_nanousd: row.unknown.0,
        calls: row.calls,
        input_tokens: row.input,
        output_tokens: row.output,
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
