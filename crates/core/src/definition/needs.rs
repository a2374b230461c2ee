//! Dependencies of steps: reverse edges, cycles, and whether one step comes before another.

use super::model::{StepDef, StepIx};

/// Fills `dependents` from `needs`.
pub(super) fn fill_dependents(steps: &mut [StepDef]) {
    let mut dependents: Vec<Vec<StepIx>> = vec![Vec::new(); steps.len()];
    for (at, step) in steps.iter().enumerate() {
        for need in &step.needs {
            dependents[need.0 as usize].push(StepIx(at as u32));
        }
    }
    for (step, found) in steps.iter_mut().zip(dependents) {
        step.dependents = found.into();
    }
}

/// Orders the steps so that each comes after all it needs, with the level of each. Steps in cycles are left out.
pub(super) fn order(steps: &[StepDef]) -> Vec<(StepIx, u32)> {
    let mut waiting: Vec<u32> = steps.iter().map(|step| step.needs.len() as u32).collect();
    let mut levels = vec![0u32; steps.len()];
    let mut found: Vec<(StepIx, u32)> =
        (0..steps.len()).filter(|&at| waiting[at] == 0).map(|at| (StepIx(at as u32), 0)).collect();
    let mut next = 0;
    while let Some((at, level)) = found.get(next).copied() {
        next += 1;
        for dependent in &steps[at.0 as usize].dependents {
            let index = dependent.0 as usize;
            levels[index] = levels[index].max(level + 1);
            waiting[index] -= 1;
            if waiting[index] == 0 {
                found.push((*dependent, levels[index]));
            }
        }
    }
    found
}

/// Finds a cycle of needs: each step needs the next, the last needs the first. Returns `None` when there are no cycles.
pub(super) fn circle(steps: &[StepDef]) -> Option<Vec<StepIx>> {
    let ordered = order(steps);
    if ordered.len() == steps.len() {
        return None;
    }
    let mut free = vec![false; steps.len()];
    ordered.iter().for_each(|(at, _)| free[at.0 as usize] = true);
    let mut at = free.iter().position(|free| !free)?;
    // Every remaining step needs another remaining one, so this walk must reach a step it has seen.
    let mut seen = vec![usize::MAX; steps.len()];
    let mut walk = Vec::new();
    while seen[at] == usize::MAX {
        seen[at] = walk.len();
        walk.push(StepIx(at as u32));
        at = steps[at].needs.iter().find(|need| !free[need.0 as usize])?.0 as usize;
    }
    let mut circle = walk.split_off(seen[at]);
    // The cycle begins with the step that stands first in the file.
    let first = circle.iter().enumerate().min_by_key(|(_, step)| **step).map_or(0, |(place, _)| place);
    circle.rotate_left(first);
    Some(circle)
}

/// Formats a cycle as `a needs b needs a`, shortened when it is long.
pub(super) fn circle_message(steps: &[StepDef], circle: &[StepIx]) -> String {
    let name = |at: &StepIx| format!("`{}`", steps[at.0 as usize].name);
    let mut names: Vec<String> = circle.iter().map(name).collect();
    names.extend(circle.first().map(name));
    if names.len() > 12 {
        let cut = names.len() - 10;
        names.splice(6..names.len() - 4, [format!("… {cut} more …")]);
    }
    format!("steps wait for each other in a circle: {}", names.join(" needs "))
}

/// Decides whether one step comes before another without a table of all pairs. Steps are divided into chains, and a
/// walk upwards ends as soon as it meets the chain of the wanted step.
pub(super) struct Ancestry<'d> {
    steps: &'d [StepDef],
    level: Vec<u32>,
    /// Chain and position in it.
    chain: Vec<(u32, u32)>,
    visited: Vec<u32>,
    round: u32,
    budget: usize,
}

/// Limit of the steps that all walks of a block together may visit. Beyond it a reference is assumed to be right; a
/// wrong one then fails when the run reaches it.
const WALK_MAX: usize = 20_000_000;

impl<'d> Ancestry<'d> {
    pub fn new(steps: &'d [StepDef]) -> Ancestry<'d> {
        let mut level = vec![0; steps.len()];
        let mut chain = vec![(u32::MAX, 0); steps.len()];
        let mut ends: Vec<bool> = vec![false; steps.len()];
        let mut chains = 0;
        for (at, depth) in order(steps) {
            let index = at.0 as usize;
            level[index] = depth;
            let free = steps[index].needs.iter().map(|need| need.0 as usize).find(|need| ends[*need]);
            chain[index] = match free {
                Some(before) => {
                    ends[before] = false;
                    (chain[before].0, chain[before].1 + 1)
                }
                None => {
                    chains += 1;
                    (chains, 0)
                }
            };
            ends[index] = true;
        }
        Ancestry { steps, level, chain, visited: vec![0; steps.len()], round: 0, budget: WALK_MAX }
    }

    /// Tells whether `step` waits for `before`, directly or through others.
    pub fn waits_for(&mut self, step: StepIx, before: StepIx) -> bool {
        let target = before.0 as usize;
        if self.steps[step.0 as usize].needs.contains(&before) {
            return true;
        }
        self.round += 1;
        let mut open: Vec<u32> = self.steps[step.0 as usize].needs.iter().map(|need| need.0).collect();
        while let Some(at) = open.pop() {
            let index = at as usize;
            if index == target
                || (self.chain[index].0 == self.chain[target].0 && self.chain[index].1 > self.chain[target].1)
            {
                return true;
            }
            if self.visited[index] == self.round || self.level[index] <= self.level[target] {
                continue;
            }
            self.visited[index] = self.round;
            let Some(left) = self.budget.checked_sub(1 + self.steps[index].needs.len()) else { return true };
            self.budget = left;
            open.extend(self.steps[index].needs.iter().map(|need| need.0));
        }
        false
    }
}
