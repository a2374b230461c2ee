//! A test of the tests: bugs planted in the machine of runs are caught. In a process of its own, as a bug is planted for all
//! threads.

use kapelle_core::mutant::{Mutant, plant};
use kapelle_graphs::hunt;

/// Seeds within which a bug must be caught.
const SEEDS: u64 = 3_000;

/// The bugs that are about runs. The others are for the simulation to find.
const ABOUT_RUNS: [Mutant; 19] = [
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
];

#[test]
fn bugs_planted_in_the_machine_of_runs_are_caught() {
    // What a planted bug panics with is no news.
    std::panic::set_hook(Box::new(|_| ()));
    let mut table = String::new();
    let mut missed = Vec::new();
    for mutant in ABOUT_RUNS {
        plant(Some(mutant));
        let line = match hunt(0..SEEDS, 2) {
            Err(failure) => {
                format!("seed {:>5}  {}", failure.seed, failure.difference.lines().next().unwrap_or_default())
            }
            Ok(_) => {
                missed.push(mutant);
                "not caught".to_owned()
            }
        };
        table.push_str(&format!("{:<20} {}\n", format!("{mutant:?}"), line.chars().take(110).collect::<String>()));
    }
    plant(None);
    let _ = std::panic::take_hook();
    println!("{table}");
    assert!(missed.is_empty(), "within {SEEDS} seeds nobody noticed {missed:?}\n{table}");
}
