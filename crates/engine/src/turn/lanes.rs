//! The order of ready tasks: for each lane a bounded window over the store's index.
//!
//! The window of a lane holds every ready task up to its horizon, or all of them when it is complete. A task beyond the
//! horizon is only in the store until the window is empty and is refilled. So a million waiting tasks cost disk and not
//! memory.

use std::collections::{BTreeSet, HashMap};

use kapelle_core::{
    TaskId,
    mutant::{Mutant, planted},
    task::{Rank, Task, TaskState},
};
use kapelle_store::{Lane, StoreError};

use super::{part::Part, rows::Rows};

/// Lanes kept in memory before those in which nothing is ready are dropped.
const LANES_MAX: usize = 1_024;

pub(super) type Place = (Rank, TaskId);

#[derive(Debug)]
pub(super) struct Window {
    pub(super) lane: Lane,
    places: BTreeSet<Place>,
    /// Horizon: every place up to here is in `places`.
    horizon: Option<Place>,
    /// Whether every place is in `places`.
    complete: bool,
    /// Places beyond the horizon that became ready in the current turn: not in the store yet, so a refill must look
    /// here too.
    behind: Vec<Place>,
}

#[derive(Debug)]
pub(super) struct Lanes {
    by_lane: HashMap<Lane, usize>,
    windows: Vec<Window>,
    capacity: usize,
    /// Lanes above which those in which nothing is ready are dropped.
    many: usize,
}

impl Part for Lanes {
    fn prime(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        rows.store.lanes()?.iter().for_each(|lane| self.stored(lane));
        Ok(())
    }

    /// Empties every window; each is refilled from the store when it is next read.
    fn forget(&mut self, rows: &mut Rows) {
        for window in &mut self.windows {
            window.places.clear();
            window.behind.clear();
            window.horizon = None;
            window.complete = false;
        }
        if let Ok(lanes) = rows.store.lanes() {
            lanes.iter().for_each(|lane| self.stored(lane));
        }
    }

    /// Records that places beyond a horizon are in the store now.
    fn committed(&mut self) {
        for window in &mut self.windows {
            window.behind.clear();
        }
    }
}

impl Lanes {
    pub(super) fn new(capacity: usize) -> Lanes {
        Lanes { by_lane: HashMap::new(), windows: Vec::new(), capacity: capacity.max(2), many: LANES_MAX }
    }

    /// Returns the window of a task's lane, and makes it if it is missing. A new one is complete unless the store has
    /// tasks.
    fn window(&mut self, lane: &Lane, complete: bool) -> &mut Window {
        let next = self.windows.len();
        let at = *self.by_lane.entry(lane.clone()).or_insert(next);
        if at == next {
            let (places, behind) = (BTreeSet::new(), Vec::new());
            self.windows.push(Window { lane: lane.clone(), places, horizon: None, complete, behind });
        }
        &mut self.windows[at]
    }

    /// Records a lane that has ready tasks in the store.
    pub(super) fn stored(&mut self, lane: &Lane) {
        self.window(lane, false);
    }

    /// A task became ready. Gives the place that the window released, if it is full.
    pub(super) fn offer(&mut self, task: &Task) -> Option<Place> {
        let TaskState::Ready { rank } = task.state else { return None };
        let capacity = self.capacity;
        let window = self.window(&lane_of(task), true);
        let place = (rank, task.id);
        let within = window.complete || window.horizon.is_some_and(|horizon| place < horizon);
        if within || planted(Mutant::HorizonIgnored) {
            window.places.insert(place);
        } else {
            window.behind.push(place);
        }
        if window.places.len() <= capacity {
            return None;
        }
        let dropped = window.places.pop_last();
        window.complete = false;
        window.horizon = window.places.last().copied();
        window.behind.extend(dropped);
        dropped
    }

    /// Removes a task that is no longer ready.
    pub(super) fn withdraw(&mut self, lane: &Lane, place: Place) {
        if let Some(&at) = self.by_lane.get(lane) {
            self.windows[at].places.remove(&place);
            self.windows[at].behind.retain(|other| *other != place);
        }
    }

    /// Returns the number of lanes.
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// Returns the lane with that number.
    pub(super) fn lane(&self, at: usize) -> &Lane {
        &self.windows[at].lane
    }

    /// Returns the first place of a lane's window.
    pub(super) fn first(&self, at: usize) -> Option<Place> {
        self.windows[at].places.first().copied()
    }

    /// Counts the places in a lane's window.
    pub(super) fn count(&self, at: usize) -> usize {
        self.windows[at].places.len()
    }

    /// Takes the first place of a lane's window.
    pub(super) fn pop(&mut self, at: usize) -> Option<Place> {
        self.windows[at].places.pop_first()
    }

    /// Returns the number of a lane.
    pub(super) fn number(&self, lane: &Lane) -> Option<usize> {
        self.by_lane.get(lane).copied()
    }

