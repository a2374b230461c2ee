//! The figures of one span of time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Steps of the histogram for each doubling.
const STEPS: f64 = 4.0;

/// Numbers of durations by their logarithm: 4 steps for each doubling, so that a quantile is exact to a tenth.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<u8, u64>);

impl Histogram {
    /// Adds a duration in milliseconds.
    pub fn add(&mut self, ms: u64) {
        let step = ((ms as f64 + 1.0).log2() * STEPS).floor().min(255.0);
        *self.0.entry(step as u8).or_default() += 1;
    }

    /// Adds the durations of another.
    pub fn merge(&mut self, other: &Histogram) {
        for (step, count) in &other.0 {
            *self.0.entry(*step).or_default() += count;
        }
    }

    /// Tells whether there is no duration.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a quantile in milliseconds, such as 0.95; `None` without durations.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total: u64 = self.0.values().sum();
        let wanted = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (step, count) in &self.0 {
            seen += count;
            if seen >= wanted {
                // The middle of the step.
                return Some(((f64::from(*step) + 0.5) / STEPS).exp2() - 1.0);
            }
        }
        None
    }
}

/// The figures of one span of time. Sums rise with every event; a gauge is the sum of its samples, and their number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Figures {
    /// Tasks and steps that ended.
    #[serde(rename = "e", skip_serializing_if = "is_zero")]
    pub ended: u64,
    /// Those of them that failed.
    #[serde(rename = "f", skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Times between ready and start.
    #[serde(rename = "w", skip_serializing_if = "Histogram::is_empty")]
    pub wait: Histogram,
    /// Times between start and success.
    #[serde(rename = "d", skip_serializing_if = "Histogram::is_empty")]
    pub duration: Histogram,
    #[serde(rename = "m", skip_serializing_if = "is_zero")]
    pub spent_nanousd: u64,
    #[serde(rename = "c", skip_serializing_if = "is_zero")]
    pub calls: u64,
    #[serde(rename = "i", skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    #[serde(rename = "o", skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    /// Samples of the gauges below.
    #[serde(rename = "n", skip_serializing_if = "is_zero")]
    pub samples: u64,
    /// Ready tasks.
    #[serde(rename = "q", skip_serializing_if = "is_zero")]
    pub ready: u64,
    #[serde(rename = "r", skip_serializing_if = "is_zero")]
    pub running: u64,
    #[serde(rename = "s", skip_serializing_if = "is_zero")]
    pub slots: u64,
    /// Runs that have not ended.
    #[serde(rename = "u", skip_serializing_if = "is_zero")]
    pub runs: u64,
    /// Thousandths of a core.
    #[serde(rename = "p", skip_serializing_if = "is_zero")]
    pub cpu_milli: u64,
    #[serde(rename = "b", skip_serializing_if = "is_zero")]
    pub memory_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Figures {
    /// Adds the figures of another span.
    pub fn merge(&mut self, other: &Figures) {
        self.wait.merge(&other.wait);
        self.duration.merge(&other.duration);
        for (sum, more) in [
            (&mut self.ended, other.ended),
            (&mut self.failed, other.failed),
            (&mut self.spent_nanousd, other.spent_nanousd),
            (&mut self.calls, other.calls),
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.samples, other.samples),
            (&mut self.ready, other.ready),
            (&mut self.running, other.running),
            (&mut self.slots, other.slots),
            (&mut self.runs, other.runs),
            (&mut self.cpu_milli, other.cpu_milli),
            (&mut self.memory_bytes, other.memory_bytes),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_tenth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for ms in 1..=1_000 {
            histogram.add(ms);
        }
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (1.0, 1_000.0)] {
            let found = histogram.quantile(share).unwrap();
            assert!((found - exact).abs() / exact < 0.1, "{share}: {found}");
        }
        let mut zero = Histogram::default();
        zero.add(0);
        assert!(zero.quantile(0.95).unwrap() < 0.1);
        zero.add(u64::MAX);
        assert!(zero.quantile(1.0).unwrap() > 1e18);
    }

    #[test]
    fn figures_of_spans_add_up_and_read_back() {
        let mut one = Figures { ended: 3, samples: 1, ready: 7, ..Figures::default() };
        one.wait.add(40);
        let mut both = one.clone();
        both.merge(&one);
        assert_eq!((both.ended, both.samples, both.ready), (6, 2, 14));
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Figures>(&text).unwrap(), both);
        assert_eq!(serde_json::to_string(&Figures::default()).unwrap(), "{}");
    }
}
