//! Reader of one step.

use super::{
    fields::Scope,
    keys::{self, Key, Shape},
    model::{Action, Cache, ForEach, OnError, OnItemError, OnTimeout, Repeat, RunIf, StepDef, Timer, Wait, WaitFor},
    parse::{Parser, Surroundings},
};
use crate::{
    approval::ApprovalRule,
    expr::{Expression, Template},
    label::Requires,
    name::Name,
    yaml::{Content, Node, Place, Trail},
};

/// Default limit of items in progress.
const MAX_PARALLEL: u32 = 5;

/// A step whose needs are still names.
pub(super) struct Draft {
    pub step: StepDef,
    pub needs: Vec<(String, Place)>,
    pub unless_begun: Vec<(String, Place)>,
    pub handler: Option<(String, Place)>,
    pub place: Place,
}

/// Fields of a step that was read.
pub(super) struct Fields<'n, 'a> {
    found: Vec<(&'static Key, &'n Node<'a>)>,
    place: Place,
}

impl<'n, 'a> Fields<'n, 'a> {
    pub(super) fn get(&self, name: &str) -> Option<(&'static Key, &'n Node<'a>)> {
        self.found.iter().find(|(key, _)| key.name == name).copied()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns the keys that name the action of the step.
    fn actions(&self) -> Vec<&'static str> {
        let flag = self.has("workflow");
        keys::ACTIONS.into_iter().filter(|name| self.has(name) && !(flag && *name == "wait")).collect()
    }
}

impl Parser<'_> {
    /// Reads a step. Faults are reported and replaced by harmless values.
    pub fn step(&mut self, name: Name, place: Place, node: &Node<'_>, trail: &Trail<'_>, seen: Surroundings) -> Draft {
        let found = self.reader.table(node, trail, &keys::STEP);
        let known = node.entries().map(|entries| entries.len() == found.len());
        let fields = Fields { found, place };
        let (block, own) = seen.parent.map_or((0, 0), |(block, step)| (block.0, step.0));
        let outer =
            Scope { block, step: Some(own), item: seen.item, turn: seen.turn, error: seen.error, ..Scope::default() };
        let scope =
            Scope { item: seen.item || fields.has("for_each"), turn: seen.turn || fields.has("repeat"), ..outer };
        let inside = Surroundings { item: scope.item, turn: scope.turn, ..seen };
        if let Some(known) = known {
            self.conflicts(&fields, known, trail);
        }
        let action = self.action(&fields, trail, inside, scope);
        let looped = match (&action, fields.has("repeat")) {
            (Action::Steps(inner), true) => Scope { block: inner.0, step: None, turn: seen.turn, ..scope },
            _ => Scope { own: true, turn: seen.turn, ..scope },
        };
        let branch = matches!(action, Action::Branch { .. });
        let condition_scope = if branch { scope } else { outer };
        let mut step = StepDef { action, ..self.blank(name, place.line) };
        if !matches!(step.action, Action::Worker { .. }) {
            // The default applies to attempts, and only tasks have attempts.
            step.timeout = None;
        }
        let (mut draft_needs, mut unless_begun) = (Vec::new(), Vec::new());
        let mut handler = None;
        for (key, node) in &fields.found {
            let step_trail = trail;
            let trail = trail.then(key.name);
            match key.name {
                "needs" => draft_needs = self.needs_of(node, &trail, &mut step),
                "unless_begun" => unless_begun = self.needs(node, &trail),
                "if" => step.condition = self.reader.expression(node, &trail, condition_scope),
                "for_each" => step.for_each = self.for_each(&fields, node, step_trail, outer),
                "repeat" => step.repeat = self.repeat(node, &trail, looped),
                "on_error" => handler = self.on_error(node, &trail, &mut step),
                _ => self.setting(key, node, &trail, &mut step),
            }
        }
        self.first_conflicts(&fields, &step, trail, seen.parent.is_some_and(|(block, _)| block.0 == 0));
        Draft { step, needs: draft_needs, unless_begun, handler, place }
    }

    /// Makes a step without an action, with the defaults of the workflow.
    fn blank(&self, name: Name, line: u32) -> StepDef {
        StepDef {
            name,
            needs: Box::default(),
            needs_first: None,
            dependents: Box::default(),
            condition: None,
            run_if: RunIf::default(),
            action: Action::Wait(Wait {
                target: WaitFor::Timer(Timer::Fixed(crate::time::DurationMs::ZERO)),
                timeout: None,
                on_timeout: OnTimeout::Fail,
                drops_early: false,
                rule: ApprovalRule::default(),
            }),
            unless_begun: Box::default(),
            first: None,
            ends_run: false,
            for_each: None,
            repeat: None,
            priority: self.defaults.priority,
            queue: self.defaults.queue.clone(),
            requires: Requires::default(),
            timeout: self.defaults.timeout,
            deadline: None,
            retry: self.defaults.retry.clone(),
            cache: None,
            on_error: OnError::Stop,
            is_handler: false,
            line,
        }
    }