    /// Returns the first place of a lane's window that was taken.
    pub(super) fn put_back(&mut self, at: usize, place: Place) {
        // It lies within the horizon, as it was in the window.
        self.windows[at].places.insert(place);
    }

    /// Returns the position from which a lane's window is to be refilled, when it is empty and the store may have more.
    pub(super) fn wants_refill(&self, at: usize) -> Option<Option<Place>> {
        let window = &self.windows[at];
        (window.places.is_empty() && !window.complete).then_some(window.horizon)
    }

    /// Refills a window with places beyond the horizon; `exhausted` when the store has no more.
    pub(super) fn refill(&mut self, at: usize, places: &[Place], exhausted: bool) {
        let window = &mut self.windows[at];
        window.places.extend(places);
        if exhausted {
            window.complete = true;
            if planted(Mutant::RefillForgets) {
                window.behind.clear();
            }
            window.places.extend(window.behind.drain(..));
            return;
        }
        window.horizon = places.last().copied();
        let horizon = window.horizon;
        window.behind.retain(|place| {
            let within = horizon.is_some_and(|horizon| *place <= horizon);
            if within {
                window.places.insert(*place);
            }
            !within
        });
    }

    /// Tells whether a task of that place is kept in memory.
    pub(super) fn holds(&self, lane: &Lane, place: &Place) -> bool {
        self.by_lane.get(lane).is_some_and(|&at| self.windows[at].places.contains(place))
    }

    /// Drops lanes in which nothing is ready, once there are many. Returns whether the numbers of lanes changed.
    pub(super) fn let_go(&mut self) -> bool {
        let lanes = self.windows.len();
        if lanes <= self.many {
            return false;
        }
        self.windows.retain(|window| !(window.complete && window.places.is_empty() && window.behind.is_empty()));
        self.by_lane = self.windows.iter().enumerate().map(|(at, window)| (window.lane.clone(), at)).collect();
        // Checked again at twice the number, so that a commit does not pay for lanes in use.
        self.many = LANES_MAX.max(2 * self.windows.len());
        self.windows.len() != lanes
    }

    /// Counts the places in memory.
    pub(super) fn in_memory(&self) -> usize {
        self.windows.iter().map(|window| window.places.len()).sum()
    }
}

/// Returns the lane of a task.
pub(super) fn lane_of(task: &Task) -> Lane {
    Lane::of(task)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kapelle_core::{
        Name, Payload, TenantId, Timestamp,
        task::{Ageing, NewTask, Submit},
    };
    use std::{collections::BTreeMap, sync::Arc};

    fn task(id: i64, priority: i16) -> Task {
        let task = NewTask {
            tenant: TenantId::DEFAULT,
            queue: Name::new("q"),
            worker: Name::new("w"),
            priority,
            key: None,
            input: Payload::None,
            origin: None,
            policy: Arc::default(),
            not_before: None,
        };
        Submit { id: TaskId(id), task, ageing: Ageing::default() }.decide(Timestamp(id))
    }

    /// Compares random offers and pops with a plain sorted map that stands for the store.
    #[test]
    fn a_window_gives_the_same_order_as_the_whole() {
        for seed in 1u64..200 {
            let mut random = seed;
            let mut next = move || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random
            };
            let mut lanes = Lanes::new(3);
            let mut stored: BTreeMap<Place, ()> = BTreeMap::new();
            let mut fresh: Vec<Place> = Vec::new();
            let mut id = 0;
            for _ in 0..200 {
                match next() % 4 {
                    0 | 1 => {
                        id += 1;
                        let task = task(id, (next() % 5) as i16);
                        let TaskState::Ready { rank } = task.state else { unreachable!() };
                        fresh.push((rank, task.id));
                        lanes.offer(&task);
                    }
                    2 => {
                        stored.extend(fresh.drain(..).map(|place| (place, ())));
                        lanes.committed();
                    }
                    _ => {
                        if lanes.len() == 0 {
                            continue;
                        }
                        if let Some(after) = lanes.wants_refill(0) {
                            let behind = |place: &Place| after.is_none_or(|after| *place > after);
                            let places: Vec<Place> = stored.keys().copied().filter(behind).take(2).collect();
                            lanes.refill(0, &places, places.len() < 2);
                        }
                        let expected = stored.keys().chain(fresh.iter()).min().copied();
                        // A refill that found no place within the horizon leaves the window to be refilled once more.
                        if lanes.first(0).is_none() && lanes.wants_refill(0).is_some() {
                            continue;
                        }
                        assert_eq!(lanes.pop(0), expected, "seed {seed}");
                        if let Some(place) = expected {
                            stored.remove(&place);
                            fresh.retain(|other| *other != place);
                        }
                    }
                }
            }
        }
    }
}
