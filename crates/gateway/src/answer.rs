//! Results of a chain of links.

use kapelle_core::{Category, Money};
use serde::Serialize;

/// Result of trying the links of a chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// A model answered.
    Answer(Answer),
    /// The chain reached its offline link: the worker runs its classical method, or fails.
    Offline {
        /// The provider of the offline link.
        provider: String,
        /// Reason why no model answered, such as `no OPENAI_API_KEY`. `None` when `offline` is the first link.
        reason: Option<String>,
        /// Results of the links before it.
        hops: Vec<Hop>,
    },
}

/// A model's answer with its usage and cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The text of the answer.
    pub content: String,
    /// Reason why the model stopped.
    pub finish: Finish,
    /// The provider that answered.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// Tokens used; estimated when the provider did not count them.
    pub usage: Usage,
    /// Cost of the call.
    pub cost: Money,
    /// Whether the price came from a table. Otherwise the high default price was charged.
    pub price_known: bool,
    /// Requests sent, failed ones included.
    pub calls: u64,
    /// Reason why the first link did not answer.
    pub degraded: Option<String>,
    /// Whether it was recorded in an earlier run, without calling a provider.
    pub recorded: bool,
    /// Results of the links before it.
    pub hops: Vec<Hop>,
}

/// Reason why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model ended its answer.
    Stop,
    /// The answer reached its length limit.
    Length,
    /// The provider withheld the answer.
    Filtered,
    /// Another reason, such as a tool call.
    Other,
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens sent, including those of the prompt cache.
    pub input: u64,
    /// Tokens received, including those of thinking.
    pub output: u64,
    /// Input tokens that the provider read from its prompt cache.
    pub cached: u64,
    /// Input tokens that the provider wrote into its prompt cache.
    pub cache_write: u64,
    /// Output tokens that the model used to think before it answered.
    pub reasoning: u64,
}

/// Token limits that a call was reserved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Tokens sent.
    pub(crate) input: u64,
    /// Tokens received, over all choices.
    pub(crate) output: u64,
}

impl Usage {
    /// Returns the usage cut to the reserved bound, and whether it was above the bound. A count above what the bytes of
    /// the request and the longest answer allow is wrong; without this bound one answer could spend every budget.
    pub(crate) fn within(self, bound: Bound) -> (Usage, bool) {
        let (input, output) = (self.input.min(bound.input), self.output.min(bound.output));
        let cached = self.cached.min(input);
        let usage = Usage {
            input,
            output,
            cached,
            cache_write: self.cache_write.min(input - cached),
            reasoning: self.reasoning.min(output),
        };
        (usage, self.input > bound.input || self.output > bound.output)
    }
}

/// A link that did not answer, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// `provider/model`.
    pub link: String,
    /// The kind of failure.
    pub category: Category,
    /// Reason for a person: `no OPENAI_API_KEY`.
    pub reason: String,
    /// Whether a request was sent.
    pub called: bool,
}

impl Hop {
    /// Joins the reasons of all hops into one line. Returns `None` when there are no reasons.
    #[must_use]
    pub fn reasons(hops: &[Hop]) -> Option<String> {
        let list: Vec<&str> = hops.iter().map(|hop| hop.reason.as_str()).collect();
        (!list.is_empty()).then(|| list.join("; "))
    }

    /// Counts the requests sent in those hops.
    #[must_use]
    pub fn calls(hops: &[Hop]) -> u64 {
        hops.iter().filter(|hop| hop.called).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_believed_up_to_what_was_reserved() {
        let bound = Bound { input: 100, output: 10 };
        let most =
            Usage { input: u64::MAX, output: u64::MAX, cached: u64::MAX, cache_write: u64::MAX, reasoning: u64::MAX };
        let want = Usage { input: 100, output: 10, cached: 100, cache_write: 0, reasoning: 10 };
        assert_eq!(most.within(bound), (want, true));
        let odd = Usage { input: 50, output: 10, cached: 60, cache_write: 7, reasoning: 11 };
        let want = Usage { input: 50, output: 10, cached: 50, cache_write: 0, reasoning: 10 };
        assert_eq!(odd.within(bound), (want, false));
        assert!(Usage { input: 101, ..Usage::default() }.within(bound).1);
    }
}
