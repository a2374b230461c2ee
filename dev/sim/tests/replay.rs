//! Recorded turns are taken again on a fresh store and come to the same replies, effects and rows, byte for byte.

use kapelle_sim::record;

#[test]
fn recorded_turns_come_to_the_same_again() {
    let mut turns = 0;
    for seed in 0..150 {
        let recording = record(seed).unwrap_or_else(|law| panic!("seed {seed}: {law}"));
        turns += recording.turns();
        for _ in 0..2 {
            let rows = recording.replay().unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
            assert!(rows == recording.rows(), "seed {seed}: other rows:\n{rows}\nbefore:\n{}", recording.rows());
        }
    }
    assert!(turns > 150 * 50, "the stories hardly have a turn: {turns}");
}

#[test]
fn a_forged_random_number_is_noticed() {
    let mut noticed = 0;
    for seed in 0..20 {
        let mut recording = record(seed).unwrap_or_else(|law| panic!("seed {seed}: {law}"));
        noticed += u32::from(recording.forge() && recording.replay().is_err());
    }
    // The last number of a story may be one on which nothing depends any more.
    assert!(noticed >= 10, "only {noticed} of 20 forged recordings were noticed");
}
