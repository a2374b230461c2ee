//! The state machine.

use super::{Cause, Effect, Event, Exit, Policy, Restart};

/// State of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum State {
    /// Stopped, without a pending start.
    Stopped,
    /// Its start was requested and not confirmed yet.
    Spawning {
        /// Whether it is to stop as soon as it runs.
        stop: bool,
    },
    /// It runs and is not ready yet.
    Starting {
        pid: i32,
        /// Since when.
        since: u64,
    },
    /// It runs and is ready.
    Running {
        pid: i32,
        /// Start time.
        since: u64,
    },
    /// Its end was requested.
    Stopping {
        pid: i32,
        /// Time of its kill in milliseconds. `None` once it was killed.
        until: Option<u64>,
        /// Action after its end.
        then: Then,
    },
    /// It is started at `until`.
    Waiting { until: u64 },
    /// It succeeded and is not restarted.
    Finished,
    /// It failed too often and is not restarted.
    Crashed,
    /// It ended because its money is used up. It is started when there is more.
    Parked,
}

/// Action after a process has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It stays stopped.
    Stop,
    /// It is restarted.
    Start,
    /// It counts as a failure.
    Fail,
}

/// State machine of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Rules.
    pub policy: Policy,
    state: State,
    failures: u32,
    restarts: u64,
    runs: u64,
    started_at: u64,
    last: Option<Exit>,
    closed: bool,
}

impl Machine {
    /// Makes the machine of a process that does not run yet.
    #[must_use]
    pub fn new(policy: Policy) -> Machine {
        let state = State::Stopped;
        Machine { policy, state, failures: 0, restarts: 0, runs: 0, started_at: 0, last: None, closed: false }
    }

