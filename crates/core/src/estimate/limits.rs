//! Budgets that would stop a run, and the step at which.

use super::walk::StepEstimate;
use crate::name::Name;

/// The steps that a budget pays for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitOf {
    /// All.
    All,
    /// Those of a queue.
    Queue(Name),
    /// Those of a worker.
    Worker(Name),
}

/// A budget that the run would spend from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The account, as people write it.
    pub account: String,
    /// The steps that it pays for.
    pub of: LimitOf,
    /// Remaining amount, in nano-dollars.
    pub left: u64,
}

/// The estimate in which a budget is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// The likely one.
    Likely,
    /// Only the high one.
    High,
}

/// A budget at which the run would wait for money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The account, as people write it.
    pub account: String,
    /// The first step that it does not pay for.
    pub step: String,
    /// The estimate in which it is too small.
    pub case: Case,
    /// Remaining amount, in nano-dollars.
    pub left: u64,
    /// Amount that the run would spend from it in that estimate, in nano-dollars.
    pub needed: u64,
}

impl Limit {
    fn pays(&self, step: &StepEstimate) -> bool {
        match &self.of {
            LimitOf::All => true,
            LimitOf::Queue(name) => step.queue.as_ref() == Some(name),
            LimitOf::Worker(name) => step.worker.as_ref() == Some(name),
        }
    }

    fn first(&self, steps: &[&StepEstimate], case: Case) -> Option<Parked> {
        let (mut needed, mut at) = (0_u64, None);
        for step in steps.iter().filter(|step| self.pays(step)) {
            let cost = match case {
                Case::Likely => step.total.cost.likely(),
                Case::High => step.total.cost.high(),
            };
            needed = needed.saturating_add(cost);
            if needed > self.left && cost > 0 && at.is_none() {
                at = Some(step.path.clone());
            }
        }
        Some(Parked { account: self.account.clone(), step: at?, case, left: self.left, needed })
    }
}

/// Returns the budgets that are too small, with the first step that each does not pay for.
pub(super) fn parked(limits: &[Limit], steps: &[StepEstimate]) -> Vec<Parked> {
    let mut order: Vec<&StepEstimate> = steps.iter().collect();
    order.sort_by_key(|step| step.start_ms);
    let find = |limit: &Limit| limit.first(&order, Case::Likely).or_else(|| limit.first(&order, Case::High));
    let mut found: Vec<Parked> = limits.iter().filter_map(find).collect();
    found.sort_by_key(|parked| (parked.case == Case::High, parked.left));
    found
}
