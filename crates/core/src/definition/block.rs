//! Reader of the steps of a block and their dependencies.

use std::collections::HashMap;

use super::{
    STEPS_MAX,
    model::{Block, BlockIx, OnError, StepDef, StepIx},
    needs,
    parse::{Parser, Surroundings},
    step::Draft,
};
use crate::{
    name::Name,
    yaml::{Node, Place, Trail, nearest},
};

impl Parser<'_> {
    /// Reads `steps:`. Returns a block even when it has faults, so that reading can continue.
    pub fn block(&mut self, node: &Node<'_>, trail: &Trail<'_>, seen: Surroundings) -> BlockIx {
        let index = BlockIx(self.blocks.len() as u32);
        self.blocks.push(Block { parent: seen.parent, ..Block::default() });
        let Some(entries) = node.entries() else {
            let hint = "write each step as `name: { worker: … }`".to_owned();
            let message = format!("expected a map of steps, found {}", node.kind());
            self.reader.report(node.place, trail, message, Some(hint));
            return index;
        };
        if entries.is_empty() {
            self.reader.report(node.place, trail, "there are no steps", None);
        }
        let before = self.steps;
        self.steps += entries.len();
        if self.steps > STEPS_MAX {
            if before <= STEPS_MAX {
                let message = format!("the workflow has more than {STEPS_MAX} steps");
                let hint = "move steps into workflows of their own, or use `for_each`".to_owned();
                self.reader.report(node.place, trail, message, Some(hint));
            }
            return index;
        }
        let mut drafts = Vec::with_capacity(entries.len());
        let mut names = HashMap::with_capacity(entries.len());
        for (key, value) in entries {
            let trail = trail.then(key.text().unwrap_or_default());
            let name = self.step_name(key, &trail);
            let at = StepIx(drafts.len() as u32);
            let inside = Surroundings { parent: Some((index, at)), ..seen };
            names.insert(name.clone(), at);
            drafts.push(self.step(name, key.place, value, &trail, inside));
        }
        let steps = self.tie(drafts, &names, trail);
        if let Some(block) = self.blocks.get_mut(index.0 as usize) {
            block.steps = steps;
            block.names = names;
        }
        index
    }

    fn step_name(&mut self, key: &Node<'_>, trail: &Trail<'_>) -> Name {
        let text = key.text().unwrap_or_default();
        match Name::parse(text) {
            Ok(name) if !text.contains('.') => name,
            Ok(name) => {
                let hint = Some("expressions refer to steps as `steps.name.output`: use `_` instead".to_owned());
                self.reader.report(key.place, trail, "the name of a step cannot hold a `.`", hint);
                name
            }
            Err(error) => {
                self.reader.report(key.place, trail, error.to_string(), None);
                Name::new(text)
            }
        }
    }

    /// Turns names into indices, finds dependents, and refuses cycles.
    fn tie(&mut self, drafts: Vec<Draft>, names: &HashMap<Name, StepIx>, trail: &Trail<'_>) -> Vec<StepDef> {
        let mut steps = Vec::with_capacity(drafts.len());
        let mut places: Vec<Place> = Vec::with_capacity(drafts.len());
        let mut handlers = Vec::new();
        for (at, draft) in drafts.into_iter().enumerate() {
            let own = StepIx(at as u32);
            let mut step = draft.step;
            let trail = trail.then(step.name.as_str());
            let mut needs = Vec::with_capacity(draft.needs.len());
            for (name, place) in &draft.needs {
                match self.lookup(name, *place, names, &trail.then("needs")) {
                    Some(found) if found == own => {
                        let message = format!("step `{name}` needs itself");
                        self.reader.report(*place, &trail.then("needs"), message, Some("remove it".to_owned()));
                    }
                    Some(found) if needs.contains(&found) => {
                        let message = format!("`{name}` is needed twice");
                        self.reader.report(*place, &trail.then("needs"), message, Some("remove one".to_owned()));
                    }
                    Some(found) => needs.push(found),
                    None => {}
                }
            }
            if let Some((name, place)) = &draft.handler
                && let Some(found) = self.lookup(name, *place, names, &trail.then("on_error.run"))
            {
                step.on_error = OnError::Run(found);
                handlers.push((own, found, *place));
            }
            step.needs = needs.into();
            let begun = trail.then("unless_begun");
            let others = draft.unless_begun.iter().filter_map(|(name, place)| self.lookup(name, *place, names, &begun));
            step.unless_begun = others.collect();
            if step.unless_begun.contains(&own) {
                let message = format!("step `{}` cannot begin once it has begun", step.name);
                self.reader.report(draft.place, &begun, message, Some("name another step".to_owned()));
            }
            places.push(draft.place);
            steps.push(step);
        }
        needs::fill_dependents(&mut steps);
        self.handlers(&mut steps, &handlers, trail);
        if let Some(circle) = needs::circle(&steps) {
            let first = circle.first().copied().unwrap_or(StepIx(0));
            let place = places.get(first.0 as usize).copied().unwrap_or_default();
            let hint = "remove one of these `needs`".to_owned();
            self.reader.report(place, trail, needs::circle_message(&steps, &circle), Some(hint));
        }
        steps
    }

    fn lookup(&mut self, name: &str, place: Place, names: &HashMap<Name, StepIx>, trail: &Trail<'_>) -> Option<StepIx> {
        let found = names.get(name).copied();
        if found.is_none() {
            let hint = match nearest(name, names.keys().map(Name::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "steps can only name steps of the same block".to_owned(),
            };
            let shown: String = name.chars().take(80).collect();
            self.reader.report(place, trail, format!("there is no step `{shown}` here"), Some(hint));
        }
        found
    }

    /// Checks that a step named by `on_error` has no needs and no dependents.
    fn handlers(&mut self, steps: &mut [StepDef], handlers: &[(StepIx, StepIx, Place)], trail: &Trail<'_>) {
        for (failing, handler, place) in handlers {
            let ends_a_chance = steps.iter().any(|step| step.unless_begun.contains(handler));
            let Some(step) = steps.get_mut(handler.0 as usize) else { continue };
            step.is_handler = true;
            let wrong = if failing == handler {
                Some("cannot handle its own failure")
            } else if !step.needs.is_empty() {
                Some("handles a failure and so cannot have `needs`")
            } else if !step.dependents.is_empty() {
                Some("handles a failure and so cannot be needed")
            } else if !step.unless_begun.is_empty() {
                Some("handles a failure and so cannot have `unless_begun`")
            } else if ends_a_chance {
                Some("handles a failure and so cannot stand in `unless_begun`")
            } else {
                None
            };
            if let Some(wrong) = wrong {
                let name = step.name.clone();
                let hint = Some("use a step of its own for `on_error.run`".to_owned());
                self.reader.report(*place, &trail.then(name.as_str()), format!("step `{name}` {wrong}"), hint);
            }
        }
    }
}