    /// Makes the machine of a process that is started for the first time at that time.
    #[must_use]
    pub fn due(policy: Policy, at: u64) -> Machine {
        Machine { state: State::Waiting { until: at }, ..Machine::new(policy) }
    }

    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Tells whether it has ended for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.closed && self.state == State::Stopped
    }

    /// Counts the starts, the first one and those of a schedule included.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Counts the restarts: after failures, and by request. The next start of a schedule does not count.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Returns its last end.
    #[must_use]
    pub fn last(&self) -> Option<&Exit> {
        self.last.as_ref()
    }

    /// Counts the failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the state in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.state {
            State::Stopped => "stopped",
            State::Spawning { .. } | State::Starting { .. } => "starting",
            State::Running { .. } => "running",
            State::Stopping { .. } => "stopping",
            State::Waiting { .. } => "waiting",
            State::Finished => "finished",
            State::Crashed => "crashed",
            State::Parked => "parked",
        }
    }

    /// Returns the time at which it needs the next time event.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        match &self.state {
            State::Starting { since, .. } => Some(since.saturating_add(self.policy.start_ms)),
            State::Stopping { until, .. } => *until,
            State::Waiting { until } => Some(*until),
            _ => None,
        }
    }

    /// Handles an event and returns the action to perform.
    pub fn handle(&mut self, event: Event, now: u64) -> Option<Effect> {
        match event {
            // A request from before the end for good may arrive after it.
            Event::Start | Event::Restart if self.closed => None,
            Event::Start => self.start(),
            Event::Stop => self.stop(now),
            Event::Restart => self.restart(now),
            Event::Close => {
                self.closed = true;
                self.stop(now)
            }
            Event::Spawned { pid } => self.spawned(pid, now),
            Event::Refused(message) => {
                if matches!(self.state, State::Spawning { stop: true }) {
                    self.state = State::Stopped;
                } else if matches!(self.state, State::Spawning { .. }) {
                    self.fail(Exit::refused(message), now);
                }
                None
            }
            Event::Ready => {
                if let State::Starting { pid, since } = self.state {
                    self.state = State::Running { pid, since };
                }
                None
            }
            Event::Exited(exit) => self.exited(exit, now),
            Event::Broke(exit) => self.broke(exit, now),
            Event::Lost => self.lost(now),
            Event::Time => self.time(now),
        }
    }

    fn start(&mut self) -> Option<Effect> {
        match &mut self.state {
            State::Stopped | State::Finished | State::Crashed | State::Parked | State::Waiting { .. } => {
                self.failures = 0;
                self.spawn()
            }
            State::Spawning { stop } => {
                *stop = false;
                None
            }
            State::Stopping { then, .. } => {
                *then = Then::Start;
                None
            }
            State::Starting { .. } | State::Running { .. } => None,
        }
    }

    fn spawn(&mut self) -> Option<Effect> {
        self.state = State::Spawning { stop: false };
        Some(Effect::Spawn)
    }

    fn stop(&mut self, now: u64) -> Option<Effect> {
        match &mut self.state {
            State::Starting { .. } | State::Running { .. } => self.terminate(Then::Stop, now),
            State::Spawning { stop } => {
                *stop = true;
                None
            }
            State::Stopping { then, .. } => {
                *then = Then::Stop;
                None
            }
            State::Stopped | State::Finished | State::Crashed | State::Parked | State::Waiting { .. } => {
                self.state = State::Stopped;
                None
            }
        }
    }

    fn restart(&mut self, now: u64) -> Option<Effect> {
        self.failures = 0;
        match &self.state {
            State::Starting { .. } | State::Running { .. } => self.terminate(Then::Start, now),
            _ => self.start(),
        }
    }

    fn terminate(&mut self, then: Then, now: u64) -> Option<Effect> {
        let pid = self.pid()?;
        self.state = State::Stopping { pid, until: Some(now.saturating_add(self.policy.stop_ms)), then };
        Some(Effect::Terminate)
    }

    /// Returns the process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        match self.state {
            State::Starting { pid, .. } | State::Running { pid, .. } | State::Stopping { pid, .. } => Some(pid),
            _ => None,
        }
    }

    /// Returns the start time of the running process.
    #[must_use]
    pub fn started_at(&self) -> Option<u64> {
        self.pid().map(|_| self.started_at)
    }

    fn spawned(&mut self, pid: i32, now: u64) -> Option<Effect> {
        let State::Spawning { stop } = self.state else {
            // Its requester is gone: it must not stay.
            return Some(Effect::Kill);
        };
        self.started_at = now;
        self.runs += 1;
        self.state = State::Starting { pid, since: now };
        if stop {
            return self.terminate(Then::Stop, now);
        }
        if !self.policy.tells_ready {
            self.state = State::Running { pid, since: now };
        }
        None
    }

    fn exited(&mut self, exit: Exit, now: u64) -> Option<Effect> {
        match self.state {
            State::Starting { .. } => {
                let early = exit.is_success();
                let exit = if early { Exit { cause: Some(Cause::NotReady), ..exit } } else { exit };
                self.fail(exit, now);
                None
            }
            State::Running { since, .. } => {
                if now.saturating_sub(since) >= self.policy.stable_ms {
                    self.failures = 0;
                }
                if exit.is_success() {
                    self.ended_well(exit, now)
                } else {
                    self.fail(exit, now)
                }
                None
            }
            State::Stopping { then, .. } => {
                self.last = Some(exit.clone());
                match then {
                    Then::Stop => {
                        self.state = State::Stopped;
                        None
                    }
                    Then::Start => {
                        self.restarts += 1;
                        self.spawn()
                    }
                    Then::Fail => {
                        self.fail(Exit { cause: exit.cause.or(Some(Cause::NotReady)), ..exit }, now);
                        None
                    }
                }
            }
            _ => None,
        }
    }

    /// It is not blamed: it waits for money, however often.
    fn broke(&mut self, exit: Exit, now: u64) -> Option<Effect> {
        if !matches!(self.state, State::Starting { .. } | State::Running { .. }) {
            return self.exited(exit, now);
        }
        self.last = Some(exit);
        self.failures = 0;
        self.state = State::Parked;
        None
    }

    fn ended_well(&mut self, exit: Exit, now: u64) {
        self.last = Some(exit);
        self.failures = 0;
        self.state = match (self.policy.every_ms, self.policy.restart) {
            (Some(every), _) => State::Waiting { until: self.started_at.saturating_add(every).max(now) },
            // A process that ends at once must not be restarted as fast as the machine can.
            (None, Restart::Always) => State::Waiting { until: now.saturating_add(self.policy.delay_ms) },
            (None, _) => State::Finished,
        };
    }

    fn fail(&mut self, exit: Exit, now: u64) {
        self.last = Some(exit);
        self.failures = self.failures.saturating_add(1);
        self.state = if self.policy.restart == Restart::Never || self.failures > self.policy.tries {
            State::Crashed
        } else {
            State::Waiting { until: now.saturating_add(self.policy.wait_ms(self.failures)) }
        };
    }

    fn lost(&mut self, now: u64) -> Option<Effect> {
        let stopping = match &self.state {
            State::Stopping { then, .. } => *then == Then::Stop,
            State::Spawning { stop } => *stop,
            State::Starting { .. } | State::Running { .. } => false,
            _ => return None,
        };
        self.last = Some(Exit::because(Cause::HelperLost));
        self.state = if stopping { State::Stopped } else { State::Waiting { until: now } };
        None
    }

    fn time(&mut self, now: u64) -> Option<Effect> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match &mut self.state {
            State::Starting { .. } => self.terminate(Then::Fail, now),
            State::Stopping { until, .. } => {
                *until = None;
                Some(Effect::Kill)
            }
            State::Waiting { .. } => {
                // Neither the first start nor one after a good end is a restart.
                self.restarts += u64::from(self.last.as_ref().is_some_and(|last| !last.is_success()));
                self.spawn()
            }
            _ => None,
        }
    }
}
