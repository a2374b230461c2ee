//! Rows of the bench.

use std::{future::Future, pin::Pin};

use crate::measure::{Measure, Plan};

/// Figures of a row.
type Figures<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Vec<Measure>>> + 'a>>;

/// A row of the bench.
pub struct Row {
    /// Name on the command line.
    pub name: &'static str,
    /// Function that takes its figures.
    pub measure: for<'a> fn(&'a Plan) -> Figures<'a>,
}

/// All rows, in the order in which they are shown.
const ROWS: &[Row] = &[
    Row { name: "batch", measure: |plan| Box::pin(super::batch::measure(plan)) },
    Row { name: "singles", measure: |plan| Box::pin(super::singles::measure(plan)) },
    Row { name: "latency", measure: |plan| Box::pin(super::latency::measure(plan)) },
    Row { name: "chain", measure: |plan| Box::pin(super::chain::measure(plan)) },
    Row { name: "wide", measure: |plan| Box::pin(super::wide::measure(plan)) },
    Row { name: "fanout", measure: |plan| Box::pin(super::fanout::measure(plan)) },
    Row { name: "payload", measure: |plan| Box::pin(super::payload::measure(plan)) },
    Row { name: "backlog", measure: |plan| Box::pin(super::backlog::measure(plan)) },
    Row { name: "steps", measure: |plan| Box::pin(super::steps::measure(plan)) },
    Row { name: "recovery", measure: |plan| Box::pin(super::recovery::measure(plan)) },
    Row { name: "memory", measure: |plan| Box::pin(super::memory::measure(plan)) },
    Row { name: "gateway", measure: |plan| Box::pin(super::gateway::measure(plan)) },
    Row { name: "http", measure: |plan| Box::pin(super::http::measure(plan)) },
    Row { name: "console", measure: |plan| Box::pin(super::http::console::measure(plan)) },
    Row { name: "history", measure: |plan| Box::pin(super::http::history::measure(plan)) },
];

/// Returns the rows of those names, or all without names.
pub fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Row>> {
    if names.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    let find = |name: &String| {
        let found = ROWS.iter().find(|row| row.name == name);
        found.ok_or_else(|| anyhow::anyhow!("there is no row `{name}`; there are: {}", known.join(", ")))
    };
    names.iter().map(find).collect()
}
