//! Calls promised to attempts in advance, so that a task waits for a provider's rate in its queue and
//! not in a slot.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{DurationMs, TaskId};

use crate::{config::Link, gateway::Gateway, providers::Server, rate::Promise};

/// Decision whether an attempt that will call a model may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// No provider of the alias has a known rate limit.
    Free,
    /// A call is promised to the task.
    Promised,
    /// The attempt may begin after this wait.
    Wait(DurationMs),
}

/// A promised call: its server and its model.
struct Promised {
    server: Arc<Server>,
    model: String,
    promise: Promise,
}

/// Promised calls by task.
#[derive(Default)]
pub(crate) struct Promises(Mutex<HashMap<TaskId, Promised>>);

impl Promises {
    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Promised>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the call of that server and model that was promised to a task. A promise is used once.
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
    /// Promises a call of an alias to a task that is about to begin. The first link whose provider has room for one
    /// more call promises it. A task that already holds a promise keeps that one.
    ///
    /// A promise counts against the provider's rate until the call is made, until [`Gateway::dismiss`] releases it, or
    /// for ten seconds. An alias without a link that can be called needs no promise.
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

    /// Releases the unused promise of a task whose attempt is over.
    pub fn dismiss(&self, task: TaskId) {
        if let Some(known) = self.promises.lock().remove(&task) {
            known.server.rate.break_promise(known.promise);
        }
    }
}
