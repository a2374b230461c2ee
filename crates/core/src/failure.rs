//! Failure of a task: one error type that every worker returns and every interface shows.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{money::Money, time::DurationMs};

/// Categories of failures, as users list them under `retry.on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The input does not match the worker's schema, or cannot be read.
    InvalidInput,
    /// The worker's answer does not match its output schema.
    InvalidOutput,
    /// A service refused the request because of its rate limit.
    RateLimited,
    /// The attempt exceeded its timeout.
    Timeout,
    /// A needed service is not available at the moment.
    Unavailable,
    /// A model is required, but not configured or not reachable.
    ModelRequired,
    /// A model provider refused or failed.
    Provider,
    /// The budget is exhausted.
    Budget,
    /// A user or the run cancelled it.
    Cancelled,
    /// The worker panicked, or its process was ended by a signal.
    Crashed,
    /// The host or the process was lost, and the cause is not known. It was silent for longer than its lease, stopped or
    /// restarted by somebody, or lost with the server's helper.
    LeaseLost,
    /// An exception of a worker without a category, a script that ends with an exit code, or a fault of Kapelle itself.
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

    /// Returns the word used in files, on the wire and in the store.
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

    /// Returns the category of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Category> {
        Category::ALL.into_iter().find(|category| category.as_str() == word)
    }

    /// Tells whether a retry may help if the worker does not say.
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

/// A failure with the data of the retry rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{category}: {message}")]
pub struct TaskError {
    /// Category of the failure.
    pub category: Category,
    /// Description for a person.
    pub message: String,
    /// Whether a retry may help.
    pub retryable: bool,
    /// Wait that the service asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<DurationMs>,
    /// Whether the next attempt calls models again, as after a bad answer: recorded answers are not replayed to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// Cost of the attempt's model calls before it failed.
    #[serde(default, rename = "cost_nanousd", skip_serializing_if = "is_nothing")]
    pub cost: Money,
}

fn is_nothing(cost: &Money) -> bool {
    *cost == Money::ZERO
}

/// Size limit of stored messages, in bytes, so that an error page in an answer cannot fill the store.
pub const MESSAGE_MAX: usize = 2_000;

impl TaskError {
    /// Makes an error that is retryable if its category usually is.
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

    /// Marks the error as not retryable.
    #[must_use]
    pub fn permanent(mut self) -> TaskError {
        self.retryable = false;
        self
    }

    /// Sets the wait that the service asked for.
    #[must_use]
    pub fn after(mut self, wait: DurationMs) -> TaskError {
        self.retry_after = Some(wait);
        self
    }

    /// Makes the next attempt call models again.
    #[must_use]
    pub fn afresh(mut self) -> TaskError {
        self.fresh = true;
        self
    }

    /// Sets the cost of the attempt, so that a failure is not free in the ledger.
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
