//! Spending summed up call by call: since a time, or by several kinds of accounts at once.

use std::collections::BTreeMap;

use kapelle_api as api;
use kapelle_core::{Account, AccountKind, RunId, TenantId, Timestamp};
use kapelle_store::{CallFilter, CallRow, CallState, Page, Reader};

use crate::{app_error::AppError, to_api};

/// Calls read at a time.
const PAGE: u32 = 1_000;
/// The most calls that one report sums up.
const CALLS_MAX: usize = 200_000;

/// The calls that a report sums up.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Selected {
    pub since: Option<Timestamp>,
    pub run: Option<RunId>,
    pub model: Option<String>,
    pub worker: Option<String>,
}

impl Selected {
    /// Says whether every call is selected.
    pub(crate) fn is_all(&self) -> bool {
        *self == Selected::default()
    }

    fn has(&self, row: &CallRow) -> bool {
        let of_worker = |worker: &String| {
            row.payer.iter().any(|account| matches!(account, Account::Worker(name) if name == worker))
        };
        self.worker.as_ref().is_none_or(of_worker)
    }
}

/// Sums up calls of a tenant, the highest spending first; with days, the latest day first.
///
/// # Errors
/// When there are too many calls, or the store fails.
pub(crate) fn of_calls(
    reader: &dyn Reader,
    tenant: TenantId,
    kinds: &[AccountKind],
    of: &Selected,
    most: usize,
) -> Result<Vec<api::Cost>, AppError> {
    let (mut sums, mut read, mut before) = (BTreeMap::new(), 0, None);
    let filter = CallFilter { since: of.since, run: of.run, model: of.model.clone(), ..CallFilter::default() };
    'pages: loop {
        let rows = reader.calls(tenant, &filter, Page { before, most: PAGE })?;
        let Some(last) = rows.last() else { break };
        before = Some(last.id.0);
        read += rows.len();
        for row in &rows {
            if of.since.is_some_and(|since| row.at < since) {
                break 'pages;
            }
            if of.has(row) {
                add(&mut sums, kinds, row);
            }
        }
        if read > CALLS_MAX {
            let message = format!("more than {CALLS_MAX} calls; expected a later time");
            return Err(AppError::parameter("since", message));
        }
    }
    let mut rows: Vec<api::Cost> = sums.into_values().collect();
    let day = kinds.iter().position(|kind| *kind == AccountKind::Day);
    let date = |row: &api::Cost| day.and_then(|day| row.names.get(day).cloned());
    rows.sort_by(|a, b| date(b).cmp(&date(a)).then(b.cost_nanousd.cmp(&a.cost_nanousd)));
    rows.truncate(most);
    if kinds.len() == 1 {
        rows.iter_mut().for_each(|row| row.names.clear());
    }
    Ok(rows)
}

fn add(sums: &mut BTreeMap<Vec<String>, api::Cost>, kinds: &[AccountKind], row: &CallRow) {
    let names: Vec<String> = kinds.iter().map(|kind| name(*kind, row)).collect();
    let sum = sums.entry(names.clone()).or_insert_with(|| api::Cost {
        name: names.join(","),
        names,
        cost_nanousd: 0,
        unknown_nanousd: 0,
        calls: 0,
        input_tokens: 0,
        output_tokens: 0,
    });
    sum.cost_nanousd += row.cost.0;
    sum.unknown_nanousd += if row.state == CallState::Unknown { row.cost.0 } else { 0 };
    sum.calls += u64::from(matches!(row.state, CallState::Charged | CallState::Unknown));
    sum.input_tokens += row.input;
    sum.output_tokens += row.output;
}

/// Returns the name of the account of a kind that a call is charged to; `-` when it is charged to none.
fn name(kind: AccountKind, row: &CallRow) -> String {
    match kind {
        AccountKind::Day => to_api::time(row.at).chars().take(10).collect(),
        AccountKind::Tenant => format!("tenant {}", row.tenant.0),
        AccountKind::Provider => row.provider.to_string(),
        AccountKind::Model => format!("{}/{}", row.provider, row.model),
        _ => {
            let account = row.payer.iter().find(|account| account.kind() == kind);
            account.map_or_else(|| "-".to_owned(), kapelle_core::Account::name)
        }
    }
}
