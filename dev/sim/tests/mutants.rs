//! Tests the tests: every planted bug is caught. In a separate process, as a bug is planted for all threads.

use kapelle_core::mutant::Mutant;
use kapelle_hunt::all_caught;
use kapelle_sim::Simulation;

/// Seeds within which a bug must be caught.
const SEEDS: u64 = 10_000;

#[test]
fn every_planted_bug_is_caught() {
    all_caught::<Simulation>(&Mutant::ALL, SEEDS);
}
