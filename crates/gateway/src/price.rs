//! What a token costs, in whole nano-dollars, so that sums are exact.
//!
//! The table is a snapshot of list prices of [`AS_OF`]. The configuration overrides it. A model that stands in
//! neither is charged at [`UNKNOWN`], which is dearer than most: an unknown model is never free.

use std::collections::BTreeMap;

use kapelle_core::Money;

/// The day of the table below.
pub const AS_OF: &str = "2025-09-01";

/// Nano-dollars per token. One dollar per million tokens is 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Per token sent.
    pub input: u64,
    /// Per token received.
    pub output: u64,
}

/// The price of a model that nobody gave a price: $5 and $20 for a million tokens.
pub const UNKNOWN: Price = Price { input: 5_000, output: 20_000 };

/// (model, input, output). A dated or tuned name (`gpt-4o-mini-2024-07-18`) takes the longest entry it begins with.
const TABLE: &[(&str, u64, u64)] = &[
    ("ft:gpt-4.1", 3_000, 12_000),
    ("ft:gpt-4.1-mini", 800, 3_200),
    ("ft:gpt-4.1-nano", 200, 800),
    ("ft:gpt-4o", 3_750, 15_000),
    ("ft:gpt-4o-mini", 300, 1_200),
    ("gpt-3.5-turbo", 500, 1_500),
    ("gpt-4-turbo", 10_000, 30_000),
    ("gpt-4.1", 2_000, 8_000),
    ("gpt-4.1-mini", 400, 1_600),
    ("gpt-4.1-nano", 100, 400),
    ("gpt-4o", 2_500, 10_000),
    ("gpt-4o-mini", 150, 600),
    ("gpt-5", 1_250, 10_000),
    ("gpt-5-mini", 250, 2_000),
    ("gpt-5-nano", 50, 400),
    ("o3", 2_000, 8_000),
    ("o3-mini", 1_100, 4_400),
    ("o4-mini", 1_100, 4_400),
];

impl Price {
    /// What that many tokens cost; the largest amount when the sum does not fit.
    #[must_use]
    pub fn of(self, input_tokens: u64, output_tokens: u64) -> Money {
        Money(self.input.saturating_mul(input_tokens).saturating_add(self.output.saturating_mul(output_tokens)))
    }
}

/// The prices that hold: the user's over the table's.
#[derive(Debug, Clone, Default)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// The table with the user's prices before it, by `provider/model` or `provider/*`.
    #[must_use]
    pub fn with(overrides: BTreeMap<String, Price>) -> Prices {
        Prices(overrides)
    }

    /// The price of a model, and whether it is known.
    #[must_use]
    pub fn find(&self, provider: &str, model: &str) -> (Price, bool) {
        let own = self.0.get(&format!("{provider}/{model}")).or_else(|| self.0.get(&format!("{provider}/*")));
        match own.copied().or_else(|| listed(model)) {
            Some(price) => (price, true),
            None => (UNKNOWN, false),
        }
    }
}

fn listed(model: &str) -> Option<Price> {
    // Only a date or a tuning suffix may follow: `gpt-4o-audio-preview` is another model at another price.
    let variant_of = |name: &str| {
        let rest = model.strip_prefix(name)?;
        let same = rest.is_empty() || rest.starts_with(':') || rest.strip_prefix('-').is_some_and(is_date);
        same.then_some(name.len())
    };
    TABLE
        .iter()
        .filter_map(|&(name, input, output)| Some((variant_of(name)?, Price { input, output })))
        .max_by_key(|&(length, _)| length)
        .map(|(_, price)| price)
}

/// `2024-07-18` or `0613`, and whatever a tuned name has after it.
fn is_date(rest: &str) -> bool {
    let stem = rest.split(':').next().unwrap_or(rest);
    stem.len() >= 4 && stem.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dated_and_tuned_names_take_the_price_of_their_model() {
        let prices = Prices::default();
        for name in ["gpt-4o-mini", "gpt-4o-mini-2024-07-18"] {
            assert_eq!(prices.find("openai", name), (Price { input: 150, output: 600 }, true));
        }
        let tuned = prices.find("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc");
        assert_eq!(tuned, (Price { input: 300, output: 1_200 }, true));
    }

    #[test]
    fn an_unknown_model_is_never_free() {
        for name in ["gpt-4o-audio-preview", "llama3", ""] {
            assert_eq!(Prices::default().find("openai", name), (UNKNOWN, false), "{name}");
        }
    }

    #[test]
    fn the_users_price_wins() {
        let free = Price { input: 0, output: 0 };
        let prices = Prices::with(BTreeMap::from([("ollama/*".to_owned(), free)]));
        assert_eq!(prices.find("ollama", "llama3"), (free, true));
        assert_eq!(prices.find("other", "llama3"), (UNKNOWN, false));
    }

    #[test]
    fn cost_is_exact_and_saturates() {
        assert_eq!(Price { input: 150, output: 600 }.of(1_000, 200), Money(270_000));
        assert_eq!(UNKNOWN.of(u64::MAX, 1), Money(u64::MAX));
    }
}
