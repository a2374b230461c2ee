//! Process information of the system.

use std::{collections::HashMap, fs};

/// A process at a recent moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    pub(super) state: u8,
    /// Start time, in ticks since boot.
    pub(super) start: u64,
    /// Resident memory in pages.
    pub(super) pages: u64,
}

impl Seen {
    /// Tells whether it has ended, even if its parent has not reaped it.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// Returns every process.
pub(super) fn all() -> Vec<Seen> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| one(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Returns one process.
pub(super) fn one(pid: i32) -> Option<Seen> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Parses a line of `stat`. The name stands in brackets and may hold anything, brackets included.
fn parse(pid: i32, stat: &str) -> Option<Seen> {
    let rest: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| rest.get(at)?.parse::<i64>().ok();
    let id = |at: usize| i32::try_from(number(at)?).ok();
    Some(Seen {
        pid,
        state: *rest.first()?.as_bytes().first()?,
        parent: id(1)?,
        group: id(2)?,
        session: id(3)?,
        start: u64::try_from(number(19)?).ok()?,
        pages: u64::try_from(number(21)?).unwrap_or(0),
    })
}

/// Marks of processes, read once for each.
#[derive(Debug, Default)]
pub(super) struct Marks(HashMap<(i32, u64), Option<String>>);

impl Marks {
    /// Returns the mark that a process carries.
    pub(super) fn of(&mut self, seen: &Seen) -> Option<&str> {
        let known = self.0.entry((seen.pid, seen.start));
        known.or_insert_with(|| read_mark(seen.pid)).as_deref()
    }

    /// Drops the marks of all other processes.
    pub(super) fn keep(&mut self, seen: &[Seen]) {
        if self.0.len() > 2 * seen.len() + 64 {
            let there: std::collections::HashSet<(i32, u64)> = seen.iter().map(|s| (s.pid, s.start)).collect();
            self.0.retain(|key, _| there.contains(key));
        }
    }
}

/// Reads the mark in the start environment of a process. It is read again each time: between fork and exec a process
/// has the environment of its parent.
pub(super) fn read_mark(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let entries = environment.split(|byte| *byte == 0);
    let prefix = format!("{}=", super::MARK);
    let value = entries.filter_map(|entry| entry.strip_prefix(prefix.as_bytes())).next()?;
    String::from_utf8(value.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) R 1) S 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 1000 33 18446744073709551615";
        let seen = parse(7, stat).unwrap();
        assert_eq!((seen.parent, seen.group, seen.session, seen.start, seen.pages), (3, 4, 5, 4242, 33));
        assert!(!seen.is_dead() && parse(7, "7 (x").is_none());
    }

    #[test]
    fn this_process_is_among_all() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(all().iter().any(|seen| seen.pid == me && seen.pages > 0));
    }
}
