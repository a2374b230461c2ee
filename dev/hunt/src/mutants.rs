//! A test of the tests: bugs are planted, and each must be caught.

use kapelle_core::mutant::{Mutant, plant};

use crate::seeds::{Study, hunt};

/// Plants one bug after the other and looks for it within so many seeds. To be called in a process of its own, as a bug is
/// planted for all threads.
///
/// # Panics
/// When nobody notices one of them.
pub fn all_caught<S: Study>(mutants: &[Mutant], seeds: u64) {
    // What a planted bug panics with is no news.
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
