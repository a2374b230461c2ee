//! Failure of one link, and the links that may follow it.

use kapelle_core::{Category, TaskError};

use super::{dialect::Seen, told::Told};
use crate::{answer::Hop, money::NoMoney};

/// Meaning of a fault for the links that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The key is missing, refused or out of quota. The fault is permanent; the next link is tried.
    Key,
    /// The fault is temporary: the next model is tried, the offline method only in the last attempt.
    Passing,
    /// The request was refused: another model may accept it, a classical method cannot replace it.
    Request,
}

/// One link's failure.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    kind: FaultKind,
    /// The error that the task fails with if no other link answers.
    pub(crate) error: TaskError,
    /// Record of the failure.
    pub(crate) hop: Box<Hop>,
    /// Whether the request was sent and its cost is unknown.
    pub(crate) unsettled: bool,
    /// Part of an answer that arrived before the stream broke.
    pub(crate) seen: Option<Box<Seen>>,
    /// Whether the link lacks a feature that the request needs.
    pub(crate) unsupported: bool,
    /// Refusal of the ledger.
    pub(crate) short: Option<Box<NoMoney>>,
    /// The provider's own error for a caller of `/v1`, if it says more than the category.
    pub(crate) told: Option<Box<Told>>,
}

impl Fault {
    /// Makes a failure before the request was sent.
    pub(crate) fn unsent(link: &str, kind: FaultKind, category: Category, reason: &str) -> Fault {
        let error = TaskError::new(category, format!("{link}: {reason}"));
        let error = if kind == FaultKind::Passing { error } else { error.permanent() };
        let hop = Box::new(Hop { link: link.to_owned(), category, reason: reason.to_owned(), called: false });
        Fault { kind, error, hop, unsettled: false, seen: None, unsupported: false, short: None, told: None }
    }

    /// Makes a failure of a request that was sent.
    pub(crate) fn sent(link: &str, kind: FaultKind, category: Category, reason: &str) -> Fault {
        let mut fault = Fault::unsent(link, kind, category, reason);
        fault.hop.called = true;
        fault
    }

    /// Marks the cost as unknown: the provider may have charged the call.
    pub(crate) fn unsettled(mut self) -> Fault {
        self.unsettled = true;
        self
    }

    /// Adds the part of the answer that had arrived.
    pub(crate) fn after(mut self, seen: Seen) -> Fault {
        self.seen = Some(Box::new(seen));
        self
    }

    /// Marks the failure as a missing feature.
    pub(crate) fn unsupported(mut self) -> Fault {
        self.unsupported = true;
        self
    }

    /// Adds the provider's own error for callers of `/v1`.
    pub(crate) fn told(mut self, told: Told) -> Fault {
        self.told = Some(Box::new(told));
        self
    }

    /// Adds the refusal of the ledger.
    pub(crate) fn short_of(mut self, why: NoMoney) -> Fault {
        self.short = Some(Box::new(why));
        self
    }

    /// Tells whether the fault is temporary.
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
