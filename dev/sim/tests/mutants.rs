//! A test of the tests: every planted bug is caught. In a process of its own, as a bug is planted for all threads.

use kapelle_core::mutant::{Mutant, plant};
use kapelle_sim::hunt;

/// Seeds within which a bug must be caught.
const SEEDS: u64 = 10_000;

#[test]
fn every_planted_bug_is_caught() {
    // What a planted bug panics with is no news.
    std::panic::set_hook(Box::new(|_| ()));
    let mut table = String::new();
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        plant(Some(mutant));
        let line = match hunt(0..SEEDS, 2) {
            Err(failure) => format!("seed {:>5}  {}", failure.seed, failure.law.lines().next().unwrap_or_default()),
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
