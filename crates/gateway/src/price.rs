//! Prices of tokens, in whole nano-dollars, so that sums are exact.
//!
//! The table is a snapshot of list prices; each row names its source and date. The configuration overrides it. A model
//! that stands in neither is charged at [`UNKNOWN`], which is higher than most prices: an unknown model is never free.

use std::collections::BTreeMap;

use kapelle_core::Money;

use crate::answer::Usage;

/// Nano-dollars per token. One dollar per million tokens is 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Nano-dollars per token sent.
    pub input: u64,
    /// Nano-dollars per token received, thinking included.
    pub output: u64,
    /// Nano-dollars per token sent that the provider read from its prompt cache.
    pub cached: u64,
    /// Nano-dollars per token sent that the provider wrote into its prompt cache.
    pub cache_write: u64,
    /// Prices of calls with a long prompt, where they are higher.
    pub long: Option<Long>,
}

/// Nano-dollars per token of a call with a long prompt. They apply to all tokens of the call, not only to those above
/// the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Long {
    /// Largest short prompt, in tokens, including those from the prompt cache.
    pub above: u64,
    /// Nano-dollars, at least as in [`Price`].
    pub input: u64,
    /// Nano-dollars, at least as in [`Price`].
    pub output: u64,
    /// Nano-dollars, at least as in [`Price`].
    pub cached: u64,
    /// Nano-dollars, at least as in [`Price`].
    pub cache_write: u64,
}

/// Price of a model without a known price: $5 and $20 per million tokens.
pub const UNKNOWN: Price = Price { input: 5_000, output: 20_000, cached: 5_000, cache_write: 10_000, long: None };

/// Source of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Written from memory and not checked: list prices as they were on about that day.
    Remembered(&'static str),
    /// Read in LiteLLM's table (MIT part of BerriAI/litellm, `model_prices_and_context_window.json`) at that commit,
    /// on that day.
    Litellm(&'static str, &'static str),
    /// Read in the provider's own documentation on that day.
    Provider(&'static str),
}

impl Source {
    /// Describes the source for people.
    #[must_use]
    pub fn written(self) -> String {
        match self {
            Source::Remembered(day) => format!("from memory, as of {day}"),
            Source::Litellm(commit, _) => format!("LiteLLM's table at {commit}"),
            Source::Provider(_) => "the provider's documentation".to_owned(),
        }
    }

    /// Returns the day on which the price was last compared with its source. Returns `None` when it never was.
    #[must_use]
    pub fn checked(self) -> Option<&'static str> {
        match self {
            Source::Remembered(_) => None,
            Source::Litellm(_, day) | Source::Provider(day) => Some(day),
        }
    }
}

const REMEMBERED: Source = Source::Remembered("2025-09-01");
const LITELLM: Source = Source::Litellm("00035b69", "2026-11-21");
const PROVIDER: Source = Source::Provider("2026-12-01");

/// A row of the price table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Model name. A dated or tuned name (`gpt-4o-mini-2024-07-18`) takes the longest row it begins with.
    pub model: &'static str,
    /// Price of the model.
    pub price: Price,
    /// Source of the price.
    pub source: Source,
}

const fn row(model: &'static str, input: u64, cached: u64, output: u64) -> Row {
    // Writing into the cache costs nothing extra.
    Row { model, price: Price { input, output, cached, cache_write: input, long: None }, source: LITELLM }
}

const fn claude(model: &'static str, input: u64, output: u64) -> Row {
    // Reading from the cache costs a tenth; writing costs a quarter more for five minutes, twice the price for an hour.
    // The higher price is used.
    let price = Price { input, output, cached: input / 10, cache_write: input * 2, long: None };
    Row { model, price, source: LITELLM }
}

/// Doubles the input prices of prompts above that many tokens, cached or not, and raises output prices by half. All
/// providers with a price for long prompts do so; the test writes the sums out.
const fn doubled(above: u64, row: Row) -> Row {
    let Price { input, output, cached, cache_write, .. } = row.price;
    let long =
        Long { above, input: input * 2, output: output / 2 * 3, cached: cached * 2, cache_write: cache_write * 2 };
    Row { price: Price { long: Some(long), ..row.price }, ..row }
}

/// Makes a row from the provider's documentation. Where writing into the cache has several prices, the highest is used.
const fn read(model: &'static str, input: u64, cached: u64, cache_write: u64, output: u64) -> Row {
    Row { model, price: Price { input, output, cached, cache_write, long: None }, source: PROVIDER }
}

const fn unchecked(row: Row) -> Row {
    Row { source: REMEMBERED, ..row }
}

