//! Spending by hour and by day: sums that are kept, so that a report reads no calls.

use std::collections::BTreeMap;

use kapelle_core::{Account, AccountKind, Money, TenantId, Timestamp};

use crate::ledger::{CallRow, CallState};

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Days for which the sums of hours are kept. Those of days stay.
pub const HOURS_KEPT_DAYS: i64 = 92;

/// Lengths of time over which spending is summed up. The store uses the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Span {
    /// Hours (UTC).
    Hour = 0,
    /// Days (UTC).
    Day = 1,
}

impl Span {
    /// Every length.
    pub const ALL: [Span; 2] = [Span::Hour, Span::Day];

    /// Returns the length in milliseconds.
    #[must_use]
    pub fn ms(self) -> i64 {
        match self {
            Span::Hour => HOUR_MS,
            Span::Day => DAY_MS,
        }
    }

    /// Returns the number of the hour or day of a time.
    #[must_use]
    pub fn of(self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.ms())
    }

    /// Returns the number of the first hour that is kept at a time.
    pub(crate) fn first_hour(now: Timestamp) -> i64 {
        Span::Hour.of(Timestamp(now.0.saturating_sub(HOURS_KEPT_DAYS * DAY_MS)))
    }
}

/// Subject of a sum. A name is empty where a call has no account of the kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub(crate) struct SpendKey {
    pub span: Span,
    pub tenant: TenantId,
    /// Number of the hour or day since 1970.
    pub start: i64,
    pub worker: String,
    pub queue: String,
    pub key: String,
    pub provider: String,
    pub model: String,
}

impl SpendKey {
    /// Returns the subject of a call; it belongs to the time of its reservation.
    pub fn of(span: Span, row: &CallRow) -> SpendKey {
        let named = |kind: AccountKind| {
            row.payer.iter().find(|account| account.kind() == kind).map(Account::name).unwrap_or_default()
        };
        SpendKey {
            span,
            tenant: row.tenant,
            start: span.of(row.at),
            worker: named(AccountKind::Worker),
            queue: named(AccountKind::Queue),
            key: named(AccountKind::Key),
            provider: row.provider.to_string(),
            model: row.model.to_string(),
        }
    }
}

/// Sums of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spend {
    /// Paid, what is unknown included.
    pub spent: Money,
    /// Part of it that was charged at a reservation because the cost is not known.
    pub unknown: Money,
    /// Settled calls.
    pub calls: u64,
    /// Calls that were answered from elsewhere, without a request.
    pub given: u64,
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
}

impl Spend {
    /// Returns what a call adds; nothing before it is over.
    #[must_use]
    pub fn of(row: &CallRow) -> Spend {
        match row.state {
            CallState::Open => Spend::default(),
            CallState::Given => Spend { given: 1, ..Spend::default() },
            CallState::Charged | CallState::Free | CallState::Unknown => Spend {
                spent: row.cost,
                unknown: if row.state == CallState::Unknown { row.cost } else { Money::ZERO },
                calls: 1,
                given: 0,
                input: row.input,
                output: row.output,
            },
        }
    }

    /// Adds other sums.
    pub fn add(&mut self, more: &Spend) {
        self.spent = Money(self.spent.0.saturating_add(more.spent.0));
        self.unknown = Money(self.unknown.0.saturating_add(more.unknown.0));
        self.calls = self.calls.saturating_add(more.calls);
        self.given = self.given.saturating_add(more.given);
        self.input = self.input.saturating_add(more.input);
        self.output = self.output.saturating_add(more.output);
    }
}

/// Sums by subject.
#[derive(Debug, Default)]
pub(crate) struct Sums(pub(crate) BTreeMap<SpendKey, Spend>);

impl Sums {
    /// Counts a call that is over, in its hour and in its day.
    pub fn count(&mut self, row: &CallRow) {
        let sums = Spend::of(row);
        if sums == Spend::default() {
            return;
        }
        for span in Span::ALL {
            self.0.entry(SpendKey::of(span, row)).or_default().add(&sums);
        }
    }
}

/// Question for sums of a tenant. A missing name does not restrict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendFilter {
    /// Length of the spans that are read.
    pub span: Span,
    /// Number of the first hour or day.
    pub from: i64,
    /// Number of the hour or day after the last one.
    pub to: i64,
    /// Calls of this worker.
    pub worker: Option<String>,
    /// Calls of this model, as the provider calls it.
    pub model: Option<String>,
    /// Kinds by which the sums are divided: workers, queues, keys, providers and models; others do not divide.
    pub by: Vec<AccountKind>,
    /// Whether each hour or day has sums of its own.
    pub each: bool,
}

impl SpendFilter {
    fn name(kind: AccountKind, key: &SpendKey) -> String {
        match kind {
            AccountKind::Worker => key.worker.clone(),
            AccountKind::Queue => key.queue.clone(),
            AccountKind::Key => key.key.clone(),
            AccountKind::Provider => key.provider.clone(),
            AccountKind::Model => format!("{}/{}", key.provider, key.model),
            _ => String::new(),
        }
    }
}

/// Sums of one hour or day, and of one name of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendRow {
    /// Number of the hour or day; that of the first one where they are not divided.
    pub start: i64,
    /// Names, in the order of the kinds asked for; empty where a call has no account of the kind.
    pub names: Vec<String>,
    /// Sums of the subject's calls.
    pub sums: Spend,
}

/// Sums while rows are read.
#[derive(Debug)]
pub(crate) struct Fold<'a> {
    filter: &'a SpendFilter,
    sums: BTreeMap<(i64, Vec<String>), Spend>,
}

impl Fold<'_> {
    pub fn new(filter: &SpendFilter) -> Fold<'_> {
        Fold { filter, sums: BTreeMap::new() }
    }

    /// Adds the sums of a subject.
    pub fn add(&mut self, key: &SpendKey, sums: &Spend) {
        let start = if self.filter.each { key.start } else { self.filter.from };
        let names = self.filter.by.iter().map(|kind| SpendFilter::name(*kind, key)).collect();
        self.sums.entry((start, names)).or_default().add(sums);
    }

    /// Returns the sums by time and name.
    pub fn rows(self) -> Vec<SpendRow> {
        self.sums.into_iter().map(|((start, names), sums)| SpendRow { start, names, sums }).collect()
    }
}
