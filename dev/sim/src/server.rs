//! Servers: turns on arrived messages, deaths and restarts.

use std::sync::{Arc, PoisonError};

use kapelle_core::{
    Timestamp,
    task::{Task, TaskState, WaitFor},
    worker::WorkerSpec,
};
use kapelle_engine::{
    EngineError, Taken,
    turn::{Command, Directory, Effect, Input, LoopState, Turned, command},
};

use crate::{
    net::{Asked, Flight},
    plan::{WORKERS, Workers},
    record::{Drawn, Life, watch},
    world::World,
};

/// Longest sleep of a server.
const NAP_MS: u64 = 1_000;

/// Turns between two checks of every open run.
const LOOKED_EVERY: u64 = 16;

/// One server.
#[derive(Default)]
pub(crate) struct Server {
    turns: Option<LoopState>,
    directory: Option<Arc<Workers>>,
    pub(crate) down_until: u64,
    more: bool,
    turned_at: u64,
}

impl Server {
    /// Returns the time of its next action on the monotonic clock, from both clocks.
    pub(crate) fn next(&self, wall_ms: i64, steady_ms: u64) -> Option<u64> {
        let turns = self.turns.as_ref()?;
        if self.more {
            return Some(steady_ms);
        }
        let due = turns.next_due().map(|due| steady_ms + due.since(Timestamp(wall_ms)).0);
        match (due, turns.next_steady()) {
            (Some(due), Some(end)) => Some(due.min(end)),
            (due, end) => due.or(end),
        }
    }
}

impl World {
    pub(crate) fn servers_act(&mut self) -> Result<(), String> {
        for server in 0..self.servers.len() {
            if self.servers[server].turns.is_none() {
                if self.calm || self.servers[server].down_until <= self.steady_ms {
                    self.start_server(server)?;
                }
                continue;
            }
            if !self.calm && self.rng.chance(self.plan.faults.crash) {
                self.kill(server);
                continue;
            }
            self.turn(server)?;
        }
        Ok(())
    }

    fn start_server(&mut self, server: usize) -> Result<(), String> {
        let mut random = self.rng.fork();
        let drawn = self.lives.is_some().then(Drawn::default);
        let written = drawn.clone();
        let random = move || {
            let number = random.draw();
            if let Some(written) = &written {
                written.lock().unwrap_or_else(PoisonError::into_inner).push(number);
            }
            number
        };
        let directory = Arc::new(self.plan.directory.fresh());
        let mut turns = LoopState::new(
            Box::new(self.disk.clone()),
            self.plan.options.clone(),
            Arc::clone(&directory) as _,
            Box::new(random),
        );
        if self.lives.is_some() {
            watch(&turns);
            turns.record_outside();
        }
        self.set_moment(&[], true);
        let started = turns.recover(Timestamp(self.wall_ms), self.steady_ms);
        self.checked()?;
        if let (Some(lives), Some(drawn)) = (&mut self.lives, drawn) {
            lives.push(Life::new((self.wall_ms, self.steady_ms), &started, drawn, &Taken::Unknown)?);
        }
        match started {
            Ok(turned) if !turned.broken => {
                self.give_full_terms();
                let place = &mut self.servers[server];
                place.turns = Some(turns);
                place.directory = Some(directory);
                place.turned_at = self.steady_ms;
                self.follow(server, turned)
            }
            _ => {
                self.kill(server);
                Ok(())
            }
        }
    }

    /// Gives remote attempts a full lease from the start of the server.
    fn give_full_terms(&mut self) {
        let mut disk = self.disk.lock();
        let steady = self.steady_ms;
        disk.signs.values_mut().for_each(|(_, at)| *at = steady);
    }

