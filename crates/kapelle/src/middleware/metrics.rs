//! Figures of workers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use kapelle_core::{
    Money, TaskError,
    middleware::{Call, Middleware, Next},
    worker::{BoxFuture, Output},
};
use serde_json::Value;

/// The figures of one worker in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Attempts under way.
    pub running: u64,
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Their cost, including the failed ones.
    pub cost: Money,
}

/// Middleware that counts attempts by worker. Clones share their figures, so keep one to read them.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<String, Figures>>>);

impl Metrics {
    /// Returns the figures of every worker that has had an attempt.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<String, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, worker: &str, change: impl FnOnce(&mut Figures)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(worker) {
            all.insert(worker.to_owned(), Figures::default());
        }
        all.get_mut(worker).map(change);
    }
}

/// A guard that counts an attempt as running until it is dropped.
struct Running<'a>(&'a Metrics, &'a str);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.change(self.1, |figures| figures.running = figures.running.saturating_sub(1));
    }
}

impl Middleware for Metrics {
    fn around<'a>(&'a self, call: Call<'a>, input: Value, next: Next<'a>) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let worker = call.spec.name.as_str();
            self.change(worker, |figures| figures.running += 1);
            let _running = Running(self, worker);
            let ended = next.run(call, input).await;
            self.change(worker, |figures| {
                let (count, cost) = match &ended {
                    Ok(output) => (&mut figures.succeeded, output.provenance.cost),
                    Err(error) => (&mut figures.failed, error.cost),
                };
                *count += 1;
                figures.cost = Money(figures.cost.0.saturating_add(cost.0));
            });
            ended
        })
    }
}
