//! Small random workflows: kept as plain tables to check against, and written as people write them.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use kapelle_core::definition::Definition;

use crate::{draw, write};

/// A workflow and what the laws need to know of it.
#[derive(Debug)]
pub struct Flow {
    /// Its text.
    pub source: Arc<[u8]>,
    /// Stands for the hash of the text: the number it was drawn from.
    pub sha256: [u8; 32],
    /// Read from the text.
    pub definition: Arc<Definition>,
    /// What it says.
    pub table: Table,
}

/// What a workflow says.
#[derive(Debug, Default)]
pub struct Table {
    /// Its blocks; the first is the outermost.
    pub blocks: Vec<Vec<FlowStep>>,
    /// The blocks `on_error`, `on_cancel` and `finally`.
    pub tails: [Option<usize>; 3],
    /// In which order steps begin.
    pub strategy: Strategy,
    /// How long a run may take.
    pub timeout_ms: Option<i64>,
}

/// The strategies, spelled again so that the laws share nothing with the code they check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// All that are ready.
    #[default]
    Parallel,
    /// One step of a block at a time.
    Sequential,
    /// By priority; failures below 10 stop nothing.
    Priority,
}

/// A step as it was drawn.
#[derive(Debug, Clone)]
pub struct FlowStep {
    /// Its name, used once in the workflow.
    pub name: String,
    /// The steps it needs.
    pub needs: Vec<usize>,
    /// Its `if`.
    pub condition: Condition,
    /// Its `run_if`.
    pub run_if: When,
    /// Its `on_error`.
    pub on_error: OnError,
    /// It handles failures, and begins at nothing else.
    pub handler: bool,
    /// Its priority.
    pub priority: i64,
    /// Its `for_each`.
    pub items: Option<Items>,
    /// Its `repeat`.
    pub turns: Option<Turns>,
    /// What it does.
    pub act: Act,
}

/// A `for_each` over so many numbers.
#[derive(Debug, Clone, Copy)]
pub struct Items {
    /// How many.
    pub total: u32,
    /// `max_parallel`.
    pub at_once: usize,
    /// `on_item_error: collect`.
    pub collect: bool,
}

/// A `repeat`.
#[derive(Debug, Clone, Copy)]
pub struct Turns {
    /// The most.
    pub max: u32,
    /// Its `until`.
    pub until: Until,
}

/// What ends a loop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// Nothing.
    Never,
    /// The input is true.
    Input,
    /// That step of the turn succeeded.
    Succeeded(usize),
}

/// What a step does.
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
    /// Starts that workflow, and waits for its end or not.
    Workflow(u64, bool),
}

/// The conditions that are drawn.
#[derive(Debug, Clone, Copy)]
pub enum Condition {
    /// None.
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
    /// Goes on.
    Continue,
    /// That step is run.
    Run(usize),
}

thread_local! {
    static KEPT: RefCell<HashMap<u64, Arc<Flow>>> = RefCell::default();
}

/// The workflow of a number. Kept, as reading the text takes longer than everything else.
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
