//! The engine and the reference never differ: first on seeds that once failed, then on as many as `KAPELLE_GRAPHS`
//! says.

use kapelle_graphs::Graphs;
use kapelle_hunt::{Study as _, hunt, kept, one};

/// Default number of seeds.
const SEEDS: u64 = 500;

#[test]
fn the_engine_does_what_the_reference_does() {
    for seed in kept::<Graphs>() {
        if let Err(failure) = one::<Graphs>(seed, false) {
            panic!("{}", Graphs::explain(&failure));
        }
    }
    let seeds = std::env::var("KAPELLE_GRAPHS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let story = hunt::<Graphs>(0..seeds, 2).unwrap_or_else(|failure| panic!("{}", Graphs::explain(&failure)));
    println!("{story:?}");
    assert!(story.rows > 10 * seeds && story.succeeded > seeds / 10, "the seeds hardly do anything: {story:?}");
    assert!(story.failed > seeds / 10 && story.cancelled > seeds / 50, "hardly anything goes wrong: {story:?}");
    assert!(story.moved > seeds / 10, "hardly a run is moved to another store: {story:?}");
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..50 {
        assert_eq!(one::<Graphs>(seed, false), one::<Graphs>(seed, false), "seed {seed}");
    }
}