    /// Kills the server, with its process memory.
    fn kill(&mut self, server: usize) {
        let down = if self.calm { 0 } else { self.rng.below(3_000) };
        self.servers[server] = Server { down_until: self.steady_ms + down, ..Server::default() };
        self.locals.retain(|local| local.server != server);
        self.pool.retain(|pooled| pooled.server != server);
        self.flights.retain(|flight| flight.server != server || !flight.inside);
    }

    /// Records the coming turn for the laws.
    fn set_moment(&mut self, inputs: &[Input], starting: bool) {
        let options = &self.plan.options;
        let mut disk = self.disk.lock();
        let moment = &mut disk.moment;
        if starting {
            moment.limits = options.queues.iter().map(|(name, queue)| (name.clone(), queue.slots)).collect();
            moment.other_slots = options.other_slots;
            let spec = |name: &&str| {
                self.plan.directory.local(kapelle_core::TenantId::DEFAULT, &kapelle_core::Name::new(name))
            };
            let slots = |spec: Arc<WorkerSpec>| (spec.name.clone(), spec.slots);
            moment.worker_slots = WORKERS.iter().filter_map(spec).map(slots).collect();
            let keys = |spec: Arc<WorkerSpec>| Some((spec.name.clone(), spec.per_key?.limit));
            moment.key_limits = WORKERS.iter().filter_map(spec).filter_map(keys).collect();
        }
        moment.now = Timestamp(self.wall_ms);
        moment.steady_ms = self.steady_ms;
        moment.alone = self.servers.len() == 1;
        moment.ageing_ms = options.ageing.0.0;
        moment.ask(inputs);
        moment.recovering = starting;
    }

    /// Returns the first broken law of the disk.
    fn checked(&mut self) -> Result<(), String> {
        self.disk.lock().broken.take().map_or(Ok(()), Err)
    }

    fn turn(&mut self, server: usize) -> Result<(), String> {
        let mut inputs = self.arrived(server);
        let place = &self.servers[server];
        let due = place.next(self.wall_ms, self.steady_ms).is_some_and(|at| at <= self.steady_ms);
        let rested = self.steady_ms >= place.turned_at + NAP_MS;
        if due && (self.calm || !self.rng.chance(self.plan.faults.late_tick)) {
            self.asked.push(Asked::Nobody);
            inputs.push(Input { ticket: self.asked.len() as u64 - 1, command: command::Tick.into() });
        }
        if inputs.is_empty() && !self.servers[server].more && !rested {
            return Ok(());
        }
        if self.verbose {
            self.note(format!("server {server} at {}: {inputs:?}", self.steady_ms));
        }
        self.set_moment(&inputs, false);
        self.turns += 1;
        let place = &mut self.servers[server];
        place.turned_at = self.steady_ms;
        let Some(turns) = place.turns.as_mut() else { return Ok(()) };
        let turned = turns.turn(&inputs, Timestamp(self.wall_ms), self.steady_ms);
        let limited = |input: &Input| matches!(input.command, Command::LimitQueue(_));
        if inputs.iter().zip(&turned.replies).any(|(input, (_, reply))| limited(input) && reply.is_err()) {
            self.disk.lock().moment.roll_back();
        }
        if let Some(life) = self.lives.as_mut().and_then(|lives| lives.last_mut()) {
            life.turn(&inputs, (self.wall_ms, self.steady_ms), &turned)?;
        }
        self.checked()?;
        if turned.broken {
            self.kill(server);
            return Ok(());
        }
        self.send_again(server, inputs, &turned);
        self.follow(server, turned)?;
        if self.turns.is_multiple_of(LOOKED_EVERY) { self.runs_wait(server) } else { Ok(()) }
    }

