//! Pools: several workers under one name, and the choice of the one for each task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kapelle_core::{
    TaskError,
    balance::{Balancer, Load},
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use kapelle_engine::Clock;
use serde_json::Value;

/// Weight of an attempt in the moving mean: one in eight.
const WEIGHT: u64 = 8;

/// Several workers under one name.
pub(crate) struct Pool {
    spec: WorkerSpec,
    members: Vec<Arc<dyn Worker>>,
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

struct State {
    balancer: Box<dyn Balancer>,
    loads: Vec<Load>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(crate) fn new(
        spec: WorkerSpec,
        members: Vec<Arc<dyn Worker>>,
        balancer: Box<dyn Balancer>,
        clock: Arc<dyn Clock>,
    ) -> Pool {
        let loads = vec![Load::default(); members.len()];
        Pool { spec, members, state: Arc::new(Mutex::new(State { balancer, loads })), clock }
    }

    fn choose(&self) -> usize {
        let mut state = lock(&self.state);
        let State { balancer, loads } = &mut *state;
        let chosen = balancer.choose(loads).min(loads.len().saturating_sub(1));
        loads[chosen].running += 1;
        chosen
    }
}

/// A guard of a member's attempt. It ends with the attempt, also one that is dropped early because it took too long.
struct Turn<'a> {
    state: &'a Mutex<State>,
    clock: &'a dyn Clock,
    member: usize,
    began_ms: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let took = self.clock.steady_ms().saturating_sub(self.began_ms).saturating_mul(1_000);
        let load = &mut lock(self.state).loads[self.member];
        load.running = load.running.saturating_sub(1);
        load.done += 1;
        load.mean_us = Some(load.mean_us.map_or(took, |mean| (mean * (WEIGHT - 1) + took) / WEIGHT));
    }
}

impl Worker for Pool {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let member = self.choose();
            let began_ms = self.clock.steady_ms();
            let _turn = Turn { state: &self.state, clock: &*self.clock, member, began_ms };
            self.members[member].execute(ctx, input).await
        })
    }
}