    /// Reports keys that do not go together. A step with an unknown key gets no second message about its missing
    /// action.
    fn conflicts(&mut self, fields: &Fields<'_, '_>, known: bool, trail: &Trail<'_>) {
        let actions = fields.actions();
        let wanted = "worker, workflow, wait, steps or then";
        match actions.as_slice() {
            [] if !known => {}
            [] => {
                let hint = Some(format!("give it one of {wanted}"));
                self.reader.report(fields.place, trail, "the step does nothing", hint);
            }
            [_] => {}
            [first, second, ..] => {
                let message = format!("the step has `{first}` and `{second}`");
                let hint = Some(format!("a step has exactly one of {wanted}"));
                self.reader.report(fields.place, trail, message, hint);
            }
        }
        let action = actions.first().copied().unwrap_or("worker");
        let rules: [(&[&str], &[&str], &str); 3] = [
            (&["with"], &["worker", "workflow"], "`worker` or `workflow`"),
            (&["queue", "requires", "retry", "cache", "deadline"], &["worker"], "`worker`"),
            (&["else"], &["then"], "`then`"),
        ];
        for (names, fitting, shown) in rules {
            for name in names.iter().filter(|_| !fitting.contains(&action)) {
                if let Some((key, node)) = fields.get(name) {
                    let message = format!("`{name}` goes only with {shown}");
                    self.reader.report(node.place, &trail.then(key.name), message, None);
                }
            }
        }
        for (name, other) in [("max_parallel", "for_each"), ("on_item_error", "for_each"), ("then", "if")] {
            if let Some((key, node)) = fields.get(name).filter(|_| !fields.has(other)) {
                let message = format!("`{name}` needs `{other}`");
                self.reader.report(node.place, &trail.then(key.name), message, None);
            }
        }
    }

    fn action(&mut self, fields: &Fields<'_, '_>, trail: &Trail<'_>, seen: Surroundings, scope: Scope) -> Action {
        let nothing = self.blank(Name::new("nothing"), 0).action;
        let Some(name) = fields.actions().first().copied() else { return nothing };
        let Some((_, node)) = fields.get(name) else { return nothing };
        let at = trail.then(name);
        match name {
            "worker" => match self.reader.name(node, &at) {
                Some(worker) => Action::Worker { worker, with: self.with(fields, trail, scope) },
                None => nothing,
            },
            "workflow" => {
                let wait = fields.get("wait").and_then(|(_, node)| self.reader.flag(node, &trail.then("wait")));
                match self.reader.name(node, &at) {
                    Some(workflow) => {
                        Action::Workflow { workflow, with: self.with(fields, trail, scope), wait: wait.unwrap_or(true) }
                    }
                    None => nothing,
                }
            }
            "wait" => self.wait(node, &at, scope).map_or(nothing, Action::Wait),
            "steps" => Action::Steps(self.block(node, &at, seen)),
            "then" => {
                let then = self.held_block(node, &at, seen);
                let otherwise =
                    fields.get("else").and_then(|(_, node)| self.held_block(node, &trail.then("else"), seen));
                then.map_or(nothing, |then| Action::Branch { then, otherwise })
            }
            _ => {
                let hint = Some("write the steps out, or start a workflow with `workflow:`".to_owned());
                self.reader.report(node.place, &at, "`plan` is reserved for a later version", hint);
                nothing
            }
        }
    }

    fn with(&mut self, fields: &Fields<'_, '_>, trail: &Trail<'_>, scope: Scope) -> Template {
        let found = fields.get("with").and_then(|(_, node)| self.tree(node, &trail.then("with"), scope));
        found.unwrap_or_default()
    }

