//! Spending by hour and by day.

use kapelle_core::{TenantId, Timestamp};

use crate::{
    ledger::CallRow,
    spending::{Fold, Span, SpendFilter, SpendKey, SpendRow, Sums},
};

/// The sums.
#[derive(Debug, Default)]
pub(super) struct SpendRows(Sums);

impl SpendRows {
    /// Counts a call that is over.
    pub fn count(&mut self, row: &CallRow) {
        self.0.count(row);
    }

    /// Returns sums of a tenant by time and name.
    pub fn read(&self, tenant: TenantId, filter: &SpendFilter) -> Vec<SpendRow> {
        let mut fold = Fold::new(filter);
        let own = self.0.0.iter().filter(|(key, _)| key.span == filter.span && key.tenant == tenant);
        let within = own.filter(|(key, _)| key.start >= filter.from && key.start < filter.to);
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        for (key, sums) in within.filter(|(key, _)| is(&filter.worker, &key.worker) && is(&filter.model, &key.model)) {
            fold.add(key, sums);
        }
        fold.rows()
    }

    fn old(&self, now: Timestamp) -> impl Iterator<Item = &SpendKey> {
        let first = Span::first_hour(now);
        self.0.0.keys().filter(move |key| key.span == Span::Hour && key.start < first)
    }

    /// Tells whether there are sums of old hours.
    pub fn has_old(&self, now: Timestamp) -> bool {
        self.old(now).next().is_some()
    }

    /// Deletes sums of old hours. Returns their number.
    pub fn prune(&mut self, now: Timestamp, most: usize) -> usize {
        let mut old: Vec<SpendKey> = self.old(now).cloned().collect();
        old.sort_unstable_by(|a, b| (a.start, a).cmp(&(b.start, b)));
        old.truncate(most);
        for key in &old {
            self.0.0.remove(key);
        }
        old.len()
    }
}
