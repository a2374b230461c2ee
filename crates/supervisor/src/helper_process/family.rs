//! Processes that belong to a worker.

use std::collections::HashSet;

use super::proc::Seen;

/// Selects those of `seen` that belong to the worker led by `leader`. They are the leader, its session and group, those
/// that carry its mark, and descendants of any of them.
pub(super) fn family<'a>(seen: &'a [Seen], leader: i32, marked: &HashSet<i32>, not: i32) -> Vec<&'a Seen> {
    let mut members: HashSet<i32> = HashSet::new();
    loop {
        let before = members.len();
        for process in seen.iter().filter(|process| process.pid != not) {
            let own = process.pid == leader || process.session == leader || process.group == leader;
            if own || marked.contains(&process.pid) || members.contains(&process.parent) {
                members.insert(process.pid);
            }
        }
        if members.len() == before {
            break;
        }
    }
    seen.iter().filter(|process| members.contains(&process.pid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helper_process::proc;

    fn like(pid: i32, parent: i32, session: i32) -> Seen {
        Seen { pid, parent, session, group: session, ..proc::one(std::process::id().try_into().unwrap()).unwrap() }
    }

    #[test]
    fn whoever_descends_shares_the_session_or_carries_the_mark_belongs() {
        // 1 is the helper, 10 the worker, 11 its child in a session of its own, 12 the child of 11, 13 was left behind
        // in the session, 14 carries the mark, 15 is the child of 14; 20 is another worker with a child.
        let seen = [
            like(15, 14, 15),
            like(12, 11, 11),
            like(1, 0, 1),
            like(10, 1, 10),
            like(11, 10, 11),
            like(13, 1, 10),
            like(14, 1, 14),
            like(20, 1, 20),
            like(21, 20, 20),
        ];
        let found: Vec<i32> = family(&seen, 10, &HashSet::from([14]), 1).iter().map(|seen| seen.pid).collect();
        assert_eq!(found, [15, 12, 10, 11, 13, 14]);
        assert!(family(&seen, 99, &HashSet::new(), 1).is_empty());
    }
}