/// The snapshot. Tuned models (`ft:`) have their own prices. Where a long prompt costs more, the row has both prices.
pub const TABLE: &[Row] = &[
    unchecked(row("ft:gpt-4.1", 3_000, 750, 12_000)),
    unchecked(row("ft:gpt-4.1-mini", 800, 200, 3_200)),
    unchecked(row("ft:gpt-4.1-nano", 200, 50, 800)),
    unchecked(row("ft:gpt-4o", 3_750, 1_875, 15_000)),
    unchecked(row("ft:gpt-4o-mini", 300, 150, 1_200)),
    row("gpt-3.5-turbo", 500, 500, 1_500),
    row("gpt-3.5-turbo-1106", 1_000, 1_000, 2_000),
    row("gpt-4", 30_000, 30_000, 60_000),
    row("gpt-4-turbo", 10_000, 10_000, 30_000),
    row("gpt-4.1", 2_000, 500, 8_000),
    row("gpt-4.1-mini", 400, 100, 1_600),
    row("gpt-4.1-nano", 100, 25, 400),
    row("gpt-4o", 2_500, 1_250, 10_000),
    row("gpt-4o-2024-05-13", 5_000, 5_000, 15_000),
    row("gpt-4o-mini", 150, 75, 600),
    row("gpt-5", 1_250, 125, 10_000),
    row("gpt-5-mini", 250, 25, 2_000),
    read("gpt-5-nano", 50, 5, 50, 400),
    row("gpt-5-pro", 15_000, 15_000, 120_000),
    row("gpt-5.1", 1_250, 125, 10_000),
    row("gpt-5.2", 1_750, 175, 14_000),
    row("gpt-5.2-pro", 21_000, 21_000, 168_000),
    doubled(
        272_000,
        Row {
            model: "gpt-5.6",
            price: Price { input: 5_000, output: 30_000, cached: 500, cache_write: 6_250, long: None },
            source: LITELLM,
        },
    ),
    doubled(272_000, read("gpt-5.6-luna", 200, 20, 250, 1_200)),
    doubled(272_000, read("gpt-5.6-terra", 2_000, 200, 2_500, 12_000)),
    doubled(272_000, read("gpt-6-astra", 10_000, 1_000, 12_500, 50_000)),
    doubled(272_000, read("gpt-6-luna", 100, 10, 125, 500)),
    doubled(272_000, read("gpt-6-sol", 2_000, 200, 2_500, 10_000)),
    doubled(272_000, read("gpt-6.1-sol", 2_000, 100, 2_500, 10_000)),
    doubled(272_000, read("gpt-6.1-terra", 1_000, 50, 2_500, 5_000)),
    doubled(272_000, read("gpt-6.2-astra", 8_000, 400, 20_000, 40_000)),
    doubled(272_000, read("gpt-6.2-sol", 2_000, 100, 5_000, 10_000)),
    unchecked(row("o3", 2_000, 500, 8_000)),
    unchecked(row("o3-mini", 1_100, 550, 4_400)),
    row("o4-mini", 1_100, 275, 4_400),
    unchecked(row("text-embedding-3-large", 130, 130, 0)),
    unchecked(row("text-embedding-3-small", 20, 20, 0)),
    unchecked(row("text-embedding-ada-002", 100, 100, 0)),
    unchecked(claude("claude-3-5-haiku", 800, 4_000)),
    claude("claude-3-7-sonnet", 3_000, 15_000),
    read("claude-fable-5", 10_000, 1_000, 20_000, 50_000),
    read("claude-fable-5-1", 10_000, 250, 20_000, 50_000),
    read("claude-fable-5-2", 8_000, 200, 16_000, 40_000),
    claude("claude-haiku-4-5", 1_000, 5_000),
    Row {
        model: "claude-haiku-5-5",
        price: Price {
            input: 100,
            output: 500,
            cached: 10,
            cache_write: 200,
            long: Some(Long { above: 100_000, input: 500, output: 2_500, cached: 50, cache_write: 1_000 }),
        },
        source: PROVIDER,
    },
    claude("claude-opus-4", 15_000, 75_000),
    claude("claude-opus-4-1", 15_000, 75_000),
    claude("claude-opus-4-5", 5_000, 25_000),
    read("claude-opus-4-6", 5_000, 500, 10_000, 25_000),
    read("claude-opus-4-7", 5_000, 500, 10_000, 25_000),
    read("claude-opus-4-8", 5_000, 500, 10_000, 25_000),
    read("claude-opus-5", 5_000, 500, 10_000, 25_000),
    read("claude-opus-5-5", 4_000, 200, 8_000, 20_000),
    doubled(200_000, claude("claude-sonnet-4", 3_000, 15_000)),
    doubled(200_000, claude("claude-sonnet-4-5", 3_000, 15_000)),
    claude("claude-sonnet-4-6", 3_000, 15_000),
    claude("claude-sonnet-5", 2_000, 10_000),
    read("claude-sonnet-5-5", 2_000, 100, 4_000, 10_000),
    row("gemini-2.5-flash", 300, 75, 2_500),
    row("gemini-2.5-flash-lite", 100, 25, 400),
    doubled(200_000, row("gemini-2.5-pro", 1_250, 125, 10_000)),
    row("gemini-3.1-flash-lite", 250, 25, 1_500),
    read("gemini-3.5-flash-lite", 300, 30, 300, 2_500),
    // Half of this until the end of 2026. A cap has to hold after that, too.
    read("gemini-3.8-flash", 1_500, 150, 1_500, 7_500),
    read("gemini-4-argon", 4_000, 200, 4_000, 20_000),
];

