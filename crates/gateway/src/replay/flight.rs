//! Merging of identical calls that are in flight at the same time, where that is allowed: one leads, the others wait
//! for its answer.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::TaskId;
use tokio::sync::watch;

use super::{Recorded, cache::Key};
use crate::service::{Failure, Terms};

/// Result of a call that others wait for.
#[derive(Debug, Clone)]
pub(crate) enum Landed {
    /// In flight.
    Flying,
    /// It was answered.
    Answered(Box<Recorded>),
    /// It failed, and so do the waiting calls of the same terms.
    Failed(Box<Failure>, Terms),
    /// Its caller left; another has to lead.
    Gone,
}

/// Calls in flight.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, Flight>>);

struct Flight {
    task: Option<TaskId>,
    landed: watch::Receiver<Landed>,
}

/// Role of a caller.
pub(crate) enum Role {
    /// Makes the call and reports its result to the others.
    Lead(Guard),
    /// Waits for the result.
    Follow(watch::Receiver<Landed>),
    /// Makes its own call: two equal calls of one task are two samples.
    Alone,
}

/// Duty to report the result of a call. Dropping it reports that the caller left.
pub(crate) struct Guard {
    flights: Arc<Flights>,
    key: Key,
    landed: watch::Sender<Landed>,
}

impl Flights {
    pub(crate) fn join(self: &Arc<Flights>, key: Key, task: Option<TaskId>) -> Role {
        match self.lock().entry(key) {
            Entry::Occupied(flight) if task.is_some() && flight.get().task == task => Role::Alone,
            Entry::Occupied(flight) => Role::Follow(flight.get().landed.clone()),
            Entry::Vacant(place) => {
                let (landed, receiver) = watch::channel(Landed::Flying);
                place.insert(Flight { task, landed: receiver });
                Role::Lead(Guard { flights: Arc::clone(self), key, landed })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard {
    /// Reports the result to the waiting calls.
    pub(crate) fn land(self, landed: Landed) {
        // Later callers lead a new call, or find the answer in the cache.
        self.flights.lock().remove(&self.key);
        self.landed.send_replace(landed);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let flying = matches!(*self.landed.borrow(), Landed::Flying);
        if flying {
            self.flights.lock().remove(&self.key);
            self.landed.send_replace(Landed::Gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Fingerprint;
    use kapelle_core::TenantId;

    #[test]
    fn one_leads_others_follow_and_a_task_never_follows_itself() {
        let flights = Arc::new(Flights::default());
        let key = (TenantId(1), Fingerprint([1; 32]));
        let Role::Lead(guard) = flights.join(key, Some(TaskId(1))) else { panic!("nobody led") };
        assert!(matches!(flights.join(key, Some(TaskId(1))), Role::Alone));
        let Role::Follow(waiting) = flights.join(key, Some(TaskId(2))) else { panic!("did not follow") };
        assert!(matches!(flights.join((TenantId(2), key.1), None), Role::Lead(_)), "another tenant");
        drop(guard);
        assert!(matches!(*waiting.borrow(), Landed::Gone));
        assert!(matches!(flights.join(key, None), Role::Lead(_)));
    }
}
