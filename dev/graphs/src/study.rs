//! Definitions by seed, and the reduced form of one that failed.

use kapelle_hunt::{Failure, Study, Tally};

use crate::{
    case::{Story, drawn, live},
    shrink::shrink,
    yaml,
};

/// The engine and the reference.
pub struct Graphs;

impl Study for Graphs {
    type Tally = Story;

    const PACKAGE: &'static str = env!("CARGO_PKG_NAME");
    const KEPT: &'static str = include_str!("../seeds.txt");
    const KEPT_IN: &'static str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds.txt");
    const SEEDS: u64 = 5_000;

    fn live(seed: u64, verbose: bool) -> Result<Story, String> {
        let tree = drawn(seed);
        if verbose {
            println!("{}", yaml::write(&tree));
        }
        live(seed, &tree)
    }

    /// Explains a failure with the smallest definition that still fails.
    fn explain(failure: &Failure) -> String {
        let seed = failure.seed;
        let fails =
            |tree: &serde_json::Value| std::panic::catch_unwind(|| live(seed, tree)).is_ok_and(|ran| ran.is_err());
        let tree = shrink(&drawn(seed), &fails);
        let what = std::panic::catch_unwind(|| live(seed, &tree)).map_or_else(|_| None, Result::err);
        format!("{failure}\n\nas small as it gets:\n{}\n{}", yaml::write(&tree), what.unwrap_or_default())
    }
}

impl Tally for Story {
    fn add(&mut self, other: Story) {
        self.cases += other.cases;
        self.rows += other.rows;
        self.turns += other.turns;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.moved += other.moved;
    }
}
