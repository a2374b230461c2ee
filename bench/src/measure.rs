//! Measures and their required limits.

use std::{future::Future, path::PathBuf};

/// Settings of all rows.
#[derive(Debug)]
pub struct Plan {
    /// Number of runs of each measure.
    pub runs: usize,
    /// Whether only a tenth of the work is done.
    pub quick: bool,
    /// Folder for the databases.
    pub folder: PathBuf,
    /// Calls through the gateway after which memory is measured.
    pub calls: Option<usize>,
}

impl Plan {
    /// Returns that size, or a tenth of it.
    pub fn size(&self, full: usize) -> usize {
        if self.quick { (full / 10).max(10) } else { full }
    }

    /// Takes a figure as often as the plan says.
    pub async fn repeat<F, Fut>(&self, mut take: F) -> anyhow::Result<Vec<f64>>
    where
        F: FnMut(usize) -> Fut,
        Fut: Future<Output = anyhow::Result<f64>>,
    {
        let mut samples = Vec::with_capacity(self.runs);
        for run in 0..self.runs {
            samples.push(take(run).await?);
        }
        Ok(samples)
    }
}

/// Direction of improvement, and required limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Floor {
    /// At least the first; the second is the next goal.
    AtLeast(f64, Option<f64>),
    /// At most the first; the second is the next goal.
    AtMost(f64, Option<f64>),
    /// The next goal is at most this, without a required limit.
    ThenAtMost(f64),
    /// Within these two.
    Within(f64, f64),
    /// For information.
    None,
}

impl Floor {
    /// Tells whether a figure reaches the limit. Returns `None` without a limit.
    pub fn reached(self, figure: f64) -> Option<bool> {
        match self {
            Floor::AtLeast(floor, _) => Some(figure >= floor),
            Floor::AtMost(floor, _) => Some(figure <= floor),
            Floor::Within(low, high) => Some(figure >= low && figure <= high),
            Floor::ThenAtMost(_) | Floor::None => None,
        }
    }
}

/// One figure, taken several times.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Name with its conditions.
    pub name: String,
    /// Unit.
    pub unit: &'static str,
    /// Samples.
    pub samples: Vec<f64>,
    /// Required limit.
    pub floor: Floor,
}

impl Measure {
    /// Makes a figure with its required limit.
    pub fn new(name: impl Into<String>, unit: &'static str, samples: Vec<f64>, floor: Floor) -> Measure {
        Measure { name: name.into(), unit, samples, floor }
    }

    /// Returns the median.
    pub fn median(&self) -> f64 {
        quantile(&self.samples, 0.5)
    }

    /// Returns the smallest and the largest sample.
    pub fn range(&self) -> (f64, f64) {
        (quantile(&self.samples, 0.0), quantile(&self.samples, 1.0))
    }
}

/// Returns the figure below which that share of the samples lies.
pub fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let samples = [3.0, 1.0, 2.0];
        assert_eq!(quantile(&samples, 0.0), 1.0);
        assert_eq!(quantile(&samples, 0.5), 2.0);
        assert_eq!(quantile(&samples, 1.0), 3.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn floors_know_which_way_is_better() {
        assert_eq!(Floor::AtLeast(10.0, None).reached(9.0), Some(false));
        assert_eq!(Floor::AtMost(10.0, None).reached(9.0), Some(true));
        assert_eq!(Floor::Within(0.9, 1.1).reached(1.2), Some(false));
        assert_eq!(Floor::None.reached(1.0), None);
        assert_eq!(Floor::ThenAtMost(1.0).reached(2.0), None);
    }
}
