//! Values that expressions read.

use std::collections::HashMap;

use kapelle_core::{
    Category, DurationMs, TaskError,
    expr::{Context, ExprError, Expression, Shared, Template},
};
use serde_json::{Value as Json, json};

use super::{
    model::{Kind, NodeAt, Outer, Phase, ScopeAt, Seen, Verdict},
    run::{Reference, error_value},
};

impl Reference {
    /// Tells whether a condition holds at a node. After a turn its loop reads the turn's steps, or the turn itself.
    pub(super) fn holds(
        &self,
        condition: &Expression,
        field: &str,
        at: NodeAt,
        turn: Option<NodeAt>,
    ) -> Result<bool, TaskError> {
        let context = self.context(Some(at), self.nodes[at].scope, turn)?;
        condition.eval_bool(&context).map_err(|error| invalid(field, &error))
    }

    pub(super) fn rendered(&self, tree: &Template, field: &str, at: NodeAt) -> Result<Json, TaskError> {
        let context = self.context(Some(at), self.nodes[at].scope, None)?;
        tree.render(&context).map_err(|error| invalid(field, &error))
    }

    /// Returns the list of a `for_each`.
    pub(super) fn items(&self, at: NodeAt) -> Result<Vec<Json>, TaskError> {
        let definition = std::sync::Arc::clone(&self.definition);
        let (block, step) = self.nodes[at].step;
        let Some(each) = &definition.step(block, step).for_each else { return Ok(Vec::new()) };
        match self.rendered(&each.list, "for_each", at)? {
            Json::Array(items) => Ok(items),
            other => {
                let kind = match other {
                    Json::Null => "nothing",
                    Json::Bool(_) => "true or false",
                    Json::Number(_) => "a number",
                    Json::String(_) => "text",
                    _ => "a map",
                };
                Err(TaskError::new(Category::InvalidInput, format!("`for_each` needs a list, and this is {kind}")))
            }
        }
    }

    /// Returns the duration of a computed timer in milliseconds.
    pub(super) fn span(&self, expression: &Expression, at: NodeAt) -> Result<i64, TaskError> {
        let context = self.context(Some(at), self.nodes[at].scope, None)?;
        let value = expression.eval(&context).map_err(|error| invalid("wait.timer", &error))?;
        let text = value.as_str().and_then(|text| DurationMs::parse(text).ok()).map(|span| span.0 as i64);
        let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0).map(|seconds| (seconds * 1e3).round() as i64);
        let wrong = || TaskError::new(Category::InvalidInput, format!("`wait.timer` is not a duration: {value}"));
        text.or(seconds).ok_or_else(wrong)
    }

    /// Returns the outputs of the run, or its error.
    pub(super) fn outputs(&self) -> Verdict {
        let Some(outputs) = &self.definition.outputs else { return Verdict::Succeeded(Json::Null) };
        let context = match self.context(None, 0, None) {
            Ok(context) => context,
            Err(error) => return Verdict::Failed(error),
        };
        match outputs.render(&context) {
            Ok(value) => Verdict::Succeeded(value),
            Err(error) => {
                let field = error.field.as_deref().filter(|field| !field.is_empty());
                let field = field.map(|field| format!("`outputs.{field}`"));
                Verdict::Failed(invalid("outputs", &ExprError { field, ..error }))
            }
        }
    }

    fn context(&self, at: Option<NodeAt>, scope: ScopeAt, turn: Option<NodeAt>) -> Result<Context, TaskError> {
        let run = json!({ "id": "", "started_at_ms": 0 });
        let mut context = Context::new().with("inputs", Shared::from_json(&self.inputs));
        context = context.with("run", Shared::from_json(&run));
        let vars = self.definition.vars.render(&context).map_err(|error| invalid("vars", &error))?;
        context = context.with("vars", Shared::from_json(&vars));
        let mut steps: HashMap<String, Json> = HashMap::new();
        if let Some(turn) = turn {
            match self.nodes[turn].inner.filter(|inner| matches!(self.scopes[*inner].kind, Kind::Block(_))) {
                Some(inner) if self.is_plain_block(turn) => self.note_steps(inner, &mut steps),
                _ => {
                    steps.insert(self.step_of(turn).name.to_string(), fields(&self.nodes[turn].seen));
                }
            }
        }
        // The nearest step of that name is meant.
        let mut level = Some(scope);
        while let Some(scope) = level {
            self.note_steps(scope, &mut steps);
            level = self.scopes[scope].parent.map(|parent| self.nodes[parent].scope);
        }
        self.note_steps(0, &mut steps);
        let steps = steps.into_iter().map(|(name, value)| (name, Shared::from_json(&value)));
        context = context.with("steps", Shared::map(steps));
        Ok(self.surroundings(context, at, scope))
    }

    /// Adds `item`, `index` and `error` from the nearest node that has them.
    fn surroundings(&self, mut context: Context, at: Option<NodeAt>, scope: ScopeAt) -> Context {
        let mut level = at;
        let (mut item, mut error) = (None, None);
        while let Some(at) = level {
            let node = &self.nodes[at];
            item = item.or(node.item.as_ref());
            error = error.or_else(|| {
                let failed = &self.nodes[node.handles?].seen;
                Some(error_value(failed.error.as_ref()?))
            });
            level = self.scopes[node.scope].parent;
        }
        if self.scopes[scope].outer == Outer::OnError {
            // It is reported as at the run's end.
            let failure = self.fast.or(self.scopes[0].failed_by).map(|by| self.blamed(by));
            error = error.or_else(|| failure.as_ref().map(error_value));
        }
        if let Some((value, index)) = item {
            context = context.with("item", Shared::from_json(value)).with("index", Shared::from_json(&json!(index)));
        }
        match error {
            Some(error) => context.with("error", Shared::from_json(&error)),
            None => context,
        }
    }

    /// Tells whether a loop reads the steps of its turns, as it does when they are a plain block.
    fn is_plain_block(&self, turn: NodeAt) -> bool {
        matches!(self.step_of(turn).action, kapelle_core::definition::Action::Steps(_))
    }

    fn note_steps(&self, scope: ScopeAt, steps: &mut HashMap<String, Json>) {
        if !matches!(self.scopes[scope].kind, Kind::Block(_)) {
            return;
        }
        for at in &self.scopes[scope].nodes {
            let name = self.step_of(*at).name.to_string();
            steps.entry(name).or_insert_with(|| fields(&self.nodes[*at].seen));
        }
    }
}

fn fields(seen: &Seen) -> Json {
    let error = seen.error.as_ref().map(|error| error.message.clone());
    json!({ "output": seen.output, "state": word(seen.phase), "error": error })
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::Open => "running",
        Phase::Succeeded => "succeeded",
        Phase::Failed | Phase::Tolerated | Phase::Handling => "failed",
        Phase::Cancelled => "cancelled",
        Phase::Skipped => "skipped",
    }
}

fn invalid(field: &str, error: &ExprError) -> TaskError {
    TaskError::new(Category::InvalidInput, format!("`{field}` cannot be evaluated: {error}"))
}
