//! Calls that are promised to attempts before they begin, so that a task waits in its queue for a provider's rate, and not in a slot.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{DurationMs, TaskId};

use crate::{config::Link, gateway::Gateway, providers::Server, rate::Promise};

/// Whether an attempt may begin that will call a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// No provider of the alias says how much it takes.
    Free,
    /// A call is promised to the task.
    Promised,
    /// Not before that long from now.
    Wait(DurationMs),
}

/// A call that was promised: of that server, for that model.
struct Promised {
    server: Arc<Server>,
    model: String,
    promise: Promise,
}

/// The promised calls.
#[derive(Default)]
pub(crate) struct Promises(Mutex<HashMap<TaskId, Promised>>);

impl Promises {
    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Promised>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call of that server and model that was promised to a task. It is given out once.
    pub(crate) fn take(&self, task: TaskId, server: &Arc<Server>, model: &str) -> Option<Promise> {
        let mut promises = self.lock();
        let known = promises.get(&task)?;
        if !Arc::ptr_eq(&known.server, server) || known.model != model {
            return None;
        }
        promises.remove(&task).map(|known| known.promise)
    }
}

impl Gateway {
    /// Asks for a call of an alias, which a task will make as soon as it has begun. The first link whose provider takes one
    /// more promises it. Asked again for a task that was promised one, it stays that one.
    ///
    /// A promise counts against the provider's rate until the call is made, [`Gateway::dismiss`] gives it back, or ten
    /// seconds are over. An alias without a link that can be asked needs none.
    #[must_use]
    pub fn admit(&self, alias: &str, task: TaskId) -> Admission {
        let routes = self.routes();
        let Ok(chain) = routes.find(alias) else { return Admission::Free };
        let mut promises = self.promises.lock();
        if promises.contains_key(&task) {
            return Admission::Promised;
        }
        let now_ms = self.clock.now_ms();
        let mut shortest: Option<DurationMs> = None;
        for link in &chain.links {
            let Link::Model { provider, model } = link else { continue };
            let Some(server) = routes.servers.get(provider).filter(|_| routes.has_key(link)) else { continue };
            match server.rate.promise(now_ms, model) {
                Ok(None) => return Admission::Free,
                Ok(Some(promise)) => {
                    let (server, model) = (Arc::clone(server), model.clone());
                    promises.insert(task, Promised { server, model, promise });
                    return Admission::Promised;
                }
                Err(wait) => shortest = Some(shortest.map_or(wait, |known| known.min(wait))),
            }
        }
        shortest.map_or(Admission::Free, Admission::Wait)
    }

    /// Gives back what was promised to a task and not used: its attempt is over.
    pub fn dismiss(&self, task: TaskId) {
        if let Some(known) = self.promises.lock().remove(&task) {
            known.server.rate.break_promise(known.promise);
        }
    }
}
