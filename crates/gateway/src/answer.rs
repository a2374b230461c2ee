//! What comes back from a chain.

use kapelle_core::{Category, Money};
use serde::Serialize;

/// The end of a walk over a chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// A model answered.
    Answer(Answer),
    /// The chain came to its offline link: the worker runs its classical method, or fails.
    Offline {
        /// The provider of the offline link.
        provider: String,
        /// Why no model answered, such as `no OPENAI_API_KEY`; nothing when `offline` is the first link.
        reason: Option<String>,
        /// What the links before it did.
        hops: Vec<Hop>,
    },
}

/// A model's answer, metered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The text of the answer.
    pub content: String,
    /// Why the model stopped.
    pub finish: Finish,
    /// The provider that answered.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// Tokens; estimated when the provider did not count them.
    pub usage: Usage,
    /// What it cost.
    pub cost: Money,
    /// Whether the price came from a table; if not, the dearer default was charged.
    pub price_known: bool,
    /// Requests sent, failed ones included.
    pub calls: u64,
    /// Why it was not the first link that answered.
    pub degraded: Option<String>,
    /// It was recorded in an earlier run, and nobody was asked.
    pub recorded: bool,
    /// What the links before it did.
    pub hops: Vec<Hop>,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It had said everything.
    Stop,
    /// It came to the longest answer allowed.
    Length,
    /// The provider held the answer back.
    Filtered,
    /// Anything else, such as a tool call.
    Other,
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens sent, those of the prompt cache among them.
    pub input: u64,
    /// Tokens received, those of thinking among them.
    pub output: u64,
    /// Of the input, what the provider read from its prompt cache.
    pub cached: u64,
    /// Of the input, what the provider wrote into its prompt cache.
    pub cache_write: u64,
    /// Of the output, what the model thought before it answered.
    pub reasoning: u64,
}

/// The most tokens that a call was reserved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Tokens sent.
    pub(crate) input: u64,
    /// Tokens received, all answers together.
    pub(crate) output: u64,
}

impl Usage {
    /// The usage as far as it can be true, and whether it was more. A provider's count above what the bytes of the
    /// request and the longest answer allow is wrong: believed without a bound, one answer could spend every budget.
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

/// A link that did not answer, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// `provider/model`.
    pub link: String,
    /// The kind of failure.
    pub category: Category,
    /// Why, for a person: `no OPENAI_API_KEY`.
    pub reason: String,
    /// Whether a request was sent.
    pub called: bool,
}

impl Hop {
    /// The reasons of all hops in one line; nothing when there are none.
    #[must_use]
    pub fn reasons(hops: &[Hop]) -> Option<String> {
        let list: Vec<&str> = hops.iter().map(|hop| hop.reason.as_str()).collect();
        (!list.is_empty()).then(|| list.join("; "))
    }

    /// Requests sent in those hops.
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
