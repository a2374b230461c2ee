//! Tests the tests: bugs are planted, and each must be caught.

use kapelle_core::mutant::{Mutant, plant};

use crate::seeds::{Study, hunt};

/// Plants one bug after the other and searches for it within that many seeds. Must be called in a separate process, as
/// a bug is planted for all threads.
///
/// # Panics
/// When one of them is not noticed.
pub fn all_caught<S: Study>(mutants: &[Mutant], seeds: u64) {
    // Panics of planted bugs are expected.
    std::panic::set_hook(Box::new(|_| ()));
    let mut table = String::new();
    let mut missed = Vec::new();
    for mutant in mutants {
        plant(Some(*mutant));
        let line = match hunt::<S>(0..seeds, 2) {
            Err(failure) => format!("seed {:>5}  {}", failure.seed, failure.line()),
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
    assert!(missed.is_empty(), "within {seeds} seeds nobody noticed {missed:?}\n{table}");
}
