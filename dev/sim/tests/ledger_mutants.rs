//! Tests the tests: bugs planted in the ledger are caught. In a separate process, as a bug is planted for all threads.

use kapelle_core::mutant::Mutant;
use kapelle_hunt::all_caught;
use kapelle_sim::Ledger;

#[test]
fn bugs_planted_in_the_ledger_are_caught() {
    all_caught::<Ledger>(&Mutant::LEDGER, 500);
}
