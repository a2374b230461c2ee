//! Why a task failed: one error type that every worker returns and every surface shows.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{money::Money, time::DurationMs};

/// The kinds of failure, as users list them under `retry.on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The input does not fit the worker's schema, or cannot be read.
    InvalidInput,
    /// The worker answered with something that does not fit its output schema.
    InvalidOutput,
    /// Somebody asked us to slow down.
    RateLimited,
    /// It took longer than it may.
    Timeout,
    /// Something needed is not there at the moment.
    Unavailable,
    /// Only a model can do this, and none is configured or reachable.
    ModelRequired,
    /// A model provider refused or failed.
    Provider,
    /// There is no money left for it.
    Budget,
    /// Somebody cancelled it.
    Cancelled,
    /// The worker panicked or its process died by itself.
    Crashed,
    /// The host or the process was gone, and nobody knows whose fault that was: silent for longer than its lease, stopped or
    /// restarted by somebody, or lost with the server's helper.
    LeaseLost,
    /// A fault of Kapelle itself.
    Internal,
}

impl Category {
    /// Every category, in the order of the documentation.
    pub const ALL: [Category; 12] = [
        Category::InvalidInput,
        Category::InvalidOutput,
        Category::RateLimited,
        Category::Timeout,
        Category::Unavailable,
        Category::ModelRequired,
        Category::Provider,
        Category::Budget,
        Category::Cancelled,
        Category::Crashed,
        Category::LeaseLost,
        Category::Internal,
    ];

    /// The word used in files, on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Category::InvalidInput => "invalid_input",
            Category::InvalidOutput => "invalid_output",
            Category::RateLimited => "rate_limited",
            Category::Timeout => "timeout",
            Category::Unavailable => "unavailable",
            Category::ModelRequired => "model_required",
            Category::Provider => "provider",
            Category::Budget => "budget",
            Category::Cancelled => "cancelled",
            Category::Crashed => "crashed",
            Category::LeaseLost => "lease_lost",
            Category::Internal => "internal",
        }
    }

    /// The category of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Category> {
        Category::ALL.into_iter().find(|category| category.as_str() == word)
    }

    /// Whether trying again may help when the worker did not say.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Category::InvalidOutput
            | Category::RateLimited
            | Category::Timeout
            | Category::Unavailable
            | Category::Provider
            | Category::Crashed
            | Category::LeaseLost
            | Category::Internal => true,
            Category::InvalidInput | Category::ModelRequired | Category::Budget | Category::Cancelled => false,
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure with what the retry rules need to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{category}: {message}")]
pub struct TaskError {
    /// The kind of failure.
    pub category: Category,
    /// What happened, for a person.
    pub message: String,
    /// Whether trying again may help.
    pub retryable: bool,
    /// How long the other side asked us to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<DurationMs>,
    /// The next attempt asks models anew, as after a bad answer: what was recorded is not given to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// What the attempt had spent on model calls before it failed.
    #[serde(default, rename = "cost_nanousd", skip_serializing_if = "is_nothing")]
    pub cost: Money,
}

fn is_nothing(cost: &Money) -> bool {
    *cost == Money::ZERO
}

/// Messages are kept to this many bytes, so that an error page in an answer cannot fill the store.
pub const MESSAGE_MAX: usize = 2_000;

impl TaskError {
    /// An error that is retryable as its category usually is.
    #[must_use]
    pub fn new(category: Category, message: impl Into<String>) -> TaskError {
        let mut message = message.into();
        if message.len() > MESSAGE_MAX {
            let cut = (0..=MESSAGE_MAX).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
            message.truncate(cut);
            message.push('…');
        }
        let (retryable, fresh) = (category.retryable(), category == Category::InvalidOutput);
        TaskError { category, message, retryable, retry_after: None, fresh, cost: Money::ZERO }
    }

    /// The same error, not to be tried again.
    #[must_use]
    pub fn permanent(mut self) -> TaskError {
        self.retryable = false;
        self
    }

    /// The same error with the wait that the other side asked for.
    #[must_use]
    pub fn after(mut self, wait: DurationMs) -> TaskError {
        self.retry_after = Some(wait);
        self
    }

    /// The same error, after which models are asked anew.
    #[must_use]
    pub fn afresh(mut self) -> TaskError {
        self.fresh = true;
        self
    }

    /// The same error with what its attempt had spent, so that a failure is not free in the books.
    #[must_use]
    pub fn costing(mut self, cost: Money) -> TaskError {
        self.cost = cost;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for category in Category::ALL {
            assert_eq!(Category::from_word(category.as_str()), Some(category));
            assert_eq!(serde_json::to_value(category).unwrap(), category.as_str());
        }
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let error = TaskError::new(Category::Provider, "é".repeat(2_000));
        assert!(error.message.len() <= MESSAGE_MAX + 3 && error.message.ends_with('…'));
    }
}
