//! The turn under way, as the laws see it: what was asked, when, and of whom.

use kapelle_core::{
    DurationMs, Name, RunId, TaskId, Timestamp,
    task::{Report, Task, TaskState},
};
use kapelle_engine::turn::{Command, Input, Reported, command};

use crate::laws::signals;

/// The turn under way.
#[derive(Debug, Default)]
pub struct Moment {
    /// The wall clock.
    pub now: Timestamp,
    /// The steady clock.
    pub steady_ms: u64,
    /// What a point of priority is worth, as the plan has it.
    pub ageing_ms: u64,
    /// There is only one server, so that its memory is complete.
    pub alone: bool,
    /// A server is starting.
    pub recovering: bool,
    /// Reports among the commands.
    pub reports: Vec<(Report, Said)>,
    /// Tasks that somebody puts back.
    pub revived: Vec<TaskId>,
    /// Tasks that somebody ends.
    pub cancelled: Vec<TaskId>,
    /// Runs that somebody ends.
    pub cancelled_runs: Vec<RunId>,
    /// Runs that somebody pauses.
    pub paused: Vec<RunId>,
    /// Runs that somebody lets go on.
    pub resumed: Vec<RunId>,
    /// Signals that somebody sends: each has a number.
    pub signals: Vec<(RunId, u64)>,
    /// Steps that somebody answers.
    pub approved: Vec<TaskId>,
    /// A queue's limit is changed in this turn, or something is paused or resumed.
    pub limiting: bool,
    /// Slots of the server's queues.
    pub limits: Vec<(Name, u32)>,
    /// Slots of queues that are not listed.
    pub other_slots: u32,
    /// Slots of the server's workers.
    pub worker_slots: Vec<(Name, u32)>,
    /// How many tasks of one key its workers may run at once.
    pub key_limits: Vec<(Name, u32)>,
}

/// What a report said.
#[derive(Debug, Clone)]
pub enum Said {
    /// The answer.
    Succeeded,
    /// Why it failed.
    Failed(kapelle_core::TaskError),
    /// The task is given back.
    Released,
}

impl Moment {
    /// Notes what a turn is asked.
    pub fn ask(&mut self, inputs: &[Input]) {
        self.recovering = false;
        self.limiting = false;
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
                Command::RetryByHand(command::RetryByHand { task }) => self.revived.push(*task),
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

    fn limit(&mut self, queue: &Name, slots: u32) {
        match self.limits.iter_mut().find(|(name, _)| name == queue) {
            Some(limit) => limit.1 = slots,
            None => self.limits.push((queue.clone(), slots)),
        }
    }

    /// The reports that present the lease of a running task, whether or not they were accepted.
    pub fn matching<'a>(&'a self, task: &'a Task) -> impl Iterator<Item = &'a Said> {
        let lease = match task.state {
            TaskState::Running(lease) => Some((lease.epoch, lease.nonce)),
            _ => None,
        };
        let fits = move |report: &Report| report.task == task.id && Some((report.epoch, report.nonce)) == lease;
        self.reports.iter().filter(move |(report, _)| fits(report)).map(|(_, said)| said)
    }

    /// The rank that a task which becomes ready now must have.
    #[must_use]
    pub fn rank(&self, priority: i16) -> i64 {
        let worth = if self.ageing_ms == 0 { 1 << 42 } else { self.ageing_ms as i64 };
        self.now.0 - i64::from(priority) * worth
    }

    /// How long a span is, for messages.
    #[must_use]
    pub fn since(&self, steady_ms: u64) -> DurationMs {
        DurationMs(self.steady_ms.saturating_sub(steady_ms))
    }
}
