//! The end of a run: its outputs, and the runs that its end starts.

use std::sync::Arc;

use kapelle_core::{
    Name, TaskError,
    definition::{Definition, OnCompleted},
    expr::{Context, Shared},
    run::StatusKind,
};
use serde_json::{Value, json};

use super::{
    evaluation::{Evaluated, Evaluation, invalid, keep},
    sight::error_value,
    value::Resolve,
};
use crate::turn::NewPayload;

/// A run that another's end starts: the workflow, and its inputs or why it cannot be started.
pub type Start = (Name, Result<NewPayload, Arc<TaskError>>);

/// How a run ends.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub status: StatusKind,
    pub error: Option<Arc<TaskError>>,
    /// The workflows that want to be started by it.
    pub triggers: Vec<Arc<Definition>>,
}

impl Ending {
    pub fn evaluate(&self, whole: &Evaluation, resolve: &dyn Resolve) -> Option<Evaluated> {
        let outputs = match self.outputs(whole, resolve)? {
            Ok(outputs) => outputs,
            Err(error) => {
                let failed = Ending { status: StatusKind::Failed, error: Some(error), triggers: self.triggers.clone() };
                return failed.end(whole, resolve, &Value::Null);
            }
        };
        self.end(whole, resolve, &outputs)
    }

    fn outputs(&self, whole: &Evaluation, resolve: &dyn Resolve) -> Option<Result<Value, Arc<TaskError>>> {
        let outputs = whole.definition.outputs.as_ref().filter(|_| self.status == StatusKind::Succeeded);
        let Some(outputs) = outputs else { return Some(Ok(Value::Null)) };
        let rendered = match whole.context(resolve)? {
            Ok(context) => outputs.render(&context).map_err(|error| Arc::new(invalid("outputs", &error))),
            Err(error) => Err(Arc::new(error)),
        };
        Some(rendered)
    }

    fn end(&self, whole: &Evaluation, resolve: &dyn Resolve, outputs: &Value) -> Option<Evaluated> {
        let kept = match (&self.error, self.status) {
            (None, StatusKind::Succeeded) => keep(resolve, outputs)?.map_err(Arc::new),
            (Some(error), StatusKind::Failed) => Err(Arc::clone(error)),
            _ => Ok(NewPayload::None),
        };
        let mut starts = Vec::new();
        let status = if kept.is_err() { StatusKind::Failed } else { self.status };
        for definition in &self.triggers {
            let Some(completed) = &definition.on_completed else { continue };
            if completed.status.is_some_and(|wanted| wanted != status) {
                continue;
            }
            let context = match self.context(whole, resolve, outputs)? {
                Ok(context) => context,
                Err(error) => {
                    starts.push((definition.name.clone(), Err(Arc::new(error))));
                    continue;
                }
            };
            if let Some(inputs) = inputs(&definition.name, completed, &context, resolve)? {
                starts.push((definition.name.clone(), inputs.map_err(Arc::new)));
            }
        }
        Some(Evaluated::Ended { status: self.status, outputs: kept, starts })
    }

    /// What `on: { completed: … }` can see.
    fn context(
        &self,
        whole: &Evaluation,
        resolve: &dyn Resolve,
        outputs: &Value,
    ) -> Option<Result<Context, TaskError>> {
        let inputs = match resolve.payload(&whole.inputs)? {
            Ok(inputs) => inputs,
            Err(error) => return Some(Err(error)),
        };
        let text = |text: &str| Shared::from_json(&json!(text));
        let completed = Shared::map([
            ("workflow", text(whole.definition.name.as_str())),
            ("run", text(&whole.run.to_string())),
            ("status", text(self.status.as_str())),
            ("outputs", Shared::from_json(outputs)),
            ("inputs", inputs),
            ("error", self.error.as_ref().map_or_else(Shared::null, |error| error_value(error))),
        ]);
        Some(Ok(Context::new().with("completed", completed)))
    }
}

/// The inputs of the run that is started; none when its condition does not hold.
fn inputs(
    name: &Name,
    completed: &OnCompleted,
    context: &Context,
    resolve: &dyn Resolve,
) -> Option<Option<Result<NewPayload, TaskError>>> {
    match completed.condition.as_ref().map(|condition| condition.eval_bool(context)) {
        Some(Ok(false)) => return Some(None),
        Some(Err(error)) => return Some(Some(Err(invalid("on.completed.if", &error)))),
        _ => {}
    }
    let rendered = completed.with.render(context).map_err(|error| invalid("on.completed.with", &error));
    Some(Some(match rendered {
        Ok(inputs) => match resolve.admit(name, inputs)? {
            Ok(inputs) => keep(resolve, &inputs)?,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }))
}
