//! The times at which a delivery that failed is tried again: about a day, with growing pauses.

use crate::time::Timestamp;

/// Pauses after each failed attempt, in seconds. Together 23 h 42 min.
const PAUSES: [i64; 11] = [5, 30, 120, 600, 1_800, 3_600, 7_200, 10_800, 14_400, 18_000, 28_800];
/// Attempts before a delivery is given up.
pub const ATTEMPTS_MAX: u32 = PAUSES.len() as u32 + 1;
/// Longest pause that a receiver may ask for, in milliseconds: a day.
const ASKED_MAX_MS: i64 = 86_400_000;

/// Returns the time of the next attempt after `failures` failed ones; `None` when it is given up. `asked_ms` is what the
/// receiver asked for (`Retry-After`), `spread` any number, by which deliveries that failed together are tried apart.
#[must_use]
pub fn retry_at(failures: u32, now: Timestamp, asked_ms: Option<i64>, spread: u64) -> Option<Timestamp> {
    let pause = PAUSES.get(usize::try_from(failures.checked_sub(1)?).ok()?)? * 1_000;
    // Up to a fifth later.
    let late = i64::try_from(spread % 1_000).unwrap_or(0) * pause / 5_000;
    let asked = asked_ms.unwrap_or(0).clamp(0, ASKED_MAX_MS);
    Some(Timestamp(now.0 + (pause + late).max(asked)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_grow_and_end_after_about_a_day(spread: u64) {
            let (mut now, mut failures, mut pause) = (Timestamp(0), 1, 0);
            while let Some(next) = retry_at(failures, now, None, spread) {
                prop_assert!(next.0 - now.0 > pause, "attempt {failures}");
                (pause, now, failures) = (next.0 - now.0, next, failures + 1);
            }
            prop_assert_eq!(failures, ATTEMPTS_MAX);
            prop_assert!((20 * 3_600_000..=30 * 3_600_000).contains(&now.0), "{}", now.0);
        }

        #[test]
        fn a_receiver_may_ask_for_a_longer_pause(asked in 0_i64..200_000_000) {
            let next = retry_at(1, Timestamp(0), Some(asked), 0).unwrap();
            prop_assert_eq!(next.0, asked.clamp(5_000, 86_400_000));
        }
    }
}
