//! Reports of spending, from sums that are kept by hour and by day; by task and by run from the calls themselves.

use std::collections::BTreeMap;

use kapelle_api as api;
use kapelle_core::{Account, AccountKind, RunId, TenantId, Timestamp};
use kapelle_store::{CallFilter, CallRow, Page, Reader, Spend, SpendFilter, SpendRow};

use crate::{app_error::AppError, cost_span::Covered, to_api};

/// Calls read at a time.
const PAGE: u32 = 1_000;
/// The most calls that one report sums up.
const CALLS_MAX: usize = 200_000;
/// The most values of periods in one report.
const VALUES_MAX: usize = 100_000;
/// Tenants of one report.
const TENANTS: u32 = 1_000;
/// Name of what has no account of a kind.
const NOBODY: &str = "-";

/// A report to be made.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub kinds: Vec<AccountKind>,
    pub of: Selected,
    pub covered: Covered,
    /// Rows at most.
    pub most: usize,
    /// Whether the sums of all tenants are read.
    pub everybody: bool,
}

/// The calls that a report sums up.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Selected {
    pub run: Option<RunId>,
    pub model: Option<String>,
    pub worker: Option<String>,
}

impl Selected {
    fn has(&self, row: &CallRow) -> bool {
        let of_worker = |worker: &String| {
            row.payer.iter().any(|account| matches!(account, Account::Worker(name) if name == worker))
        };
        self.worker.as_ref().is_none_or(of_worker)
    }
}

/// Sums of one name, or of all.
#[derive(Debug, Clone, Default)]
struct Sums {
    all: Spend,
    periods: Vec<Spend>,
}

impl Sums {
    fn add(&mut self, period: Option<usize>, periods: usize, more: &Spend) {
        self.all.add(more);
        if periods > 0 {
            self.periods.resize(periods, Spend::default());
        }
        if let Some(slot) = period.and_then(|period| self.periods.get_mut(period)) {
            slot.add(more);
        }
    }
}

/// Sums while they are collected.
struct Report<'a> {
    wanted: &'a Wanted,
    named: BTreeMap<Vec<String>, Sums>,
    total: Sums,
}

impl Report<'_> {
    fn add(&mut self, at: Timestamp, names: Vec<String>, more: &Spend) {
        if *more == Spend::default() {
            return;
        }
        let Covered { periods, .. } = &self.wanted.covered;
        let period = periods.partition_point(|start| *start <= at).checked_sub(1);
        self.named.entry(names).or_default().add(period, periods.len(), more);
        self.total.add(period, periods.len(), more);
    }

    /// The highest spending first; with days, the latest day first.
    fn done(self) -> Result<api::CostReport, AppError> {
        let Wanted { kinds, covered, most, .. } = self.wanted;
        let mut rows: Vec<api::Cost> = self.named.into_iter().map(|(names, sums)| cost(names, &sums)).collect();
        let day = kinds.iter().position(|kind| *kind == AccountKind::Day);
        let date = |row: &api::Cost| day.and_then(|day| row.names.get(day).cloned());
        rows.sort_by(|a, b| date(b).cmp(&date(a)).then(b.cost_nanousd.cmp(&a.cost_nanousd)));
        rows.truncate(*most);
        if rows.len() * covered.periods.len() > VALUES_MAX {
            let message = format!("{} rows of {} periods are too many values", rows.len(), covered.periods.len());
            return Err(AppError::parameter("limit", format!("{message}; expected at most {VALUES_MAX} in all")));
        }
        if kinds.len() == 1 {
            rows.iter_mut().for_each(|row| row.names.clear());
        }
        let time = |at: Timestamp| to_api::time(at);
        Ok(api::CostReport {
            by: words(kinds),
            per: covered.per.map(|per| per.as_str().to_owned()),
            from: covered.from.map(time),
            to: covered.to.map(time),
            periods: covered.periods.iter().copied().map(time).collect(),
            rows,
            total: api::Cost { names: Vec::new(), ..cost(vec!["total".to_owned()], &self.total) },
        })
    }
}

/// Returns the words of kinds, with commas.
pub(crate) fn words(kinds: &[AccountKind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",")
}

