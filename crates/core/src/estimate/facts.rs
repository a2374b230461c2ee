//! Facts that are known before a run starts.

use std::collections::BTreeMap;

use super::{history::History, limits::Limit, span::Expected};
use crate::name::Name;

/// The newest tasks of a worker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Time and spending of one task.
    pub expected: Expected,
    /// Tasks that were read.
    pub tasks: u64,
}

/// Name, prices and limits of the model of a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// The model, as `provider/model`.
    pub name: String,
    /// Nano-dollars for one token of the input.
    pub input_price: u64,
    /// Nano-dollars for one token of the answer.
    pub output_price: u64,
    /// Most tokens of an answer.
    pub output_max: u64,
    /// Cost limit of one task, in nano-dollars.
    pub cost_max: Option<u64>,
}

/// Facts that are known before a run starts.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Facts {
    /// Earlier runs of the workflow.
    pub history: History,
    /// Newest tasks of workers, by worker.
    pub workers: BTreeMap<Name, Sample>,
    /// Models, by the worker that calls them.
    pub models: BTreeMap<Name, ModelFacts>,
    /// One run each of the workflows that steps start.
    pub workflows: BTreeMap<Name, Sample>,
    /// Queues of workers.
    pub queues: BTreeMap<Name, Name>,
    /// Tasks of a queue that run at once.
    pub slots: BTreeMap<Name, u32>,
    /// Budgets that the run would spend from.
    pub limits: Vec<Limit>,
    /// Counts the tokens of a text.
    pub tokens: fn(&str) -> u64,
}

impl Default for Facts {
    fn default() -> Facts {
        Facts {
            history: History::default(),
            workers: BTreeMap::new(),
            models: BTreeMap::new(),
            workflows: BTreeMap::new(),
            queues: BTreeMap::new(),
            slots: BTreeMap::new(),
            limits: Vec::new(),
            tokens: |text| (text.len() as u64).div_ceil(4),
        }
    }
}
