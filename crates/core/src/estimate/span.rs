//! Low, likely and high values, and their arithmetic.

/// A low, a likely and a high value. `low <= likely <= high` always holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    low: u64,
    likely: u64,
    high: u64,
}

/// Samples below which the ends of a span are widened.
const FEW: usize = 3;

impl Span {
    /// Nothing.
    pub const ZERO: Span = Span { low: 0, likely: 0, high: 0 };

    /// Makes a span; values in the wrong order are raised.
    #[must_use]
    pub fn new(low: u64, likely: u64, high: u64) -> Span {
        let likely = likely.max(low);
        Span { low, likely, high: high.max(likely) }
    }

    /// Makes a span of a known value.
    #[must_use]
    pub fn exact(value: u64) -> Span {
        Span { low: value, likely: value, high: value }
    }

    /// Returns the tenth, the middle and the nine tenths of samples; of fewer than 3, half the least to twice the
    /// greatest. `None` without samples.
    #[must_use]
    pub fn of(mut samples: Vec<u64>) -> Option<Span> {
        samples.sort_unstable();
        let (first, last) = (*samples.first()?, *samples.last()?);
        let at = |share: usize| samples[((samples.len() - 1) * share + 5) / 10];
        Some(if samples.len() < FEW {
            Span::new(first / 2, at(5), last.saturating_mul(2))
        } else {
            Span::new(at(1), at(5), at(9))
        })
    }

    /// Returns the low value.
    #[must_use]
    pub fn low(self) -> u64 {
        self.low
    }

    /// Returns the likely value.
    #[must_use]
    pub fn likely(self) -> u64 {
        self.likely
    }

    /// Returns the high value.
    #[must_use]
    pub fn high(self) -> u64 {
        self.high
    }

    /// Combines two spans, value by value. `with` must not fall when an argument rises.
    #[must_use]
    pub fn zip(self, other: Span, with: impl Fn(u64, u64) -> u64) -> Span {
        Span::new(with(self.low, other.low), with(self.likely, other.likely), with(self.high, other.high))
    }

    /// Adds a span.
    #[must_use]
    pub fn plus(self, other: Span) -> Span {
        self.zip(other, u64::saturating_add)
    }

    /// Returns the greater values.
    #[must_use]
    pub fn max(self, other: Span) -> Span {
        self.zip(other, u64::max)
    }

    /// Multiplies by counts.
    #[must_use]
    pub fn times(self, counts: Counts) -> Span {
        let times = |value: u64, count: f64| (value as f64 * count).round() as u64;
        Span::new(times(self.low, counts.low), times(self.likely, counts.likely), times(self.high, counts.high))
    }
}

/// Low, likely and high numbers of times; a likely number is a mean, and need not be whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// Fewest times.
    pub low: f64,
    /// Mean.
    pub likely: f64,
    /// Most times.
    pub high: f64,
}

impl Counts {
    /// Once.
    pub const ONE: Counts = Counts { low: 1.0, likely: 1.0, high: 1.0 };

    /// Multiplies by a span of items.
    #[must_use]
    pub fn of_items(self, items: Span) -> Counts {
        Counts {
            low: self.low * items.low as f64,
            likely: self.likely * items.likely as f64,
            high: self.high * items.high as f64,
        }
    }

    /// Returns the counts as a span of whole numbers.
    #[must_use]
    pub fn span(self) -> Span {
        Span::new(self.low.floor() as u64, self.likely.round() as u64, self.high.ceil() as u64)
    }
}

/// Expected time and spending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Expected {
    pub duration_ms: Span,
    /// In nano-dollars.
    pub cost: Span,
    pub calls: Span,
    pub input_tokens: Span,
    pub output_tokens: Span,
}

impl Expected {
    /// Multiplies the spending, and leaves the duration.
    #[must_use]
    pub fn spent_times(self, counts: Counts) -> Expected {
        Expected {
            duration_ms: self.duration_ms,
            cost: self.cost.times(counts),
            calls: self.calls.times(counts),
            input_tokens: self.input_tokens.times(counts),
            output_tokens: self.output_tokens.times(counts),
        }
    }

    /// Adds the spending of another, and leaves the duration.
    #[must_use]
    pub fn spent_plus(self, other: Expected) -> Expected {
        Expected {
            duration_ms: self.duration_ms,
            cost: self.cost.plus(other.cost),
            calls: self.calls.plus(other.calls),
            input_tokens: self.input_tokens.plus(other.input_tokens),
            output_tokens: self.output_tokens.plus(other.output_tokens),
        }
    }
}
