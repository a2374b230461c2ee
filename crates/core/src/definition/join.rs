//! Reader of joins that need only the first of several.

use super::{
    keys,
    model::{Action, RunIf, StepDef},
    parse::Parser,
    step::Fields,
};
use crate::yaml::{Content, Node, Place, Trail};

/// Limit of the steps of which one needs the first: each end of one of them looks at all.
const FIRST_OF_MAX: usize = 1_000;

impl Parser<'_> {
    /// Reads names of steps, or `{ first: 2, of: [a, b, c] }`.
    pub(super) fn needs_of(&mut self, node: &Node<'_>, trail: &Trail<'_>, step: &mut StepDef) -> Vec<(String, Place)> {
        if !matches!(node.content, Content::Map(_)) {
            return self.needs(node, trail);
        }
        let mut names = Vec::new();
        for (key, value) in self.reader.table(node, trail, &keys::NEEDS) {
            let trail = trail.then(key.name);
            match key.name {
                "of" => {
                    if matches!(&value.content, Content::List(steps) if steps.is_empty()) {
                        let hint = Some("name the steps, or remove `needs`".to_owned());
                        self.reader.report(value.place, &trail, "the list has no steps", hint);
                    }
                    names = self.needs(value, &trail);
                }
                _ => step.needs_first = self.reader.number(value, &trail, key.shape).map(|number| number as u32),
            }
        }
        if let Some(first) = step.needs_first.filter(|first| *first as usize > names.len() && !names.is_empty()) {
            let message = format!("the first {first} of {} steps", names.len());
            self.reader.report(node.place, trail, message, Some(format!("name {first} steps or more")));
        }
        if names.len() > FIRST_OF_MAX {
            let message = format!("the first of {} steps; {FIRST_OF_MAX} are the most", names.len());
            self.reader.report(node.place, trail, message, Some("use `for_each` with `first`".to_owned()));
        }
        names
    }

    /// Reports keys of partial joins and ends that do not go together. `own` steps are those of the run itself.
    pub(super) fn first_conflicts(&mut self, fields: &Fields<'_, '_>, step: &StepDef, trail: &Trail<'_>, own: bool) {
        let inside = match &step.action {
            Action::Steps(block) if step.for_each.is_none() => {
                self.blocks.get(block.0 as usize).map(|block| block.steps.len())
            }
            _ => None,
        };
        let mut report = |name: &str, message: &str, hint: &str| {
            if let Some((key, node)) = fields.get(name) {
                self.reader.report(node.place, &trail.then(key.name), message, Some(hint.to_owned()));
            }
        };
        let holds = step.for_each.is_some() || matches!(step.action, Action::Steps(_));
        if !holds && !fields.has("for_each") {
            report(
                "first",
                "`first` goes only with `for_each` or `steps`",
                "put the steps to choose from into `steps`",
            );
        } else if step.for_each.is_none() && fields.has("repeat") {
            report("first", "`first` does not go with `repeat`", "put the loop into a step inside of `steps`");
        }
        if let (Some(first), Some(steps)) = (step.first, inside)
            && first as usize > steps
        {
            report("first", &format!("the first {first} of {steps} steps"), "write a smaller number");
        }
        if step.ends_run && !own {
            report(
                "ends_run",
                "`ends_run` goes only with a step of the run itself",
                "move the step out of what holds it",
            );
        }
        if step.needs_first.is_some() && step.run_if != RunIf::Success {
            report("run_if", "`run_if` does not go with the first of several needs", "remove it");
        }
    }
}
