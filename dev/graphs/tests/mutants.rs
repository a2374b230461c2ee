//! Tests the tests: bugs planted in the run machine are caught. In a separate process, as a bug is planted for all
//! threads.

use kapelle_core::mutant::Mutant;
use kapelle_graphs::Graphs;
use kapelle_hunt::all_caught;

/// Seeds within which a bug must be caught.
const SEEDS: u64 = 3_000;

/// Bugs in runs. The simulation has to find the others.
const ABOUT_RUNS: [Mutant; 24] = [
    Mutant::NeedCountedTwice,
    Mutant::StartBeforeNeeds,
    Mutant::StopIgnored,
    Mutant::StaleVerdict,
    Mutant::SkipStartsAnyway,
    Mutant::JoinCountedTwice,
    Mutant::SequenceIgnored,
    Mutant::ForgottenRow,
    Mutant::CancelLeavesTasks,
    Mutant::JoinForgotten,
    Mutant::RecoverySkipsRuns,
    Mutant::VoidForgotten,
    Mutant::HandlerForgotten,
    Mutant::FinallySkipped,
    Mutant::GapForgotten,
    Mutant::UntilIgnored,
    Mutant::BranchSwapped,
    Mutant::ItemsUnordered,
    Mutant::SignalLost,
    Mutant::OutputsForgotten,
    Mutant::EvaluationLost,
    Mutant::FirstIgnored,
    Mutant::LateBegun,
    Mutant::EndIgnored,
];

#[test]
fn bugs_planted_in_the_machine_of_runs_are_caught() {
    all_caught::<Graphs>(&ABOUT_RUNS, SEEDS);
}
