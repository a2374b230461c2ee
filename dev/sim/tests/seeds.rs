//! Seeds break no law: first those that once did, then as many as `KAPELLE_SIM_SEEDS` says.

use kapelle_hunt::{hunt, kept, one};
use kapelle_sim::Simulation;

/// Default number of seeds.
const SEEDS: u64 = 2_000;

#[test]
fn seeds_break_no_law() {
    for seed in kept::<Simulation>() {
        if let Err(failure) = one::<Simulation>(seed, false) {
            panic!("{failure}");
        }
    }
    let seeds = std::env::var("KAPELLE_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let story = hunt::<Simulation>(0..seeds, 2).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(story.tasks > 10 * seeds && story.runs > seeds / 2, "the seeds hardly do anything: {story:?}");
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..200 {
        assert_eq!(one::<Simulation>(seed, false), one::<Simulation>(seed, false), "seed {seed}");
    }
}
