//! Decisions of the pipeline as plain data. They name the sources that a caller may use, the destinations of its
//! answer, and the meaning of another call's end.

use std::time::Duration;

use super::Failure;
use crate::{
    access::Grant,
    gateway::Limits,
    replay::{Landed, Recorded, ReplaySource, TaskKey},
};

/// Sources of an answer that costs nothing, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Record of the task.
    pub(crate) replay: Option<ReplaySource>,
    /// Whether cached answers and equal calls in flight are used.
    pub(crate) shared: bool,
}

impl Sources {
    /// Decides the sources of a caller. The first attempt of a task has no recorded answers, unless its run repeats
    /// another.
    pub(crate) fn of(grant: &Grant) -> Sources {
        let (attempt, recorded) = (grant.payer.attempt, grant.recorded);
        let task = grant.task.filter(|_| recorded || attempt != 1);
        Sources {
            replay: task.map(|key| ReplaySource { key, attempt, recorded }),
            shared: grant.cache.is_some() && !grant.fresh,
        }
    }
}

/// Destinations of an answer besides its caller, in the order in which they get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destinations {
    /// The task whose journal has the answer before its last byte is delivered.
    pub(crate) journal: Option<TaskKey>,
    /// Time for which it is cached for equal calls.
    pub(crate) cache: Option<Duration>,
    /// Whether the calls that wait for it get it.
    pub(crate) waiting: bool,
}

impl Destinations {
    /// Decides the destinations of an answer. `usable`: its caller can use it. An answer that its caller cannot use is
    /// part of the task's record, and of no other.
    pub(crate) fn of(grant: &Grant, usable: bool) -> Destinations {
        Destinations { journal: grant.task, cache: grant.cache.filter(|_| usable), waiting: usable }
    }
}

/// Terms of a call that decide how its chain ends. A failure holds for the waiting calls of the same terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    no_fallback: bool,
    last_attempt: bool,
}

impl Terms {
    /// Reads the terms of a call.
    pub(crate) fn of(limits: &Limits) -> Terms {
        Terms { no_fallback: limits.no_fallback, last_attempt: limits.last_attempt }
    }
}

/// Consequence of the end of a call that this one waited for.
pub(crate) enum Follow {
    /// This call has that answer.
    Answer(Box<Recorded>),
    /// This call fails as well.
    Fail(Box<Failure>),
    /// This call looks for an answer again, and may lead.
    Again,
}

impl Follow {
    /// Decides what the end of another call means for a call of these terms.
    pub(crate) fn of(landed: Landed, terms: Terms) -> Follow {
        match landed {
            Landed::Answered(answer) => Follow::Answer(answer),
            Landed::Failed(failure, own) if own == terms => Follow::Fail(failure),
            Landed::Failed(..) | Landed::Flying | Landed::Gone => Follow::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use kapelle_core::{TaskId, TenantId};

    use super::*;
    use crate::money::Payer;

    const KEY: TaskKey = TaskKey { tenant: TenantId(1), task: TaskId(7), replay_epoch: 0 };

    fn grant(attempt: u32, change: impl FnOnce(&mut Grant)) -> Grant {
        let mut grant = Grant::of_task(KEY, attempt);
        change(&mut grant);
        grant
    }

    #[test]
    fn a_task_replays_from_its_second_attempt_on_and_a_rerun_from_its_first() {
        let replays = |grant: &Grant| Sources::of(grant).replay.is_some();
        assert!(!replays(&grant(1, |_| ())) && replays(&grant(2, |_| ())));
        assert!(replays(&grant(1, |grant| grant.recorded = true)));
        assert!(!replays(&Grant::of(Payer::of(TenantId(1), Vec::new()))), "a daemon has no record");
    }

    #[test]
    fn a_cache_is_used_where_it_is_granted_and_not_by_who_wants_new_answers() {
        let hour = Some(Duration::from_secs(3_600));
        let cached = grant(1, |grant| grant.cache = hour);
        assert!(Sources::of(&cached).shared && !Sources::of(&grant(1, |_| ())).shared);
        let fresh = Grant { cache: hour, ..Grant::of_task(TaskKey { replay_epoch: 1, ..KEY }, 2) };
        assert!(!Sources::of(&fresh).shared);
        let all = Destinations { journal: Some(KEY), cache: hour, waiting: true };
        assert_eq!(Destinations::of(&cached, true), all);
        assert_eq!(Destinations::of(&cached, false), Destinations { cache: None, waiting: false, ..all });
    }

    #[test]
    fn a_failure_holds_for_calls_of_the_same_terms() {
        let terms = |last_attempt| Terms::of(&Limits { last_attempt, ..Limits::default() });
        let failed = || Landed::Failed(Box::new(Failure::internal("why")), terms(false));
        assert!(matches!(Follow::of(failed(), terms(false)), Follow::Fail(_)));
        assert!(matches!(Follow::of(failed(), terms(true)), Follow::Again), "it may go offline");
        assert!(matches!(Follow::of(Landed::Gone, terms(false)), Follow::Again));
    }
}
