//! Checks of references in expressions: inputs, vars, and steps that have ended before.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use super::{
    fields::{Reader, Scope, Told},
    model::{Block, BlockIx, Definition, OnError, StepIx},
    needs::Ancestry,
};
use crate::{
    expr::Path,
    yaml::{Place, Problem, nearest},
};

const ROOTS: [&str; 9] = ["inputs", "vars", "steps", "run", "item", "index", "turn", "previous", "error"];
/// Fields of a step that expressions can read, besides its output.
const STEP_PARTS: [&str; 9] =
    ["output", "state", "error", "provider", "degraded", "attempts", "duration_ms", "cost", "cost_nanousd"];

/// A reference and its position.
#[derive(Debug)]
pub(super) struct Site {
    pub path: Path,
    pub place: Place,
    pub field: Box<str>,
    pub scope: Scope,
}

struct Check<'d> {
    definition: &'d Definition,
    /// Names that the schema of the inputs allows. `None` when it allows any.
    inputs: Option<HashSet<&'d str>>,
    vars: HashSet<String>,
    ancestry: HashMap<u32, Ancestry<'d>>,
    /// Steps whose failure a handler handles.
    handled: HashMap<(u32, u32), Vec<StepIx>>,
}

/// Problem of a reference, and the next step.
type Complaint = (String, Option<String>);

/// Reports every reference to an unknown name.
pub(super) fn check(definition: &Definition, sites: &[Site], reader: &mut Reader<'_>) {
    let mut check = Check {
        definition,
        inputs: input_names(definition.inputs.as_deref()),
        vars: definition.vars.keys().map(str::to_owned).collect(),
        ancestry: HashMap::new(),
        handled: handled(definition),
    };
    for site in sites {
        if let Some((message, hint)) = check.site(site) {
            let (line, column) = (site.place.line, site.place.column);
            reader.problems.push(Problem { line, column, field: site.field.to_string(), message, hint });
        }
    }
}

/// Checks a reference of a trigger.
fn told_part(told: &Told, path: &Path) -> Option<Complaint> {
    let (name, parts) = (told.name, told.parts.join(", "));
    if path.root() != name {
        let wrong = format!("`on` can only refer to `{name}`, not to `{path}`");
        return Some((wrong, Some(format!("its parts are {parts}"))));
    }
    let part = path.part(1).filter(|part| !told.parts.contains(part))?;
    let hint = match nearest(part, told.parts.iter().copied()) {
        Some(near) => format!("did you mean `{name}.{near}`?"),
        None => format!("its parts are {parts}"),
    };
    Some((format!("`{name}` has no `{part}`"), Some(hint)))
}

fn input_names(schema: Option<&Json>) -> Option<HashSet<&str>> {
    let schema = schema?;
    let open =
        ["$ref", "allOf", "anyOf", "oneOf", "patternProperties", "if"].iter().any(|key| schema.get(key).is_some());
    let more = schema.get("additionalProperties");
    if open || more.is_some_and(|more| *more != Json::Bool(false)) {
        return None;
    }
    schema.get("properties")?.as_object().map(|map| map.keys().map(String::as_str).collect())
}

fn handled(definition: &Definition) -> HashMap<(u32, u32), Vec<StepIx>> {
    let mut found: HashMap<(u32, u32), Vec<StepIx>> = HashMap::new();
    for (block_at, block) in definition.blocks.iter().enumerate() {
        for at in block.indices() {
            if let OnError::Run(handler) = block.step(at).on_error {
                found.entry((block_at as u32, handler.0)).or_default().push(at);
            }
        }
    }
    found
}

impl<'d> Check<'d> {
    fn site(&mut self, site: &Site) -> Option<Complaint> {
        let path = &site.path;
        let root = path.root();
        if let Some(told) = site.scope.told {
            return told_part(told, path);
        }
        if site.scope.inputs_only && root != "inputs" && root != "run" && ROOTS.contains(&root) {
            return Some((format!("`vars` can only refer to `inputs`, not to `{path}`"), None));
        }
        match root {
            "inputs" => self.named("input", path, self.inputs.as_ref()?.iter().copied()),
            "vars" => self.named("var", path, self.vars.iter().map(String::as_str)),
            "steps" => self.step_reference(path, site.scope),
            "item" | "index" if !site.scope.item => {
                let hint = "add `for_each`, or move the step into one that has it".to_owned();
                Some((format!("`{root}` is only there in a step with `for_each`"), Some(hint)))
            }
            "turn" | "previous" if !site.scope.turn => {
                let hint = "add `repeat`, or move the step into one that has it".to_owned();
                Some((format!("`{root}` is only there in a step with `repeat`"), Some(hint)))
            }
            "error" if !site.scope.error && !self.in_handler(site.scope) => {
                let hint = "use it in the steps of `on_error`".to_owned();
                Some(("`error` is only there when a failure is handled".to_owned(), Some(hint)))
            }
            "run" | "item" | "index" | "turn" | "previous" | "error" => None,
            other => Some((format!("there is no `{other}` here"), self.root_hint(other, site.scope))),
        }
    }

