//! Workflow definitions.
use crate::{Name, retry::RetryPolicy, time::DurationMs};

/// A block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockIx(pub u32);
/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StepIx(pub u32);
/// A definition.
#[derive(Debug)]
pub struct Definition {
    #[doc = "n"]
    pub name: Name,
    #[doc = "b"]
    pub blocks: Vec<Block>,
    #[doc = "r"]
    pub root: BlockIx,
    #[doc = "s"]
    pub strategy: Strategy,
}
/// Steps.
#[derive(Debug)]
pub struct Block {
    #[doc = "s"]
    pub steps: Vec<StepDef>,
}
/// Step.
#[derive(Debug)]
pub struct StepDef {
    #[doc = "n"]
    pub name: Name,
    #[doc = "n"]
    pub needs: Vec<StepIx>,
    #[doc = "n"]
    pub dependents: Vec<StepIx>,
    #[doc = "n"]
    pub run_if: RunIf,
    #[doc = "n"]
    pub on_error: OnError,
    #[doc = "n"]
    pub priority: i16,
    #[doc = "n"]
    pub timeout: Option<DurationMs>,
    #[doc = "n"]
    pub retry: Option<RetryPolicy>,
}
/// Run if.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "shim")]
pub enum RunIf {
    Success,
    Failure,
    Always,
    AnySuccess,
}
/// On error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "shim")]
pub enum OnError {
    Stop,
    Continue,
    Run(StepIx),
}
/// Strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "shim")]
pub enum Strategy {
    Sequential,
    Parallel,
    Priority { fail_fast_at: i16 },
}
impl Definition {
    /// Block.
    #[must_use]
    pub fn block(&self, ix: BlockIx) -> &Block {
        &self.blocks[ix.0 as usize]
    }
}
