//! Calls of models, and their cost.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{Account, AccountKind, CallId, Timestamp, account};
use kapelle_store::{AccountRow, CallRow, CallState};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
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
        let words = given.by.unwrap_or_else(|| "worker".to_owned());
        let kinds = words.split(',').map(kind).collect::<Result<Vec<_>, _>>()?;
        let of = cost_sums::Selected {
            since: given.since.as_deref().map(|text| history::time("since", text).map(Timestamp)).transpose()?,
            run: filters::id(given.run)?,
            model: given.model,
            worker: given.worker,
        };
        let (tenant, most) = (by.tenant, cursor::page_of(given.limit.or(Some(ROWS)), None)?.most);
        let everything = by.sees_all();
        let listed = self.list_for(tenant, move |app| {
            let reader = app.reader();
            let rows = match (kinds.as_slice(), of.is_all()) {
                ([AccountKind::Tenant], true) if everything => reader.tenant_accounts(most)?.iter().map(cost).collect(),
                ([kind], true) => reader.accounts(tenant, *kind, most)?.iter().map(cost).collect(),
                (kinds, _) => cost_sums::of_calls(reader, tenant, kinds, &of, most as usize)?,
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

    /// Returns the names of models that workers use, and what they lead to.
    ///
    /// # Errors
    /// When the caller may not read.
    pub fn providers(&self, by: &Caller) -> Result<api::ProviderReport, AppError> {
        by.allow(Permission::Read)?;
        let alias = |status: kapelle_gateway::AliasStatus| {
            let limit = self.gateway().rate_wait(&status.alias);
            let links = status.links.into_iter().map(|link| api::ModelLink {
                link: link.link,
                state: serde_json::to_value(link.state)
                    .ok()
                    .and_then(|word| word.as_str().map(str::to_owned))
                    .unwrap_or_default(),
                price_known: link.price_known,
            });
            api::ModelAlias {
                name: status.alias,
                live: status.live,
                reason: status.reason,
                rate_wait_ms: limit.as_ref().map(|(_, wait)| wait.0),
                limited_by: limit.map(|(provider, _)| provider),
                links: links.collect(),
            }
        };
        Ok(api::ProviderReport { aliases: self.gateway().status().into_iter().map(alias).collect() })
    }
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
