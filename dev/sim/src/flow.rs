//! Small random workflows: kept as plain tables for the laws, and written as people write them.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use kapelle_core::definition::Definition;

use crate::{draw, write};

/// A workflow and its table for the laws.
#[derive(Debug)]
pub struct Flow {
    /// Text.
    pub source: Arc<[u8]>,
    /// Stand-in for the hash of the text: the number it was drawn from.
    pub sha256: [u8; 32],
    /// Definition read from the text.
    pub definition: Arc<Definition>,
    /// Contents.
    pub table: Table,
}

/// Contents of a workflow.
#[derive(Debug, Default)]
pub struct Table {
    /// Blocks; the first is the outermost.
    pub blocks: Vec<Vec<FlowStep>>,
    /// The blocks `on_error`, `on_cancel` and `finally`.
    pub tails: [Option<usize>; 3],
    /// Order in which steps begin.
    pub strategy: Strategy,
    /// Time limit of a run in milliseconds.
    pub timeout_ms: Option<i64>,
}

/// Strategies, defined again so that the laws share no code with what they check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// All ready steps.
    #[default]
    Parallel,
    /// One step of a block at a time.
    Sequential,
    /// Ordered by priority; failures below 10 do not stop the run.
    Priority,
}

/// A step as it was drawn.
#[derive(Debug, Clone)]
pub struct FlowStep {
    /// Name, used once in the workflow.
    pub name: String,
    /// Needed steps.
    pub needs: Vec<usize>,
    /// `if`.
    pub condition: Condition,
    /// `run_if`.
    pub run_if: When,
    /// `on_error`.
    pub on_error: OnError,
    /// Whether it handles failures only.
    pub handler: bool,
    /// Priority.
    pub priority: i64,
    /// `for_each`.
    pub items: Option<Items>,
    /// `repeat`.
    pub turns: Option<Turns>,
    /// Action.
    pub act: Act,
}

/// A `for_each` over a range of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Items {
    /// Number of items.
    pub total: u32,
    /// `max_parallel`.
    pub at_once: usize,
    /// `on_item_error: collect`.
    pub collect: bool,
}

/// A `repeat`.
#[derive(Debug, Clone, Copy)]
pub struct Turns {
    /// Limit of turns.
    pub max: u32,
    /// `until`.
    pub until: Until,
}

/// Condition that ends a loop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// Never.
    Never,
    /// The input is true.
    Input,
    /// That step of the turn succeeded.
    Succeeded(usize),
}

/// Action of a step.
#[derive(Debug, Clone)]
pub enum Act {
    /// Runs a worker.
    Worker,
    /// Runs a block.
    Block(usize),
    /// Runs one of two blocks.
    Branch(usize, Option<usize>),
    /// Waits for a signal of that name.
    Signal(&'static str),
    /// Waits for a time.
    Timer,
    /// Waits for a person.
    Approval,
    /// Starts that workflow, with or without waiting for its end.
    Workflow(u64, bool),
}

/// Conditions that are drawn.
#[derive(Debug, Clone, Copy)]
pub enum Condition {
    /// Always true.
    None,
    /// An input must be true.
    Input,
    /// An input must be false.
    NotInput,
    /// That step must have succeeded.
    Succeeded(usize),
}

/// `run_if`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// All needs succeeded.
    Success,
    /// A need succeeded.
    AnySuccess,
    /// A need failed.
    Failure,
    /// In any case.
    Always,
}

/// `on_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The block fails.
    Stop,
    /// The run continues.
    Continue,
    /// That step runs.
    Run(usize),
}

thread_local! {
    static KEPT: RefCell<HashMap<u64, Arc<Flow>>> = RefCell::default();
}

/// Returns the workflow of a number. Cached, as reading the text takes longer than everything else.
///
/// # Errors
/// When the definition is refused, which is a fault of the simulation.
pub fn flow(number: u64) -> anyhow::Result<Arc<Flow>> {
    if let Some(kept) = KEPT.with_borrow(|kept| kept.get(&number).cloned()) {
        return Ok(kept);
    }
    let (table, text) = draw::draw(number, |table, rng| write::text(number, table, rng))?;
    let definition = Definition::parse(text.as_bytes(), "flow.yaml");
    let definition = definition.map_err(|problems| anyhow::anyhow!("flow {number}: {problems}\n{text}"))?;
    let mut sha256 = [0; 32];
    sha256[..8].copy_from_slice(&number.to_le_bytes());
    let flow = Flow { source: Arc::from(text.as_bytes()), sha256, definition: Arc::new(definition), table };
    let flow = Arc::new(flow);
    KEPT.with_borrow_mut(|kept| kept.insert(number, Arc::clone(&flow)));
    Ok(flow)
}
