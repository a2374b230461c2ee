//! Reasons why a call has no answer, and what each door makes of them.

use kapelle_core::{Category, TaskError};

use crate::{
    answer::{Hop, Route},
    error::GatewayError,
    providers::Fault,
    wire::{NO_MODEL, Refusal},
};

/// Reason why a call has no answer.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The call was refused before a provider was asked, or its answer was lost afterwards.
    Refused(Refusal),
    /// The chain reached the offline link of this provider. A prompt worker has a method for that, a script has none.
    Offline {
        provider: String,
        /// Reason why no model answered. `None` when `offline` is the first link.
        reason: Option<String>,
        hops: Vec<Hop>,
        /// Whether a model may answer later.
        passing: bool,
    },
    /// No link of the chain answered.
    Exhausted {
        error: GatewayError,
        /// Whether every link lacks a feature that the request needs.
        unsupported: bool,
    },
}

impl Failure {
    /// Makes the failure of a chain of which no link answered. Of several errors it has the most useful one: a temporary
    /// one before a permanent one.
    pub(crate) fn exhausted(alias: &str, faults: Vec<Fault>) -> Failure {
        let unsupported = !faults.is_empty() && faults.iter().all(|fault| fault.unsupported);
        let chosen = faults.iter().find(|fault| fault.error.retryable).or_else(|| faults.first());
        let Some(chosen) = chosen else {
            let none = TaskError::new(Category::ModelRequired, format!("`{alias}` has no model to ask"));
            return Failure::Exhausted { error: GatewayError::plain(none), unsupported };
        };
        let mut error = chosen.error.clone();
        if faults.len() > 1 {
            let all: Vec<&str> = faults.iter().map(|fault| fault.error.message.as_str()).collect();
            error.message = all.join("; ");
        }
        let told = chosen.told.clone();
        let error = GatewayError { error, hops: faults.into_iter().map(|fault| *fault.hop).collect(), told };
        Failure::Exhausted { error, unsupported }
    }

    /// Makes the failure of a log or a pipeline that is broken.
    pub(crate) fn internal(why: impl ToString) -> Failure {
        Failure::Refused(Refusal::new(500, "internal", Category::Internal, why.to_string()))
    }

    /// Tells whether the failure belongs to its caller alone: its money, its time or its token.
    pub(crate) fn is_own(&self) -> bool {
        let category = match self {
            Failure::Refused(refusal) => refusal.category,
            Failure::Offline { .. } => return false,
            Failure::Exhausted { error, .. } => error.error.category,
        };
        matches!(category, Category::Budget | Category::Timeout | Category::LeaseLost)
    }

    /// Returns the failure for a caller of `/v1`.
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Failure::Refused(refusal) => refusal,
            Failure::Offline { reason, passing, .. } => {
                let message = format!("{NO_MODEL}{}", reason.as_deref().unwrap_or("the alias is offline"));
                Refusal { passing, ..Refusal::of(&TaskError::new(Category::ModelRequired, message)) }
            }
            Failure::Exhausted { error, unsupported } => {
                let refusal = Refusal::of(&error.error);
                let refusal = match &error.told {
                    Some(told) => refusal.told(told, error.hops.len() == 1),
                    None => refusal,
                };
                if unsupported {
                    return Refusal::new(400, "unsupported", refusal.category, refusal.message);
                }
                refusal
            }
        }
    }

    /// Returns the failure for a prompt worker in this process.
    ///
    /// # Errors
    /// Any failure but the offline link, which is a way to go on.
    pub(crate) fn route(self) -> Result<Route, GatewayError> {
        match self {
            Failure::Refused(refusal) => Err(GatewayError::plain(refusal.task_error())),
            Failure::Offline { provider, reason, hops, .. } => Ok(Route::Offline { provider, reason, hops }),
            Failure::Exhausted { error, .. } => Err(error),
        }
    }
}
