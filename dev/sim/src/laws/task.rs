//! Allowed changes of a task from one commit to the next.

use kapelle_core::{
    Category, RunId, TaskError,
    run::{RunEvent, RunStatus, Slot},
    task::{HoldReason, Origin, StateKind, Task, TaskState},
};
use kapelle_store::{Batch, JournalEntry};

use crate::{
    disk::Disk,
    moment::{Moment, Said},
    plan::{LEASE_MS, TIMEOUT_MS},
};

/// Number of crashes that makes a task dead.
const CRASHES_MAX: u32 = 3;

/// A task before and after a turn.
pub(super) struct Change<'a> {
    pub(super) before: Option<&'a Task>,
    pub(super) after: &'a Task,
    /// Whether its run, or a step around it, is being ended.
    pub(super) run_ends: bool,
    /// Whether its run is paused.
    pub(super) paused: bool,
    /// Unsuccessful attempts that the turn recorded for it.
    pub(super) attempts: usize,
}

/// Tells whether the run of a task, or a step around it, is being ended or has ended, once this batch is written.
pub(super) fn is_ended(disk: &Disk, batch: &Batch<'_>, origin: &Origin) -> bool {
    let ends = |status: &RunStatus| !matches!(status, RunStatus::Running | RunStatus::Succeeded { .. });
    let written = batch.runs.iter().find(|write| write.run.id == origin.run);
    // A run may be started and fail in one turn.
    if written.is_some_and(|write| ends(&write.run.status)) {
        return true;
    }
    let Some(shelf) = disk.runs.get(&origin.run) else { return false };
    if ends(&shelf.row.status) {
        return true;
    }
    let mut scope = origin.scope;
    while !scope.is_outermost() {
        // A scope that is opened in this very turn is checked with its journal.
        let Some(level) = shelf.model.as_ref().and_then(|model| model.levels.get(&scope)) else { return true };
        let Some((outer, slot)) = level.outer else { return false };
        let Some(holder) = shelf.steps.get(&(outer, Slot(slot))) else { return true };
        let now = batch.tasks.iter().find(|write| write.task.id == *holder).map(|write| write.task);
        if now.or_else(|| disk.task(*holder)).is_some_and(|task| task.state.kind().is_terminal()) {
            return true;
        }
        scope = outer;
    }
    false
}

/// Tells whether the run was paused before this batch and still is.
pub(super) fn run_is_paused(disk: &Disk, batch: &Batch<'_>, run: RunId) -> bool {
    let before = disk.runs.get(&run).is_some_and(|shelf| shelf.row.paused.is_some());
    let written = batch.runs.iter().find(|write| write.run.id == run);
    // It may be resumed for a moment, and be paused again in the same turn.
    let went_on = |entry: &JournalEntry| entry.run == run && matches!(entry.event, RunEvent::Resumed { .. });
    before && written.is_none_or(|write| write.run.paused.is_some()) && !batch.journal.iter().any(went_on)
}