impl Price {
    /// Price of a free model.
    pub const FREE: Price = Price { input: 0, output: 0, cached: 0, cache_write: 0, long: None };

    /// Returns the prices that apply to a prompt of that many tokens.
    #[must_use]
    pub fn at(self, input_tokens: u64) -> Price {
        match self.long.filter(|long| input_tokens > long.above) {
            Some(Long { input, output, cached, cache_write, .. }) => {
                Price { input, output, cached, cache_write, long: None }
            }
            None => self,
        }
    }

    /// Computes the cost of that many tokens; the largest amount when the sum does not fit.
    #[must_use]
    pub fn of(self, input_tokens: u64, output_tokens: u64) -> Money {
        self.cost(&Usage { input: input_tokens, output: output_tokens, ..Usage::default() })
    }

    /// Computes the cost of a usage; the largest amount when the sum does not fit.
    #[must_use]
    pub fn cost(self, usage: &Usage) -> Money {
        let apart = usage.cached.saturating_add(usage.cache_write);
        let plain = usage.input.saturating_sub(apart);
        let price = self.at(usage.input);
        let parts = [
            price.input.saturating_mul(plain),
            price.cached.saturating_mul(usage.cached),
            price.cache_write.saturating_mul(usage.cache_write),
            price.output.saturating_mul(usage.output),
        ];
        Money(parts.into_iter().fold(0, u64::saturating_add))
    }

    /// Computes the highest cost of up to that many tokens, whatever the prompt cache does. A long prompt is never
    /// cheaper per token than a short one, so a prompt that turns out to be shorter costs no more.
    #[must_use]
    pub fn worst(self, input_tokens: u64, output_tokens: u64) -> Money {
        let price = self.at(input_tokens);
        let dearest = price.input.max(price.cached).max(price.cache_write);
        Money(dearest.saturating_mul(input_tokens).saturating_add(price.output.saturating_mul(output_tokens)))
    }
}

/// Prices in force: the user's before the table's.
#[derive(Debug, Clone, Default)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// Makes prices from the table, with the user's prices by `provider/model` or `provider/*` before it.
    #[must_use]
    pub fn with(overrides: BTreeMap<String, Price>) -> Prices {
        Prices(overrides)
    }

    /// Returns the price of a model, and whether it is known.
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
    // Vertex names the publisher first: `google/gemini-2.5-flash`.
    let model = model.rsplit('/').next().unwrap_or(model);
    let variant_of = |name: &str| {
        let rest = model.strip_prefix(name)?;
        let same = rest.is_empty() || rest.starts_with(':') || rest.strip_prefix('-').is_some_and(is_date);
        same.then_some(name.len())
    };
    TABLE
        .iter()
        .filter_map(|row| Some((variant_of(row.model)?, row.price)))
        .max_by_key(|&(length, _)| length)
        .map(|(_, price)| price)
}

