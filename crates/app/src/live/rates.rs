//! Rates of one tenant, from totals that only rise.

use kapelle_api as api;
use kapelle_core::TenantId;

use crate::app::App;

/// The totals at the last look.
#[derive(Debug, Default)]
pub(super) struct Rates {
    last: Option<Totals>,
}

#[derive(Debug, Clone, Copy)]
struct Totals {
    at_ms: u64,
    ended: u64,
    failed: u64,
    calls: u64,
    spent: u64,
}

impl Rates {
    /// Returns the rates since the last call; zero at the first.
    pub(super) fn since_last(&mut self, app: &App, tenant: TenantId, counts: &api::Counts) -> api::LiveRates {
        let (succeeded, failed) = app.memory.stats.of_tenant(tenant);
        let now = Totals {
            at_ms: app.steady_ms(),
            ended: succeeded + failed,
            failed,
            calls: counts.today.calls,
            spent: counts.today.spent_nanousd,
        };
        self.last.replace(now).map(|last| rates(last, now)).unwrap_or_default()
    }
}

/// Returns the rates between two looks. A total that fell began again, as that of the day does at midnight.
fn rates(last: Totals, now: Totals) -> api::LiveRates {
    let ms = now.at_ms.saturating_sub(last.at_ms).max(1) as f64;
    let rate = |last: u64, now: u64| now.checked_sub(last).unwrap_or(now) as f64 * 1_000.0 / ms;
    api::LiveRates {
        ended: rate(last.ended, now.ended),
        failed: rate(last.failed, now.failed),
        calls: rate(last.calls, now.calls),
        spent_nanousd: rate(last.spent, now.spent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_and_a_total_that_fell_begins_anew() {
        let last = Totals { at_ms: 1_000, ended: 10, failed: 1, calls: 500, spent: 9_000 };
        let now = Totals { at_ms: 3_000, ended: 30, failed: 1, calls: 4, spent: 10 };
        let told = rates(last, now);
        let expected = api::LiveRates { ended: 10.0, failed: 0.0, calls: 2.0, spent_nanousd: 5.0 };
        assert_eq!(told, expected);
    }
}