/// Sums up the spending of a tenant.
///
/// # Errors
/// When there are too many calls or values, or the store fails.
pub(crate) fn report(reader: &dyn Reader, tenant: TenantId, wanted: &Wanted) -> Result<api::CostReport, AppError> {
    let mut report = Report { wanted, named: BTreeMap::new(), total: Sums::default() };
    let alone = |kind: &AccountKind| matches!(kind, AccountKind::Task | AccountKind::Run | AccountKind::Token);
    if wanted.of.run.is_some() || wanted.kinds.iter().any(alone) {
        of_calls(reader, tenant, &mut report)?;
    } else {
        of_sums(reader, tenant, &mut report)?;
    }
    report.done()
}

/// Reads the sums that are kept.
fn of_sums(reader: &dyn Reader, tenant: TenantId, report: &mut Report<'_>) -> Result<(), AppError> {
    let Wanted { kinds, of, covered, everybody, .. } = report.wanted;
    let mut tenants = vec![tenant];
    if *everybody {
        tenants.extend(reader.tenant_accounts(TENANTS)?.into_iter().map(|row| row.tenant));
        tenants.sort_unstable();
        tenants.dedup();
    }
    let each = covered.per.is_some() || kinds.contains(&AccountKind::Day);
    for tenant in tenants {
        for &(span, from, to) in &covered.pieces {
            let (worker, model) = (of.worker.clone(), of.model.clone());
            let filter = SpendFilter { span, from, to, worker, model, by: kinds.clone(), each };
            for SpendRow { start, names, sums } in reader.spending(tenant, &filter)? {
                let at = Timestamp(start.saturating_mul(span.ms()));
                let names = kinds.iter().zip(names).map(|(kind, name)| match kind {
                    AccountKind::Day => date(at),
                    AccountKind::Tenant => of_tenant(tenant),
                    _ if name.is_empty() => NOBODY.to_owned(),
                    _ => name,
                });
                report.add(at, names.collect(), &sums);
            }
        }
    }
    Ok(())
}

/// Reads the calls of a time.
fn of_calls(reader: &dyn Reader, tenant: TenantId, report: &mut Report<'_>) -> Result<(), AppError> {
    let Wanted { kinds, of, covered, .. } = report.wanted;
    let (mut read, mut before) = (0, None);
    let (since, until) = (covered.from, covered.to);
    let filter = CallFilter { since, until, run: of.run, model: of.model.clone(), ..CallFilter::default() };
    loop {
        let rows = reader.calls(tenant, &filter, Page { before, most: PAGE })?;
        let Some(last) = rows.last() else { return Ok(()) };
        before = Some(last.id.0);
        read += rows.len();
        for row in rows.iter().filter(|row| of.has(row)) {
            report.add(row.at, kinds.iter().map(|kind| name(*kind, row)).collect(), &Spend::of(row));
        }
        if read > CALLS_MAX {
            let message = format!("more than {CALLS_MAX} calls; expected a later time");
            return Err(AppError::parameter("from", message));
        }
    }
}

/// Returns the name of the account of a kind that a call is charged to; `-` when it is charged to none.
fn name(kind: AccountKind, row: &CallRow) -> String {
    match kind {
        AccountKind::Day => date(row.at),
        AccountKind::Tenant => of_tenant(row.tenant),
        AccountKind::Provider => row.provider.to_string(),
        AccountKind::Model => format!("{}/{}", row.provider, row.model),
        _ => {
            let account = row.payer.iter().find(|account| account.kind() == kind);
            account.map_or_else(|| NOBODY.to_owned(), Account::name)
        }
    }
}

pub(crate) fn of_tenant(tenant: TenantId) -> String {
    format!("tenant {}", tenant.0)
}

/// Returns the date of a time, such as `2026-12-01`.
pub(crate) fn date(at: Timestamp) -> String {
    to_api::time(at).chars().take(10).collect()
}

fn cost(names: Vec<String>, sums: &Sums) -> api::Cost {
    let Spend { spent, unknown, calls, given, input, output } = sums.all;
    let period = |sums: &Spend| api::CostOfPeriod {
        cost_nanousd: sums.spent.0,
        calls: sums.calls,
        given_calls: sums.given,
        input_tokens: sums.input,
        output_tokens: sums.output,
    };
    api::Cost {
        name: names.join(","),
        names,
        cost_nanousd: spent.0,
        unknown_nanousd: unknown.0,
        calls,
        given_calls: given,
        input_tokens: input,
        output_tokens: output,
        periods: sums.periods.iter().map(period).collect(),
    }
}