    pub(super) fn needs(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Vec<(String, Place)> {
        let what = match trail.last() {
            "requires" => "labels",
            "approvers" => "names of keys or roles",
            _ => "step names",
        };
        let items = match &node.content {
            Content::List(items) => items.as_slice(),
            Content::Scalar { .. } => std::slice::from_ref(node),
            Content::Map(_) => {
                let message = format!("expected a list of {what}, found {}", node.kind());
                self.reader.report(
                    node.place,
                    trail,
                    message,
                    Some(format!("write `{}: [first, second]`", trail.last())),
                );
                return Vec::new();
            }
        };
        let mut names = Vec::with_capacity(items.len());
        for item in items {
            if let Some(text) = self.reader.text(item, trail) {
                names.push((text.to_owned(), item.place));
            }
        }
        names
    }

    fn requires(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Requires {
        let labels = self.needs(node, trail);
        match Requires::parse(labels.iter().map(|(label, _)| label)) {
            Ok(requires) => requires,
            Err(error) => {
                self.reader.report(node.place, trail, error.to_string(), None);
                Requires::default()
            }
        }
    }

    fn for_each(
        &mut self,
        fields: &Fields<'_, '_>,
        node: &Node<'_>,
        trail: &Trail<'_>,
        scope: Scope,
    ) -> Option<ForEach> {
        let own = trail.then("for_each");
        let list = match &node.content {
            Content::List(_) => self.reader.template(node, &own, scope),
            Content::Scalar { .. } => self.reader.expression(node, &own, scope).map(Template::from),
            Content::Map(_) => {
                self.reader.report(node.place, &own, "expected a list or an expression, found a map", None);
                None
            }
        };
        let mut max_parallel = self.defaults.max_parallel.unwrap_or(MAX_PARALLEL);
        if let Some((key, node)) = fields.get("max_parallel") {
            let number = self.reader.number(node, &trail.then(key.name), key.shape);
            max_parallel = number.map_or(max_parallel, |number| number as u32);
        }
        let mut on_item_error = OnItemError::Fail;
        if let Some((key, node)) = fields.get("on_item_error")
            && let Shape::OneOf(words) = key.shape
            && self.reader.one_of(node, &trail.then(key.name), words) == Some(1)
        {
            on_item_error = OnItemError::Collect;
        }
        Some(ForEach { list: list?, max_parallel, on_item_error })
    }

    fn repeat(&mut self, node: &Node<'_>, trail: &Trail<'_>, scope: Scope) -> Option<Repeat> {
        let (mut until, mut max): (Option<Expression>, Option<u32>) = (None, None);
        for (key, value) in self.reader.table(node, trail, &keys::REPEAT) {
            let trail = trail.then(key.name);
            match key.name {
                "until" => until = self.reader.expression(value, &trail, scope),
                _ => max = self.reader.number(value, &trail, key.shape).map(|number| number as u32),
            }
        }
        Some(Repeat { until, max: max? })
    }

    /// Reads `stop`, `continue` or `{ run: step }`. Returns the name of that step.
    fn on_error(&mut self, node: &Node<'_>, trail: &Trail<'_>, step: &mut StepDef) -> Option<(String, Place)> {
        if let Content::Scalar { .. } = node.content {
            if self.reader.one_of(node, trail, &["stop", "continue"]) == Some(1) {
                step.on_error = OnError::Continue;
            }
            return None;
        }
        let (key, value) = self.reader.table(node, trail, &keys::ON_ERROR).into_iter().next()?;
        let text = self.reader.text(value, &trail.then(key.name))?;
        Some((text.to_owned(), value.place))
    }

    /// Reads the independent fields.
    fn setting(&mut self, key: &Key, node: &Node<'_>, trail: &Trail<'_>, step: &mut StepDef) {
        match (key.name, key.shape) {
            ("description", _) => {
                self.reader.text(node, trail);
            }
            ("run_if", Shape::OneOf(words)) => {
                let known = [RunIf::Success, RunIf::Failure, RunIf::Always, RunIf::AnySuccess];
                let found = self.reader.one_of(node, trail, words);
                step.run_if = found.and_then(|at| known.get(at).copied()).unwrap_or_default();
            }
            ("priority", shape) => {
                let number = self.reader.number(node, trail, shape);
                step.priority = number.map_or(step.priority, |number| number as i32);
            }
            ("first", shape) => step.first = self.reader.number(node, trail, shape).map(|number| number as u32),
            ("ends_run", _) => step.ends_run = self.reader.flag(node, trail).unwrap_or(false),
            ("queue", _) => step.queue = self.reader.name(node, trail),
            ("requires", _) => step.requires = self.requires(node, trail),
            ("timeout", _) => step.timeout = self.reader.duration(node, trail),
            ("deadline", _) => step.deadline = self.reader.duration(node, trail),
            ("retry", _) => {
                let base = step.retry.take().unwrap_or_default();
                step.retry = Some(self.retry(node, trail, base));
            }
            ("cache", _) => {
                step.cache = match node.kind() {
                    "true or false" => {
                        self.reader.flag(node, trail).filter(|wanted| *wanted).map(|_| Cache { max_age: None })
                    }
                    _ => self.reader.duration(node, trail).map(|age| Cache { max_age: Some(age) }),
                };
            }
            _ => {}
        }
    }
}