    fn root_hint(&self, word: &str, scope: Scope) -> Option<String> {
        if self.inputs.as_ref().is_some_and(|names| names.contains(word)) {
            return Some(format!("write `inputs.{word}`"));
        }
        if self.vars.contains(word) {
            return Some(format!("write `vars.{word}`"));
        }
        if self.definition.block(BlockIx(scope.block)).find(word).is_some() {
            return Some(format!("write `steps.{word}.output`"));
        }
        Some(match nearest(word, ROOTS.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}; text needs quotes", ROOTS.join(", ")),
        })
    }

    fn named<'n>(&self, what: &str, path: &Path, known: impl Iterator<Item = &'n str> + Clone) -> Option<Complaint> {
        let name = path.part(1)?;
        if known.clone().any(|known| known == name) {
            return None;
        }
        let hint = nearest(name, known.clone()).map(|near| format!("did you mean `{near}`?")).or_else(|| {
            let mut names: Vec<&str> = known.collect();
            names.sort_unstable();
            names.truncate(20);
            (!names.is_empty()).then(|| format!("there are: {}", names.join(", ")))
        });
        Some((format!("there is no {what} `{name}`"), hint))
    }

    fn step_reference(&mut self, path: &Path, scope: Scope) -> Option<Complaint> {
        let name = path.part(1)?;
        if let Some(part) = path.part(2).filter(|part| !STEP_PARTS.contains(part)) {
            let hint = match nearest(part, STEP_PARTS.into_iter()) {
                Some(near) => format!("did you mean `steps.{name}.{near}`?"),
                None => format!("write `steps.{name}.output.{part}`"),
            };
            // A name with a dash is read as a subtraction; report that instead.
            return self.dashed(name, scope).or(Some((format!("a step has no `{part}`"), Some(hint))));
        }
        let (mut block, mut inner) = (scope.block, scope.step);
        loop {
            let here = self.definition.block(BlockIx(block));
            if let Some(found) = here.find(name) {
                return match inner {
                    None => None,
                    Some(at) if scope.own && block == scope.block && found.0 == at => None,
                    Some(at) => self.needed(block, StepIx(at), found),
                };
            }
            match here.parent {
                Some((outer, holder)) => (block, inner) = (outer.0, Some(holder.0)),
                // The blocks that run at the end see all steps of the run.
                None if block != self.definition.root.0 => (block, inner) = (self.definition.root.0, None),
                None => break,
            }
        }
        self.dashed(name, scope).or_else(|| Some(self.unknown_step(name, scope)))
    }

    fn needed(&mut self, block: u32, step: StepIx, found: StepIx) -> Option<Complaint> {
        let here: &'d Block = self.definition.block(BlockIx(block));
        let ancestry = self.ancestry.entry(block).or_insert_with(|| Ancestry::new(&here.steps));
        let handled = self.handled.get(&(block, step.0));
        let waits = ancestry.waits_for(step, found)
            || handled.is_some_and(|failing| {
                failing.iter().any(|failing| *failing == found || ancestry.waits_for(*failing, found))
            });
        if waits {
            return None;
        }
        let (own, other) = (&here.step(step).name, &here.step(found).name);
        if step == found {
            return Some((format!("step `{own}` refers to its own result"), None));
        }
        if ancestry.waits_for(found, step) {
            let message = format!("step `{own}` refers to `{other}`, which waits for it");
            return Some((message, Some("refer to a step that ends before it".to_owned())));
        }
        let message = format!("step `{own}` refers to `{other}` but does not wait for it");
        Some((message, Some(format!("add `{other}` to the `needs` of `{own}`"))))
    }

    fn blocks_in_sight(&self, scope: Scope) -> Vec<&'d Block> {
        let mut found = vec![self.definition.block(BlockIx(scope.block))];
        while let Some((outer, _)) = found.last().and_then(|block| block.parent) {
            found.push(self.definition.block(outer));
        }
        if !found.last().is_some_and(|block| std::ptr::eq(*block, self.definition.block(self.definition.root))) {
            found.push(self.definition.block(self.definition.root));
        }
        found
    }

    fn unknown_step(&self, name: &str, scope: Scope) -> Complaint {
        let blocks = self.blocks_in_sight(scope);
        let names = blocks.iter().flat_map(|block| block.steps.iter().map(|step| step.name.as_str()));
        let hint = nearest(name, names).map(|near| format!("did you mean `{near}`?")).or_else(|| {
            let inner = self.definition.blocks.iter().any(|block| block.find(name).is_some());
            inner.then(|| format!("`{name}` is inside of another step: refer to the output of that step"))
        });
        (format!("there is no step `{name}` here"), hint)
    }

    /// Reports that `steps.my-step` is read as a subtraction, and the right form.
    fn dashed(&self, name: &str, scope: Scope) -> Option<Complaint> {
        let start = format!("{name}-");
        let blocks = self.blocks_in_sight(scope);
        let mut names = blocks.iter().flat_map(|block| block.steps.iter().map(|step| step.name.as_str()));
        let full = names.find(|known| known.starts_with(&start))?;
        if blocks.iter().any(|block| block.find(name).is_some()) {
            return None;
        }
        Some((format!("there is no step `{name}` here"), Some(format!("write `steps['{full}'].output`"))))
    }

    fn in_handler(&self, scope: Scope) -> bool {
        let mut at = scope.step.map(|step| (BlockIx(scope.block), StepIx(step)));
        at = at.or(self.definition.block(BlockIx(scope.block)).parent);
        while let Some((block, step)) = at {
            let here = self.definition.block(block);
            if here.steps.get(step.0 as usize).is_some_and(|step| step.is_handler) {
                return true;
            }
            at = here.parent;
        }
        false
    }
}
