//! Recorded turns are taken again on a fresh store and come to the same replies, effects and rows, byte for byte.

use kapelle_sim::{record, record_paid};

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

#[test]
fn turns_with_rate_limits_and_prepaid_money_come_to_the_same_again() {
    let (mut turns, mut learnt) = (0, [0; 4]);
    for seed in 0..100 {
        let recording = record_paid(seed).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        turns += recording.turns();
        learnt.iter_mut().zip(recording.learnt()).for_each(|(sum, count)| *sum += count);
        for _ in 0..2 {
            let rows = recording.replay().unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
            assert!(rows == recording.rows(), "seed {seed}: other rows:\n{rows}\nbefore:\n{}", recording.rows());
        }
    }
    assert!(turns > 100 * 200, "the stories hardly have a turn: {turns}");
    let [waits, rights, withdrawn, used] = learnt;
    assert!(waits > 100 && rights > 100, "the provider hardly has a limit: {waits} waits, {rights} rights");
    assert!(withdrawn > 100 && used > 100, "hardly an amount is prepaid: {withdrawn} withdrawn, {used} used");
}

#[test]
fn a_forged_answer_about_a_prepaid_amount_is_noticed() {
    let (mut forged, mut noticed) = (0, 0);
    for seed in 0..20 {
        let mut recording = record_paid(seed).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        if recording.forge_withdrawn() {
            forged += 1;
            let rows = recording.rows().to_owned();
            noticed += u32::from(recording.replay().map_or(true, |again| again != rows));
        }
    }
    assert!(forged >= 10 && noticed == forged, "{noticed} of {forged} forged recordings were noticed");
}