/// Tells whether the rest is a date (`2024-07-18` or `0613`), with any tuning suffix.
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
        let of = |name| {
            let (price, known) = prices.find("openai", name);
            (price.input, price.output, known)
        };
        for name in ["gpt-4o-mini", "gpt-4o-mini-2024-07-18"] {
            assert_eq!(of(name), (150, 600, true));
        }
        assert_eq!(of("ft:gpt-4o-mini-2024-07-18:acme::abc"), (300, 1_200, true));
        assert_eq!(of("claude-sonnet-4-5-20250929"), (3_000, 15_000, true));
        assert_eq!(of("google/gemini-2.5-flash"), (300, 2_500, true));
        // A dated model may have its own price, and a longer name is another model.
        assert_eq!(of("gpt-4o-2024-05-13"), (5_000, 15_000, true));
        assert_eq!(of("gpt-3.5-turbo-1106"), (1_000, 2_000, true));
        assert_eq!(of("gpt-5-pro-2025-10-06"), (15_000, 120_000, true));
        assert!(!of("gpt-4o-search-preview").2 && !of("gpt-4-32k").2);
    }

    #[test]
    fn an_unknown_model_is_never_free() {
        for name in ["gpt-4o-audio-preview", "llama3", ""] {
            assert_eq!(Prices::default().find("openai", name), (UNKNOWN, false), "{name}");
        }
    }

    #[test]
    fn every_row_stands_once_and_is_dated() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|other| other.model != row.model), "{} stands twice", row.model);
            let (Source::Remembered(day) | Source::Litellm(_, day) | Source::Provider(day)) = row.source;
            assert!(day.parse::<jiff::civil::Date>().is_ok() && row.price.input > 0, "{}", row.model);
            // Sending is never cheaper than reading from a cache, and only embeddings have no output price.
            assert!(row.price.cached <= row.price.input && row.price.cache_write >= row.price.input, "{}", row.model);
            assert_eq!(row.price.output == 0, row.model.starts_with("text-embedding"), "{}", row.model);
            let Some(long) = row.price.long else { continue };
            let (dear, usual) = (row.price.at(long.above + 1), row.price.at(long.above));
            assert!(dear.input > usual.input && dear.output > usual.output, "{}", row.model);
            assert!(dear.cached >= usual.cached && dear.cache_write >= usual.cache_write, "{}", row.model);
            assert_eq!(row.source.checked().is_none(), row.source.written().contains("memory"), "{}", row.model);
        }
    }

    #[test]
    fn long_prompts_cost_what_the_table_says_from_the_first_token_over_the_bound() {
        // As in the sources: the bound, then input, read from the cache and output above it.
        for (model, above, input, cached, output) in [
            ("gpt-5.6", 272_000, 10_000, 1_000, 45_000),
            ("gpt-6-luna", 272_000, 200, 20, 750),
            ("gpt-6.2-sol", 272_000, 4_000, 200, 15_000),
            ("claude-haiku-5-5", 100_000, 500, 50, 2_500),
            ("claude-sonnet-4", 200_000, 6_000, 600, 22_500),
            ("claude-sonnet-4-5-20250929", 200_000, 6_000, 600, 22_500),
            ("google/gemini-2.5-pro", 200_000, 2_500, 250, 15_000),
        ] {
            let (price, _) = Prices::default().find("p", model);
            let usage = |input| Usage { input, output: 10, cached: 1_000, ..Usage::default() };
            let short = price.input * (above - 1_000) + price.cached * 1_000 + price.output * 10;
            assert_eq!(price.cost(&usage(above)), Money(short), "{model}");
            let long = input * (above - 999) + cached * 1_000 + output * 10;
            assert_eq!(price.cost(&usage(above + 1)), Money(long), "{model}");
            assert!(long > short + short / 4 * 3, "{model}");
            // The reservation covers a prompt of the greatest length and any shorter one.
            for tokens in [1, above, above + 1] {
                assert!(price.worst(above + 1, 10) >= price.cost(&usage(tokens)), "{model} {tokens}");
            }
        }
        let (price, _) = Prices::default().find("openai", "gpt-4.1");
        assert_eq!(price.of(1_000_000, 0), Money(2_000 * 1_000_000), "most have one price");
    }

    #[test]
    fn the_models_of_the_default_aliases_have_prices() {
        let aliases = crate::config::GatewayConfig::default().models;
        for link in aliases.values().flat_map(|alias| &alias.chain).filter(|link| *link != "offline") {
            let (provider, model) = link.split_once('/').unwrap();
            assert!(Prices::default().find(provider, model).1, "{link}");
        }
    }

    #[test]
    fn the_users_price_wins() {
        let free = Price::FREE;
        let prices = Prices::with(BTreeMap::from([("ollama/*".to_owned(), free)]));
        assert_eq!(prices.find("ollama", "llama3"), (free, true));
        assert_eq!(prices.find("other", "llama3"), (UNKNOWN, false));
    }

    #[test]
    fn cost_is_exact_and_saturates() {
        let (price, _) = Prices::default().find("openai", "gpt-4o-mini");
        assert_eq!(price.of(1_000, 200), Money(270_000));
        assert_eq!(UNKNOWN.of(u64::MAX, 1), Money(u64::MAX));
        let usage = Usage { input: 1_000, output: 200, cached: 400, cache_write: 100, reasoning: 150 };
        let (claude, _) = Prices::default().find("anthropic", "claude-haiku-4-5");
        assert_eq!(claude.cost(&usage), Money(500 * 1_000 + 400 * 100 + 100 * 2_000 + 200 * 5_000));
        assert!(claude.worst(1_000, 200) >= claude.cost(&usage));
    }
}
