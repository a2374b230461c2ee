//! Stories by seed.

use kapelle_hunt::{Study, Tally};

use crate::world::{Story, simulate};

/// Simulation of the engine.
pub struct Simulation;

impl Study for Simulation {
    type Tally = Story;

    const PACKAGE: &'static str = env!("CARGO_PKG_NAME");
    const KEPT: &'static str = include_str!("../seeds.txt");
    const KEPT_IN: &'static str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds.txt");
    const SEEDS: u64 = 2_000;

    fn live(seed: u64, verbose: bool) -> Result<Story, String> {
        simulate(seed, verbose)
    }
}

impl Tally for Story {
    fn add(&mut self, other: Story) {
        self.turns += other.turns;
        self.commits += other.commits;
        self.tasks += other.tasks;
        self.runs += other.runs;
        self.digest ^= other.digest;
    }
}