impl Change<'_> {
    pub(super) fn check(&self, disk: &Disk) -> Result<(), String> {
        let moment = &disk.moment;
        let Some(before) = self.before else { return self.check_new(moment) };
        self.frozen(before)?;
        let revived = moment.revived.contains(&before.id);
        if before.state.kind().is_terminal() {
            let by_hand = revived && before.state.kind() == StateKind::Failed && before.origin.is_none();
            if !by_hand {
                return Err("I3: a task that had ended changed".to_owned());
            }
        }
        self.epochs(before, revived)?;
        if !revived {
            self.counts(before)?;
        }
        if let TaskState::Waiting(_) = before.state {
            return self.waited(disk);
        }
        let lost = self.lost(before, disk);
        match &self.after.state {
            TaskState::Succeeded { .. } => {
                let answered = moment.matching(before).any(|said| matches!(said, Said::Succeeded));
                if answered {
                    Ok(())
                } else {
                    Err("I2: an answer was accepted from a reporter that does not hold the task".to_owned())
                }
            }
            TaskState::Cancelled { .. } if self.run_ends || moment.cancelled.contains(&before.id) => Ok(()),
            TaskState::Cancelled { .. } => Err("I5: cancelled, and nobody asked for it".to_owned()),
            TaskState::Failed { error, dead, .. } => self.failed(before, error, *dead, lost, moment),
            TaskState::Retrying { at, error } => {
                let told = moment.matching(before).any(|said| matches!(said, Said::Failed(other) if other == &**error));
                if !told && lost.is_err() {
                    return lost.map_err(|law| format!("tried again: {law}"));
                }
                if !self.may_retry(error) || at.0 < moment.now.0 {
                    return Err(format!("tried again after {error}, against its retry rules"));
                }
                Ok(())
            }
            TaskState::Held { reason: HoldReason::RunPaused, rank } => match before.state {
                TaskState::Ready { rank: former } if former == *rank => Ok(()),
                // It became ready in the same turn.
                _ if *rank == moment.rank(before.priority) => self.became_ready(before, revived, lost, moment),
                _ => Err("held, and was not ready".to_owned()),
            },
            TaskState::Ready { rank } if matches!(before.state, TaskState::Held { .. }) => {
                let same = matches!(before.state, TaskState::Held { rank: former, .. } if former == *rank);
                if same && !self.paused { Ok(()) } else { Err("lifted, and its run is still paused".to_owned()) }
            }
            TaskState::Ready { rank } => {
                self.became_ready(before, revived, lost, moment)?;
                let kept = matches!(before.state, TaskState::Held { rank: other, .. } | TaskState::Ready { rank: other } if other == *rank);
                if kept || *rank == moment.rank(before.priority) {
                    Ok(())
                } else {
                    Err(format!("ready with rank {rank}"))
                }
            }
            TaskState::Running(_) => self.running(before, revived, lost, moment),
            TaskState::Held { reason, rank } => self.held(before, *reason, *rank, moment),
            other => Err(format!("became {}", other.kind().as_str())),
        }
    }

    /// Checks the end of a waiting step; the journal of its run says whether it was time.
    fn waited(&self, disk: &Disk) -> Result<(), String> {
        match &self.after.state {
            TaskState::Succeeded { .. } | TaskState::Failed { dead: false, .. } => Ok(()),
            TaskState::Cancelled { .. } if self.run_ends || disk.moment.cancelled.contains(&self.after.id) => Ok(()),
            other => Err(format!("became {} from waiting", other.kind().as_str())),
        }
    }

    fn check_new(&self, moment: &Moment) -> Result<(), String> {
        let task = self.after;
        let fresh = task.failures == 0 && task.crashes == 0 && task.epoch <= 1;
        let good = match &task.state {
            TaskState::Scheduled { at } => *at > moment.now,
            TaskState::Held { reason: HoldReason::KeyLimit, rank } => {
                task.key.is_some() && task.epoch == 0 && *rank == moment.rank(task.priority)
            }
            TaskState::Ready { rank } => task.epoch == 0 && *rank == moment.rank(task.priority),
            TaskState::Running(lease) => task.epoch == 1 && lease.epoch == 1,
            TaskState::Failed { .. } => task.origin.is_some() || self.late(moment),
            TaskState::Skipped { .. } | TaskState::Waiting(_) => task.origin.is_some(),
            // A timer of no time, a stored signal, a list without items, a reused result.
            TaskState::Succeeded { .. } => task.origin.is_some() && task.epoch == 0,
            TaskState::Held { .. } => task.origin.is_some(),
            TaskState::Cancelled { .. } => self.run_ends || moment.cancelled.contains(&task.id),
            _ => false,
        };
        if fresh && good { Ok(()) } else { Err("a task began in a state in which none begins".to_owned()) }
    }

    /// Checks the fields that are fixed at submission.
    fn frozen(&self, before: &Task) -> Result<(), String> {
        let after = self.after;
        let same = before.tenant == after.tenant
            && before.queue == after.queue
            && before.worker == after.worker
            && before.priority == after.priority
            && before.key == after.key
            && before.input == after.input
            && before.origin == after.origin
            && before.policy == after.policy
            && before.created_at == after.created_at;
        if same { Ok(()) } else { Err("something that is fixed at submission changed".to_owned()) }
    }

    fn epochs(&self, before: &Task, revived: bool) -> Result<(), String> {
        let most = before.epoch + 1 + u32::from(revived);
        if self.after.epoch < before.epoch || self.after.epoch > most {
            return Err(format!("the attempt went from {} to {}", before.epoch, self.after.epoch));
        }
        Ok(())
    }

    /// Checks that counts rise by one with every recorded attempt, and crashes apart from failures.
    fn counts(&self, before: &Task) -> Result<(), String> {
        let rise = (self.after.failures + self.after.crashes).checked_sub(before.failures + before.crashes);
        let apart = self.after.failures >= before.failures && self.after.crashes >= before.crashes;
        if rise != Some(self.attempts as u32) || !apart || self.attempts > 1 {
            return Err(format!("{} attempts were recorded, and the counts do not say so", self.attempts));
        }
        if rise == Some(1) {
            let error = match &self.after.state {
                TaskState::Retrying { error, .. } | TaskState::Failed { error, .. } => error,
                _ => return Ok(()),
            };
            let crashed = error.category == Category::LeaseLost;
            if crashed != (self.after.crashes > before.crashes) {
                return Err("a lost attempt must be counted as one, and nothing else".to_owned());
            }
        }
        Ok(())
    }

    /// Tells whether the attempt may count as lost now.
    fn lost(&self, before: &Task, disk: &Disk) -> Result<(), String> {
        let TaskState::Running(lease) = before.state else { return Err("it was not running".to_owned()) };
        if lease.host == 0 {
            return Err("an attempt in the server's own process was taken for lost".to_owned());
        }
        let told = match &self.after.state {
            TaskState::Retrying { error, .. } | TaskState::Failed { error, .. } => Some(error.category),
            _ => None,
        };
        // The server measures the time of a host's attempt itself, heartbeats or not.
        if told == Some(Category::Timeout) {
            let limit = before.policy.timeout.map_or(TIMEOUT_MS, |timeout| timeout.0);
            let steady = disk.begun.get(&before.id).map_or(0, |(_, at)| disk.moment.since(*at).0);
            let wall = disk.moment.now.since(lease.started_at).0;
            let early = format!("ended {steady} ms after it began, and it had {limit} ms");
            // Each of two servers has its own clocks.
            return if !disk.moment.alone || steady.max(wall) >= limit { Ok(()) } else { Err(early) };
        }
        let sign = disk.signs.get(&before.id).filter(|(epoch, _)| *epoch == lease.epoch);
        match sign {
            Some((_, at)) if disk.moment.alone && disk.moment.since(*at).0 < LEASE_MS => {
                Err(format!("I4: taken for lost {} ms after its last sign of life", disk.moment.since(*at).0))
            }
            _ => Ok(()),
        }
    }

    fn late(&self, moment: &Moment) -> bool {
        let policy = &self.after.policy;
        let deadline = policy.deadline.is_some_and(|at| at <= moment.now);
        deadline || (self.after.epoch == 0 && policy.expires.is_some_and(|at| at <= moment.now))
    }

    fn failed(
        &self,
        before: &Task,
        error: &TaskError,
        dead: bool,
        lost: Result<(), String>,
        moment: &Moment,
    ) -> Result<(), String> {
        if dead != (self.after.crashes >= CRASHES_MAX) {
            return Err(format!("dead: {dead} after {} crashes", self.after.crashes));
        }
        if self.late(moment) {
            return Ok(());
        }
        let told = moment.matching(before).any(|said| matches!(said, Said::Failed(other) if other == error));
        if !told && lost.is_err() {
            return lost.map_err(|law| format!("failed: {law}"));
        }
        let deadline_near = self.after.policy.deadline.is_some();
        if self.may_retry(error) && !deadline_near {
            return Err(format!("given up after {error}, although its retry rules allow another attempt"));
        }
        Ok(())
    }

    /// Applies the retry rules to the counts after the failure.
    fn may_retry(&self, error: &TaskError) -> bool {
        let rules = &self.after.policy.retry;
        let left = match error.category {
            Category::LeaseLost => self.after.crashes < CRASHES_MAX,
            category => {
                let listed = rules.on.as_ref().is_none_or(|on| on.contains(&category));
                listed && self.after.failures < rules.max_attempts
            }
        };
        error.retryable && left
    }

    fn became_ready(
        &self,
        before: &Task,
        revived: bool,
        lost: Result<(), String>,
        moment: &Moment,
    ) -> Result<(), String> {
        let good = match &before.state {
            TaskState::Scheduled { at } | TaskState::Retrying { at, .. } => *at <= moment.now,
            TaskState::Running(lease) if lease.host == 0 && moment.recovering => true,
            TaskState::Running(_) => {
                moment.matching(before).any(|said| !matches!(said, Said::Succeeded)) || lost.is_ok()
            }
            TaskState::Held { .. } => true,
            // Held for its key, and lifted in the same turn.
            TaskState::Ready { .. } => before.key.is_some(),
            _ => revived,
        };
        if good { Ok(()) } else { Err("became ready without a reason".to_owned()) }
    }

    /// Checks a hold: for its key when it could have started, or for its retry budget when its retry was due.
    fn held(&self, before: &Task, reason: HoldReason, rank: i64, moment: &Moment) -> Result<(), String> {
        let kept = match before.state {
            TaskState::Ready { rank } | TaskState::Held { rank, .. } => Some(rank),
            _ => None,
        };
        let placed = kept.unwrap_or_else(|| moment.rank(before.priority)) == rank;
        let good = match reason {
            HoldReason::KeyLimit => before.key.is_some(),
            HoldReason::RetryBudget => matches!(before.state, TaskState::Retrying { at, .. } if at <= moment.now),
            _ => false,
        };
        if good && placed { Ok(()) } else { Err(format!("held with rank {rank} for no reason: {reason:?}")) }
    }

    fn running(&self, before: &Task, revived: bool, lost: Result<(), String>, moment: &Moment) -> Result<(), String> {
        if self.after.epoch == before.epoch {
            return Err("I4: a lease changed without a new attempt".to_owned());
        }
        match &before.state {
            // Of two servers one may not know of the pause yet.
            _ if self.paused && moment.alone => Err("claimed, and its run is paused".to_owned()),
            TaskState::Ready { .. } | TaskState::Held { .. } => Ok(()),
            _ => self.became_ready(before, revived, lost, moment).map_err(|law| format!("I4: claimed, but {law}")),
        }
    }
}
