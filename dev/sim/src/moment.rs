//! The current turn for the laws: its commands, time and server.

use kapelle_core::{
    DurationMs, Name, RunId, TaskId, Timestamp,
    task::{Report, Task, TaskState},
};
use kapelle_engine::turn::{Command, Input, Reported, command};

use crate::laws::signals;

/// The current turn.
#[derive(Debug, Default)]
pub struct Moment {
    /// Wall clock.
    pub now: Timestamp,
    /// Monotonic clock.
    pub steady_ms: u64,
    /// Value of a point of priority in the plan, in milliseconds.
    pub ageing_ms: u64,
    /// Whether there is only one server, so that its memory is complete.
    pub alone: bool,
    /// Whether a server is starting.
    pub recovering: bool,
    /// Reports among the commands.
    pub reports: Vec<(Report, Said)>,
    /// Tasks that are retried by hand.
    pub revived: Vec<TaskId>,
    /// Tasks that are cancelled.
    pub cancelled: Vec<TaskId>,
    /// Runs that are cancelled.
    pub cancelled_runs: Vec<RunId>,
    /// Runs that are paused.
    pub paused: Vec<RunId>,
    /// Runs that are resumed.
    pub resumed: Vec<RunId>,
    /// Signals that are sent, with their numbers.
    pub signals: Vec<(RunId, u64)>,
    /// Steps that are answered.
    pub approved: Vec<TaskId>,
    /// Whether a queue's limit is changed in this turn, or something is paused or resumed.
    pub limiting: bool,
    /// Slots of the server's queues.
    pub limits: Vec<(Name, u32)>,
    /// The limits of queues before the commands of the turn.
    limits_before: Vec<(Name, u32)>,
    /// Slots of queues that are not listed.
    pub other_slots: u32,
    /// Slots of the server's workers.
    pub worker_slots: Vec<(Name, u32)>,
    /// Limit of running tasks of one key, by worker.
    pub key_limits: Vec<(Name, u32)>,
}

/// Contents of a report.
#[derive(Debug, Clone)]
pub enum Said {
    /// An answer.
    Succeeded,
    /// A failure.
    Failed(kapelle_core::TaskError),
    /// A release.
    Released,
}

impl Moment {
    /// Records the commands of a turn.
    pub fn ask(&mut self, inputs: &[Input]) {
        self.recovering = false;
        self.limiting = false;
        self.limits_before.clone_from(&self.limits);
        self.reports.clear();
        self.revived.clear();
        self.cancelled.clear();
        self.cancelled_runs.clear();
        self.paused.clear();
        self.resumed.clear();
        self.signals.clear();
        self.approved.clear();
        for input in inputs {
            match &input.command {
                Command::Report(command::Report { report, reported, .. }) => {
                    let said = match reported {
                        Reported::Succeed { .. } => Said::Succeeded,
                        Reported::Fail { error } => Said::Failed(error.clone()),
                        Reported::Release => Said::Released,
                    };
                    self.reports.push((*report, said));
                }
                Command::RetryByHand(command::RetryByHand { task, .. }) => self.revived.push(*task),
                Command::Cancel(command::Cancel { task, .. }) => self.cancelled.push(*task),
                Command::CancelRun(command::CancelRun { run, .. }) => self.cancelled_runs.push(*run),
                Command::PauseRun(command::PauseRun { run }) => self.paused.push(*run),
                Command::ResumeRun(command::ResumeRun { run }) => self.resumed.push(*run),
                Command::Signal(command::Signal { run, payload, .. }) => {
                    self.signals.push((*run, signals::number(payload)))
                }
                Command::Approve(command::Approve { task, .. }) => self.approved.push(*task),
                Command::LimitQueue(command::LimitQueue { queue, slots }) => {
                    self.limiting = true;
                    self.limit(queue, *slots);
                }
                Command::Pause(_) => self.limiting = true,
                _ => {}
            }
        }
    }

    /// Restores the limits of queues after a turn that failed.
    pub fn roll_back(&mut self) {
        self.limits.clone_from(&self.limits_before);
    }

    fn limit(&mut self, queue: &Name, slots: u32) {
        match self.limits.iter_mut().find(|(name, _)| name == queue) {
            Some(limit) => limit.1 = slots,
            None => self.limits.push((queue.clone(), slots)),
        }
    }

    /// Returns the reports with the lease of a running task, accepted or not.
    pub fn matching<'a>(&'a self, task: &'a Task) -> impl Iterator<Item = &'a Said> {
        let lease = match task.state {
            TaskState::Running(lease) => Some((lease.epoch, lease.nonce)),
            _ => None,
        };
        let fits = move |report: &Report| report.task == task.id && Some((report.epoch, report.nonce)) == lease;
        self.reports.iter().filter(move |(report, _)| fits(report)).map(|(_, said)| said)
    }

    /// Returns the rank that a task must have which becomes ready now.
    #[must_use]
    pub fn rank(&self, priority: i16) -> i64 {
        let worth = if self.ageing_ms == 0 { 1 << 42 } else { self.ageing_ms as i64 };
        self.now.0 - i64::from(priority) * worth
    }

    /// Returns the length of a span, for messages.
    #[must_use]
    pub fn since(&self, steady_ms: u64) -> DurationMs {
        DurationMs(self.steady_ms.saturating_sub(steady_ms))
    }
}
