//! Reader of a whole file.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value as Json;

use super::{
    FILE_MAX,
    fields::{Reader, Scope},
    keys::{self, Shape},
    model::{Block, BlockIx, Defaults, Definition, Strategy},
    references,
};
use crate::{
    expr::Template,
    failure::Category,
    name::Name,
    retry::{Jitter, RetryPolicy},
    yaml::{self, Content, Document, Form, Node, Problems, Trail, nearest},
};

/// State of the reader.
pub(super) struct Parser<'s> {
    pub reader: Reader<'s>,
    pub blocks: Vec<Block>,
    pub steps: usize,
    pub defaults: Defaults,
}

/// Names from outside that the steps of a block can use.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Surroundings {
    pub parent: Option<(BlockIx, super::StepIx)>,
    pub item: bool,
    pub turn: bool,
    pub error: bool,
}

impl Definition {
    /// Reads a workflow from YAML or JSON and checks it as a whole. `file` is its name in messages.
    ///
    /// # Errors
    /// All problems that were found.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Definition, Problems> {
        yaml::document(bytes, file, FORM, read)
    }
}

/// Form of workflow files.
const FORM: Form = Form {
    name: "a workflow",
    most: FILE_MAX,
    empty: "a workflow needs at least `name` and `steps`",
    split: "move steps into workflows of their own",
};

fn read(document: Document<'_>) -> Result<Definition, Problems> {
    let Some(root) = document.root else {
        return Err(Problems::whole(&document.problems.file, "the file is empty", FORM.empty));
    };
    let reader = Reader::new(document.source, document.problems);
    let mut parser = Parser { reader, blocks: Vec::new(), steps: 0, defaults: Defaults::default() };
    let definition = parser.workflow(&root);
    drop(root);
    let mut reader = parser.reader;
    match definition {
        Some(definition) => {
            let sites = std::mem::take(&mut reader.sites);
            references::check(&definition, &sites, &mut reader);
            if reader.problems.is_empty() { Ok(definition) } else { Err(reader.into_problems().sorted()) }
        }
        None => Err(reader.into_problems().sorted()),
    }
}

