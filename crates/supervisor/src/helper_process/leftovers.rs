//! Leftovers of a helper that was killed.

use super::{
    mark::Owner,
    proc::{self, Seen},
    sweep,
};

/// Rounds of searching and killing.
const ROUNDS: usize = 50;

/// Kills every process of this user that carries the mark of a dead helper. Returns their number. Must be called at a
/// start, before any process is supervised.
#[must_use = "who finds some should say so"]
pub fn sweep_leftovers() -> u32 {
    rounds(Owner::is_gone)
}

/// Kills the leftovers of one helper.
pub(super) fn sweep_of(owner: &Owner) -> u32 {
    rounds(|of| of == owner)
}

fn rounds(whose: impl Fn(&Owner) -> bool) -> u32 {
    let mut ended = std::collections::HashSet::new();
    for _ in 0..ROUNDS {
        let seen = proc::all();
        let left = |process: &&Seen| {
            let mark = proc::read_mark(process.pid);
            mark.and_then(|mark| Owner::of(&mark)).is_some_and(|(owner, _)| whose(&owner))
        };
        let left: Vec<&Seen> = seen.iter().filter(|process| !process.is_dead()).filter(left).collect();
        if left.is_empty() {
            break;
        }
        ended.extend(left.iter().map(|process| (process.pid, process.start)));
        sweep::end(&left);
    }
    u32::try_from(ended.len()).unwrap_or(u32::MAX)
}
