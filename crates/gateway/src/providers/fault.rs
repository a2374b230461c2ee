//! Why one link gave no answer, and where the walk may go from there.

use kapelle_core::{Category, TaskError};

use super::{dialect::Seen, told::Told};
use crate::{answer::Hop, money::NoMoney};

/// What a fault says about the links that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The key is missing, refused or out of quota: it stays so, and the next link is asked.
    Key,
    /// It may be gone in a moment: the next model is asked, the offline method only in the last attempt.
    Passing,
    /// The request itself was refused: another model may take it, a classical method is no answer to it.
    Request,
}

/// One link's failure.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    kind: FaultKind,
    /// What the task fails with if no other link answers.
    pub(crate) error: TaskError,
    /// The record of it.
    pub(crate) hop: Box<Hop>,
    /// The request went out and nobody knows what it cost.
    pub(crate) unsettled: bool,
    /// What came of an answer before it broke off.
    pub(crate) seen: Option<Box<Seen>>,
    /// The link cannot do what is asked, now or later.
    pub(crate) unsupported: bool,
    /// The money that was not there.
    pub(crate) short: Option<Box<NoMoney>>,
    /// What a caller of `/v1` is told, where that is more than the category of the error: the provider's own error.
    pub(crate) told: Option<Box<Told>>,
}

impl Fault {
    /// A failure before anything was sent.
    pub(crate) fn unsent(link: &str, kind: FaultKind, category: Category, reason: &str) -> Fault {
        let error = TaskError::new(category, format!("{link}: {reason}"));
        let error = if kind == FaultKind::Passing { error } else { error.permanent() };
        let hop = Box::new(Hop { link: link.to_owned(), category, reason: reason.to_owned(), called: false });
        Fault { kind, error, hop, unsettled: false, seen: None, unsupported: false, short: None, told: None }
    }

    /// A failure of a request that was sent.
    pub(crate) fn sent(link: &str, kind: FaultKind, category: Category, reason: &str) -> Fault {
        let mut fault = Fault::unsent(link, kind, category, reason);
        fault.hop.called = true;
        fault
    }

    /// The same failure of a call that the provider may have been paid for.
    pub(crate) fn unsettled(mut self) -> Fault {
        self.unsettled = true;
        self
    }

    /// The same failure of an answer of which that much had come.
    pub(crate) fn after(mut self, seen: Seen) -> Fault {
        self.seen = Some(Box::new(seen));
        self
    }

    /// The same failure, because the link cannot do what is asked.
    pub(crate) fn unsupported(mut self) -> Fault {
        self.unsupported = true;
        self
    }

    /// The same failure, told to callers of `/v1` in those words.
    pub(crate) fn told(mut self, told: Told) -> Fault {
        self.told = Some(Box::new(told));
        self
    }

    /// The same failure, for want of money.
    pub(crate) fn short_of(mut self, why: NoMoney) -> Fault {
        self.short = Some(Box::new(why));
        self
    }

    /// Whether the link may be well again in a moment.
    pub(crate) fn passes(&self) -> bool {
        self.kind == FaultKind::Passing
    }

    pub(crate) fn may_end_offline(&self, last_attempt: bool) -> bool {
        match self.kind {
            FaultKind::Key => true,
            FaultKind::Passing => last_attempt,
            FaultKind::Request => false,
        }
    }
}
