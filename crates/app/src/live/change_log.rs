//! The log of changes: the last turns that changed rows, kept while anybody listens and a little longer.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use kapelle_api::LiveEvent;
use kapelle_core::{TenantId, Timestamp};
use kapelle_engine::{Changes, Notice};

/// Changes that are kept, of all turns together.
const KEPT: usize = 65_536;
/// Changes that are read at once.
const READ: usize = 5_000;
/// Time for which changes are kept when nobody listens any more, so that a tab that is loaded again misses nothing.
const LINGER_MS: u64 = 60_000;

/// An entry of the log.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// The changes of a turn.
    Turn(Arc<Changes>),
    /// An event of a worker or a host.
    Event(TenantId, Arc<LiveEvent>),
}

impl Entry {
    fn weight(&self) -> usize {
        match self {
            Entry::Turn(changes) => changes.tasks.len() + changes.runs.len() + changes.calls.len() + 1,
            Entry::Event(..) => 1,
        }
    }
}

/// The log of changes.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    state: Mutex<State>,
    /// The engine's flag: changes are collected only while it is set.
    wanted: Arc<AtomicBool>,
    /// The number of the next entry.
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<(u64, Entry)>,
    weight: usize,
    /// Different in any two times of collecting: a cursor of one is not valid in another.
    epoch: u64,
    listeners: usize,
    /// Time since which nobody listens.
    idle: Option<Timestamp>,
}

/// Entries that a listener has not seen.
pub(super) struct Unseen {
    pub entries: Vec<Entry>,
    /// The number of the entry after them.
    pub next: u64,
    /// Whether entries before them are no longer kept.
    pub lost: bool,
}

impl ChangeLog {
    /// Makes an empty log for an engine with that flag.
    pub(crate) fn new(wanted: Arc<AtomicBool>) -> ChangeLog {
        ChangeLog { state: Mutex::default(), wanted, next: AtomicU64::new(1) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Collects from now on, as long as the returned listener lives.
    pub(super) fn listen(self: &Arc<Self>, now: Timestamp) -> Listening {
        let mut state = self.state();
        state.listeners += 1;
        state.idle = None;
        if !self.wanted.swap(true, Ordering::AcqRel) {
            state.epoch = state.epoch.wrapping_add(now.0.cast_unsigned()).max(1);
            state.kept.clear();
            state.weight = 0;
            // Numbers continue with a gap: what happened meanwhile was not collected.
            self.next.fetch_add(1, Ordering::AcqRel);
        }
        Listening { log: Arc::clone(self), epoch: state.epoch }
    }

    /// Returns the number of the next entry.
    pub(super) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Adds the changes of a turn. Called by the loop: must be quick.
    pub(crate) fn notice(&self, notice: &Notice) {
        let Notice::Changed(changes) = notice else { return };
        let mut state = self.state();
        if state.listeners == 0 && state.idle.is_some_and(|since| changes.at.since(since).0 > LINGER_MS) {
            self.wanted.store(false, Ordering::Release);
            *state = State { epoch: state.epoch, ..State::default() };
            return;
        }
        if state.listeners == 0 {
            state.idle.get_or_insert(changes.at);
        }
        self.add(&mut state, Entry::Turn(Arc::clone(changes)));
    }

    /// Adds an event, if anybody listens.
    pub(crate) fn event(&self, tenant: TenantId, event: &LiveEvent) {
        if self.wanted.load(Ordering::Acquire) {
            self.add(&mut self.state(), Entry::Event(tenant, Arc::new(event.clone())));
        }
    }

    fn add(&self, state: &mut State, entry: Entry) {
        state.weight += entry.weight();
        state.kept.push_back((self.next(), entry));
        self.next.fetch_add(1, Ordering::AcqRel);
        // The newest entry stays, however large it is.
        while state.weight > KEPT && state.kept.len() > 1 {
            if let Some((_, entry)) = state.kept.pop_front() {
                state.weight -= entry.weight();
            }
        }
    }

    /// Returns entries from a number on.
    pub(super) fn since(&self, from: u64) -> Unseen {
        let state = self.state();
        let oldest = state.kept.front().map_or(self.next(), |(number, _)| *number);
        let start = state.kept.partition_point(|(number, _)| *number < from);
        let (mut entries, mut read, mut next) = (Vec::new(), 0, from.max(oldest));
        for (number, entry) in state.kept.iter().skip(start) {
            read += entry.weight();
            entries.push(entry.clone());
            next = number + 1;
            if read >= READ {
                break;
            }
        }
        if entries.is_empty() {
            next = self.next();
        }
        Unseen { entries, next, lost: from < oldest }
    }
}

/// A listener of the log.
#[derive(Debug)]
pub(super) struct Listening {
    log: Arc<ChangeLog>,
    pub epoch: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut state = self.log.state();
        state.listeners = state.listeners.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Arc<ChangeLog> {
        Arc::new(ChangeLog::new(Arc::default()))
    }

    fn turn(at: i64, gates: usize) -> Notice {
        let gate = kapelle_engine::GateChange {
            tenant: TenantId::DEFAULT,
            kind: kapelle_store::GateKind::Queue,
            name: kapelle_core::Name::new("ml"),
            paused: true,
        };
        Notice::Changed(Arc::new(Changes { at: Timestamp(at), gates: vec![gate; gates], ..Changes::default() }))
    }

    #[test]
    fn a_listener_reads_on_where_it_was() {
        let log = log();
        let listening = log.listen(Timestamp(7));
        let from = log.next();
        for at in 0..5 {
            log.notice(&turn(at, 1));
        }
        let first = log.since(from);
        assert_eq!((first.entries.len(), first.lost), (5, false));
        assert!(log.since(first.next).entries.is_empty());
        log.notice(&turn(9, 1));
        assert_eq!(log.since(first.next).entries.len(), 1);
        let again = log.listen(Timestamp(8));
        assert_eq!(again.epoch, listening.epoch, "the same time of collecting");
    }

    #[test]
    fn a_listener_that_falls_behind_is_told() {
        let log = log();
        let _listening = log.listen(Timestamp(7));
        let from = log.next();
        for at in 0..2 * KEPT as i64 {
            log.notice(&turn(at, 0));
        }
        let unseen = log.since(from);
        assert!(unseen.lost && unseen.entries.len() == READ);
        assert!(!log.since(log.next()).lost);
    }

    #[test]
    fn nothing_is_kept_long_after_the_last_listener_left() {
        let log = log();
        let epoch = log.listen(Timestamp(7)).epoch;
        log.notice(&turn(1_000, 1));
        assert!(log.wanted.load(Ordering::Relaxed), "a tab may be loaded again");
        log.notice(&turn(1_001 + LINGER_MS.cast_signed(), 1));
        assert!(!log.wanted.load(Ordering::Relaxed));
        assert_ne!(log.listen(Timestamp(70_000)).epoch, epoch);
    }
}
