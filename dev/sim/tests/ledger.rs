//! Limits hold for each tenant and for all together, in any history.

use kapelle_hunt::{Study as _, hunt};
use kapelle_sim::Ledger;

#[test]
fn no_tenant_and_no_day_spends_more_than_it_was_given() {
    let calls = hunt::<Ledger>(0..Ledger::SEEDS, 2).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(calls.paid > 10_000 && calls.refused > 1_000, "{calls:?}");
}
