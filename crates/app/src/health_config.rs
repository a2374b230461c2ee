//! Health checks that the user of a server defines: `health: { checks: [...] }` in `kapelle.yaml`.

use kapelle_core::Name;
use serde::{Deserialize, Serialize};

/// The checks of a server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// In display order.
    pub checks: Vec<HealthCheck>,
}

/// A measure with a bound: `{ name: backlog, measure: queue_depth, of: default, over: 1000, critical: true }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct HealthCheck {
    /// Its name for display.
    pub name: String,
    pub measure: Measure,
    /// The measured queue or worker; all together by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<f64>,
    /// For a failure rate: the minimum number of tasks.
    #[serde(default = "few")]
    pub at_least: u32,
    /// Whether a failure makes the server unhealthy: 503 for `/health` and `/readyz`.
    #[serde(default)]
    pub critical: bool,
}

fn few() -> u32 {
    10
}

/// A quantity that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Runs that have not ended.
    ActiveRuns,
    /// Tasks of a queue that wait for a slot.
    QueueDepth,
    /// Running tasks of a worker or queue.
    RunningTasks,
    /// The share of failures among the last 100 tasks of a worker, 0 to 1.
    FailureRate,
    /// Worker hosts that are alive.
    Hosts,
}

impl HealthCheck {
    /// Checks the definition.
    ///
    /// # Errors
    /// The field and what to do.
    pub fn check(&self) -> Result<(), String> {
        if self.name.trim().is_empty() || self.name.chars().count() > 80 || self.name.chars().any(char::is_control) {
            return Err("name: 1 to 80 characters are possible".to_owned());
        }
        let bound = match (self.over, self.under) {
            (Some(bound), None) | (None, Some(bound)) => bound,
            _ => return Err(format!("{}: give it either `over` or `under`", self.name)),
        };
        if !bound.is_finite() || bound < 0.0 {
            return Err(format!("{}: the bound {bound} is not a number from 0 on", self.name));
        }
        match (self.measure, &self.of) {
            (Measure::ActiveRuns | Measure::Hosts, Some(_)) => {
                Err(format!("{}: `of` does not go with this measure", self.name))
            }
            (Measure::FailureRate, None) => Err(format!("{}: name the worker as `of`", self.name)),
            (Measure::FailureRate, _) if bound > 1.0 => {
                Err(format!("{}: a failure rate is between 0 and 1", self.name))
            }
            (_, Some(name)) => Name::parse(name).map(|_| ()).map_err(|error| format!("{}: of: {error}", self.name)),
            _ => Ok(()),
        }
    }
}