impl Parser<'_> {
    fn workflow(&mut self, root: &Node<'_>) -> Option<Definition> {
        if root.entries().is_none() {
            let hint = "a workflow begins with `name:` and `steps:`".to_owned();
            let message = format!("expected a map, found {}", root.kind());
            self.reader.report(root.place, &Trail::ROOT, message, Some(hint));
            return None;
        }
        let fields = self.reader.table(root, &Trail::ROOT, &keys::WORKFLOW);
        if let Some((_, node)) = fields.iter().find(|(key, _)| key.name == "defaults") {
            self.defaults(node);
        }
        let mut made = Definition::empty();
        let outside = Scope::default();
        // The steps of the run come first, so that they are block 0.
        let root_block = fields
            .iter()
            .find(|(key, _)| key.name == "steps")
            .map(|(_, node)| self.block(node, &Trail::ROOT.then("steps"), Surroundings::default()));
        for (key, node) in &fields {
            let trail = Trail::ROOT.then(key.name);
            match key.name {
                "name" => made.name = self.reader.name(node, &trail).unwrap_or(made.name),
                "description" => made.description = self.reader.text(node, &trail).map(str::to_owned),
                "inputs" => made.inputs = self.inputs(node, &trail),
                "vars" if node.entries().is_none() => {
                    let message = format!("expected a map, found {}", node.kind());
                    self.reader.report(node.place, &trail, message, None);
                }
                "vars" => {
                    let scope = Scope { inputs_only: true, ..outside };
                    made.vars = self.tree(node, &trail, scope).unwrap_or_default();
                }
                "strategy" => made.strategy = self.strategy(node, &trail).unwrap_or_default(),
                "timeout" => made.timeout = self.reader.duration(node, &trail),
                "budget" => made.budget = self.reader.money(node, &trail),
                "finally" => made.finally = self.held_block(node, &trail, Surroundings::default()),
                "on_error" => {
                    let seen = Surroundings { error: true, ..Surroundings::default() };
                    made.on_error = self.held_block(node, &trail, seen);
                }
                "on_cancel" => made.on_cancel = self.held_block(node, &trail, Surroundings::default()),
                "outputs" => made.outputs = self.tree(node, &trail, outside),
                _ => {}
            }
        }
        if let Some((_, node)) = fields.iter().find(|(key, _)| key.name == "on") {
            self.triggers(node, &Trail::ROOT.then("on"), &mut made);
        }
        made.root = root_block?;
        made.defaults = std::mem::take(&mut self.defaults);
        made.blocks = std::mem::take(&mut self.blocks);
        made.dropped_signals = made.dropped();
        Some(made)
    }

    /// Reads a map that holds `steps`.
    pub fn held_block(&mut self, node: &Node<'_>, trail: &Trail<'_>, seen: Surroundings) -> Option<BlockIx> {
        let fields = self.reader.table(node, trail, &keys::BLOCK);
        let (_, steps) = fields.first()?;
        Some(self.block(steps, &trail.then("steps"), seen))
    }

    /// Reads a map with expressions in its values, or one expression that makes a map.
    pub fn tree(&mut self, node: &Node<'_>, trail: &Trail<'_>, scope: Scope) -> Option<Template> {
        let whole = node.text().is_some_and(|text| text.starts_with("${{"));
        if node.entries().is_none() && !whole {
            let message = format!("expected a map, found {}", node.kind());
            self.reader.report(node.place, trail, message, None);
            return None;
        }
        self.reader.template(node, trail, scope)
    }

    fn inputs(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<Arc<Json>> {
        let json = self.reader.json(node, trail)?;
        let known =
            ["type", "properties", "required", "$ref", "$schema", "allOf", "anyOf", "oneOf", "additionalProperties"];
        let Some(map) = json.as_object() else {
            let message = format!("expected a JSON Schema, found {}", node.kind());
            self.reader.report(node.place, trail, message, None);
            return None;
        };
        if !map.is_empty() && !map.keys().any(|key| known.contains(&key.as_str())) {
            let hint = "write `inputs: { type: object, properties: { … } }`".to_owned();
            self.reader.report(node.place, trail, "this is not a JSON Schema of an object", Some(hint));
        }
        if let Some(kind) = map.get("type").filter(|kind| **kind != "object") {
            let place = node.get("type").map_or(node.place, |at| at.place);
            let message = format!("inputs are an object, not {kind}");
            self.reader.report(place, &trail.then("type"), message, None);
        }
        Some(Arc::new(json))
    }

    fn strategy(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<Strategy> {
        if let Content::Scalar { .. } = node.content {
            return Some(match self.reader.name(node, trail)? {
                name if name.as_str() == "sequential" => Strategy::Sequential,
                name if name.as_str() == "parallel" => Strategy::Parallel,
                name if name.as_str() == "priority" => Strategy::Priority { fail_fast_at: None },
                // The other names are known only where the definition is loaded.
                name => Strategy::Custom(name),
            });
        }
        let fields = self.reader.table(node, trail, &keys::STRATEGY);
        let (_, settings) = fields.first()?;
        let trail = trail.then("priority");
        let mut fail_fast_at = None;
        for (key, value) in self.reader.table(settings, &trail, &keys::PRIORITY_STRATEGY) {
            fail_fast_at = self.reader.number(value, &trail.then(key.name), key.shape).map(|number| number as i32);
        }
        Some(Strategy::Priority { fail_fast_at })
    }

    fn defaults(&mut self, node: &Node<'_>) {
        let trail = Trail::ROOT.then("defaults");
        for (key, value) in self.reader.table(node, &trail, &keys::DEFAULTS) {
            let trail = trail.then(key.name);
            match key.name {
                "queue" => self.defaults.queue = self.reader.name(value, &trail),
                "priority" => {
                    let number = self.reader.number(value, &trail, key.shape);
                    self.defaults.priority = number.map_or(0, |number| number as i32);
                }
                "timeout" => self.defaults.timeout = self.reader.duration(value, &trail),
                "max_parallel" => {
                    let number = self.reader.number(value, &trail, key.shape);
                    self.defaults.max_parallel = number.map(|number| number as u32);
                }
                "retry" => self.defaults.retry = Some(self.retry(value, &trail, RetryPolicy::default())),
                _ => {}
            }
        }
    }

    /// Reads retry rules; missing fields come from `base`.
    pub fn retry(&mut self, node: &Node<'_>, trail: &Trail<'_>, base: RetryPolicy) -> RetryPolicy {
        let mut policy = base;
        for (key, value) in self.reader.table(node, trail, &keys::RETRY) {
            let trail = trail.then(key.name);
            match (key.name, key.shape) {
                ("max_attempts", shape) => {
                    let number = self.reader.number(value, &trail, shape);
                    policy.max_attempts = number.map_or(policy.max_attempts, |number| number as u32);
                }
                ("multiplier", shape) => {
                    policy.multiplier = self.reader.number(value, &trail, shape).unwrap_or(policy.multiplier);
                }
                ("delay", _) => policy.delay = self.reader.duration(value, &trail).unwrap_or(policy.delay),
                ("max_delay", _) => policy.max_delay = self.reader.duration(value, &trail).unwrap_or(policy.max_delay),
                ("jitter", Shape::OneOf(words)) => {
                    let found = self.reader.one_of(value, &trail, words);
                    let known = [Jitter::None, Jitter::Full, Jitter::Equal];
                    policy.jitter = found.and_then(|at| known.get(at).copied()).unwrap_or(policy.jitter);
                }
                ("on", _) => policy.on = Some(self.categories(value, &trail).into()),
                _ => {}
            }
        }
        policy
    }

    fn categories(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Vec<Category> {
        let words = Category::ALL.map(Category::as_str);
        let Content::List(items) = &node.content else {
            let message = format!("expected a list of kinds of failure, found {}", node.kind());
            let hint =
                nearest(node.text().unwrap_or_default(), words.into_iter()).map(|near| format!("write `[{near}]`"));
            self.reader.report(node.place, trail, message, hint);
            return Vec::new();
        };
        let found = items.iter().filter_map(|item| self.reader.one_of(item, trail, &words));
        found.filter_map(|at| Category::ALL.get(at).copied()).collect()
    }
}

impl Definition {
    fn empty() -> Definition {
        Definition {
            name: Name::new("workflow"),
            description: None,
            inputs: None,
            vars: Template::default(),
            on_completed: None,
            on_schedules: Vec::new(),
            strategy: Strategy::default(),
            timeout: None,
            budget: None,
            dropped_signals: BTreeSet::new(),
            defaults: Defaults::default(),
            blocks: Vec::new(),
            root: BlockIx(0),
            finally: None,
            on_error: None,
            on_cancel: None,
            outputs: None,
        }
    }
}