    /// Checks that every open run waits (I11): for a row without inner rows, an evaluation, a resume, or the next turn.
    fn runs_wait(&self, server: usize) -> Result<(), String> {
        // After a turn that a full disk failed, its remaining work is in the next one.
        let full = !self.calm && self.plan.faults.full > 0;
        if full || self.servers.len() > 1 || self.servers[server].more || self.servers[server].turns.is_none() {
            return Ok(());
        }
        let disk = self.disk.lock();
        for run in &disk.open_runs {
            let Some(shelf) = disk.runs.get(run).filter(|shelf| shelf.row.paused.is_none()) else { continue };
            let waits = |task: &Task| {
                !task.state.kind().is_terminal() && !matches!(task.state, TaskState::Waiting(WaitFor::Scope(_)))
            };
            let rows = shelf.steps.values().any(|task| disk.task(*task).is_some_and(waits));
            let evaluated = self.pool.iter().any(|pooled| pooled.is_of(*run));
            let returned = self.flights.iter().any(|flight| match &flight.command {
                Command::BeginStep(begin) => begin.run == *run,
                Command::CloseScope(close) => close.run == *run,
                Command::FinishRun(finish) => finish.run == *run,
                _ => false,
            });
            if !(rows || evaluated || returned) {
                return Err(format!("I11: {run} is open and waits for nothing: {:?}", shelf.row));
            }
        }
        Ok(())
    }

    /// Sends messages from within the server's process again when the disk was full.
    fn send_again(&mut self, server: usize, inputs: Vec<Input>, turned: &Turned) {
        for (input, (ticket, reply)) in inputs.into_iter().zip(&turned.replies) {
            let full = matches!(reply, Err(EngineError::Store(error)) if error.is_temporary());
            let inside = match &input.command {
                Command::BeginStep(_) | Command::CloseScope(_) | Command::FinishRun(_) => true,
                _ => matches!(self.asked[*ticket as usize], Asked::Report(None, ..)),
            };
            if full && inside {
                let at = self.steady_ms + 250;
                self.flights.push(Flight { at, server, inside, ticket: *ticket, command: input.command });
            }
        }
    }

    /// Checks that only running tasks keep a promised call. Another server may have ended a task that ran in this one.
    pub(crate) fn rights_ended(&self) -> Result<(), String> {
        let [Server { directory: Some(directory), .. }] = self.servers.as_slice() else { return Ok(()) };
        let kept = directory.rights();
        if kept.is_empty() { Ok(()) } else { Err(format!("all has ended, and {kept:?} have the right to a call")) }
    }

    /// Kills every server and restarts it.
    pub(crate) fn restart_all(&mut self) -> Result<(), String> {
        (0..self.servers.len()).for_each(|server| self.kill(server));
        self.servers_act()
    }

    /// Delivers answers and performs effects.
    fn follow(&mut self, server: usize, turned: Turned) -> Result<(), String> {
        self.servers[server].more = turned.more;
        if self.verbose {
            self.note(format!("  replies {:?}\n  effects {:?}", turned.replies, turned.effects));
        }
        for (ticket, reply) in turned.replies {
            self.answered(ticket, reply)?;
        }
        for effect in turned.effects {
            match effect {
                Effect::Dispatch(dispatch) => {
                    let knows = self.servers[server].directory.as_ref();
                    if !knows.is_none_or(|directory| directory.may_call(dispatch.task, &dispatch.worker)) {
                        return Err(format!("{} began, and its provider takes no call of it now", dispatch.task));
                    }
                    self.dispatched(server, &dispatch)?;
                }
                Effect::Stop(task) => self.stopped(server, task),
                Effect::Evaluate(evaluation) => self.evaluate(server, evaluation),
                Effect::Ended(task) => {
                    let disk = self.disk.lock();
                    if disk.task(task.id).map(|stored| &stored.state) != Some(&task.state) {
                        return Err(format!("the end of {} was told, and is not stored", task.id));
                    }
                }
                Effect::RunEnded(run) => {
                    if self.disk.lock().open_runs.contains(&run) {
                        return Err(format!("the end of {run} was told, and is not stored"));
                    }
                }
                Effect::Notify(_) | Effect::Tell(_) | Effect::Session(_) => {}
            }
        }
        Ok(())
    }
}
