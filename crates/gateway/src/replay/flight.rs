//! Identical calls at the same time become one call, where that is allowed: one leads, the others wait for its answer.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::TaskId;
use tokio::sync::watch;

use super::{Recorded, cache::Key};
use crate::wire::Refusal;

/// How a call that others wait for has ended.
#[derive(Debug, Clone)]
pub(crate) enum Landed {
    /// It is under way.
    Flying,
    /// With an answer.
    Answered(Box<Recorded>),
    /// With a refusal, which holds for the others, too.
    Refused(Box<Refusal>),
    /// Its caller went away; another has to lead.
    Gone,
}

/// The calls under way.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, Flight>>);

struct Flight {
    task: Option<TaskId>,
    landed: watch::Receiver<Landed>,
}

/// What a caller is to do.
pub(crate) enum Role {
    /// Make the call, and tell the others.
    Lead(Guard),
    /// Wait.
    Follow(watch::Receiver<Landed>),
    /// Make the call for itself: two equal calls of one task are two samples.
    Alone,
}

/// The duty to say how a call ended. Dropped, it says that the caller is gone.
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
    /// Tells the others how the call ended.
    pub(crate) fn land(self, landed: Landed) {
        // Who comes from now on begins anew, or finds the answer in the cache.
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
