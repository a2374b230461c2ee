//! Earlier runs of a workflow, by the paths of their steps. A path names one step in every version that has it.

use std::collections::{BTreeMap, HashMap};

use super::{
    chance::Chance,
    span::{Expected, Span},
};

/// Rows of one path that are kept.
const ROWS: usize = 1_000;

/// A row of a step of a run that ended.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Row<'a> {
    /// Path as people write it.
    pub path: &'a str,
    /// Whether it began. Otherwise it was skipped.
    pub began: bool,
    /// Time from ready to success. `None` without success.
    pub took_ms: Option<u64>,
    pub cost: u64,
    pub calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// Steps of one path over all runs.
#[derive(Debug, Clone, Default)]
struct OfPath {
    began: u64,
    skipped: u64,
    took_ms: Vec<u64>,
    spent: Vec<[u64; 4]>,
    /// Items or turns of one step, with the time of the whole step.
    items: Vec<(u64, Option<u64>)>,
}

/// Earlier runs of a workflow.
#[derive(Debug, Clone, Default)]
pub struct History {
    runs: u64,
    paths: BTreeMap<String, OfPath>,
}

/// Returns a path without the numbers of items and turns: `a[3].b` becomes `a[].b`.
#[must_use]
pub fn pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    let mut inside = false;
    for letter in path.chars() {
        inside = match letter {
            '[' => true,
            ']' => false,
            _ => inside,
        };
        if !inside || letter == '[' {
            pattern.push(letter);
        }
    }
    pattern
}

impl History {
    /// Adds a run.
    pub fn add_run(&mut self, rows: &[Row<'_>]) {
        self.runs += 1;
        let mut items: HashMap<&str, u64> = HashMap::new();
        for row in rows {
            if let Some((holder, _)) = row.path.strip_suffix(']').and_then(|path| path.rsplit_once('[')) {
                *items.entry(holder).or_default() += 1;
            }
        }
        for row in rows {
            let of = self.paths.entry(pattern(row.path)).or_default();
            if !row.began {
                of.skipped += 1;
                continue;
            }
            of.began += 1;
            if of.items.len() < ROWS {
                of.items.push((items.get(row.path).copied().unwrap_or(0), row.took_ms));
            }
            if let Some(took) = row.took_ms.filter(|_| of.took_ms.len() < ROWS) {
                of.took_ms.push(took);
                of.spent.push([row.cost, row.calls, row.input_tokens, row.output_tokens]);
            }
        }
    }

    /// Returns the number of runs.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Returns time and spending of the steps of a path, and their number.
    pub(super) fn expected(&self, path: &str) -> Option<(Expected, u64)> {
        let of = self.paths.get(path)?;
        let spent = |at: usize| Span::of(of.spent.iter().map(|spent| spent[at]).collect()).unwrap_or_default();
        let expected = Expected {
            duration_ms: Span::of(of.took_ms.clone())?,
            cost: spent(0),
            calls: spent(1),
            input_tokens: spent(2),
            output_tokens: spent(3),
        };
        Some((expected, of.took_ms.len() as u64))
    }

    /// Returns how often the steps of a path began.
    pub(super) fn chance(&self, path: &str) -> Chance {
        match self.paths.get(path) {
            Some(of) if of.began + of.skipped > 0 => Chance::Seen { taken: of.began, of: of.began + of.skipped },
            _ => Chance::Unknown,
        }
    }

    /// Returns how often rows of a path exist, whether they began or not.
    pub(super) fn seen(&self, path: &str) -> u64 {
        self.paths.get(path).map_or(0, |of| of.began + of.skipped)
    }

    /// Returns the number of items or turns of the steps of a path.
    pub(super) fn items(&self, path: &str) -> Option<Span> {
        Span::of(self.paths.get(path)?.items.iter().map(|(items, _)| *items).collect())
    }

    /// Returns the time of the steps of a path for each wave of `at_once` items.
    pub(super) fn wave_ms(&self, path: &str, at_once: u64) -> Option<Span> {
        let of = self.paths.get(path)?;
        let waves = of.items.iter().filter(|(items, _)| *items > 0);
        Span::of(waves.filter_map(|(items, took)| Some((*took)? / items.div_ceil(at_once.max(1)))).collect())
    }
}
