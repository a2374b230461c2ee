//! The end of a run: its outputs, and the runs that its end starts.

use std::sync::Arc;

use kapelle_core::{
    Category, Name, TaskError, TenantId,
    definition::{Definition, OnCompleted},
    expr::{Context, ExprError, Shared},
    run::StatusKind,
};
use serde_json::{Value, json};

use super::{
    bindings::error_value,
    evaluation::{Evaluated, Evaluation, invalid, keep},
    value::Resolve,
};
use crate::turn::NewPayload;

/// A run started by another's end: the workflow, and its inputs or the error.
pub type Start = (Name, Result<NewPayload, Arc<TaskError>>);

/// End of a run.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub status: StatusKind,
    pub error: Option<Arc<TaskError>>,
    /// Workflows with a trigger on it.
    pub triggers: Vec<Arc<Definition>>,
}

impl Ending {
    pub fn evaluate(&self, whole: &Evaluation, resolve: &dyn Resolve) -> Option<Evaluated> {
        let outputs = self.outputs(whole, resolve)?;
        let (outputs, kept) = match (outputs, self.status) {
            (Ok(outputs), StatusKind::Succeeded) => match keep(resolve, &outputs)? {
                Ok(kept) => (outputs, Ok(kept)),
                Err(error) => (Value::Null, Err(Arc::new(within(error)))),
            },
            (Err(error), StatusKind::Succeeded) => (Value::Null, Err(error)),
            (_, StatusKind::Failed) => (Value::Null, Err(self.error.clone().unwrap_or_else(unknown))),
            _ => (Value::Null, Ok(NewPayload::None)),
        };
        // Outputs that cannot be evaluated fail the run, and triggers see the failure.
        let told = match &kept {
            Err(error) => Ending { status: StatusKind::Failed, error: Some(Arc::clone(error)), triggers: Vec::new() },
            Ok(_) => Ending { status: self.status, error: None, triggers: Vec::new() },
        };
        let starts = self.starts(&told, whole, resolve, &outputs)?;
        Some(Evaluated::Ended { status: self.status, outputs: kept, starts })
    }

    fn outputs(&self, whole: &Evaluation, resolve: &dyn Resolve) -> Option<Result<Value, Arc<TaskError>>> {
        let outputs = whole.definition.outputs.as_ref().filter(|_| self.status == StatusKind::Succeeded);
        let Some(outputs) = outputs else { return Some(Ok(Value::Null)) };
        let rendered = match whole.context(resolve)? {
            Ok(context) => outputs.render(&context).map_err(|error| Arc::new(unusable(&error))),
            Err(error) => Err(Arc::new(within(error))),
        };
        Some(rendered)
    }

    /// Returns the runs that this end starts.
    fn starts(&self, told: &Ending, whole: &Evaluation, resolve: &dyn Resolve, outputs: &Value) -> Option<Vec<Start>> {
        let mut starts = Vec::new();
        for definition in &self.triggers {
            let Some(completed) = &definition.on_completed else { continue };
            if completed.status.is_some_and(|wanted| wanted != told.status) {
                continue;
            }
            let context = match told.context(whole, resolve, outputs)? {
                Ok(context) => context,
                Err(error) => {
                    starts.push((definition.name.clone(), Err(Arc::new(error))));
                    continue;
                }
            };
            if let Some(inputs) = inputs((whole.tenant, &definition.name), completed, &context, resolve)? {
                starts.push((definition.name.clone(), inputs.map_err(Arc::new)));
            }
        }
        Some(starts)
    }

    /// Returns the names that `on: { completed: … }` can use.
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

/// Makes the error of outputs that cannot be evaluated: "`outputs` cannot be evaluated: `outputs.v`: ...".
fn unusable(error: &ExprError) -> TaskError {
    let place = |field: &str| format!("`outputs{}{field}`", if field.starts_with('[') { "" } else { "." });
    let field = error.field.as_deref().filter(|field| !field.is_empty()).map(place);
    invalid("outputs", &ExprError { field, ..error.clone() })
}

/// Names the output in the error.
fn within(error: TaskError) -> TaskError {
    TaskError { message: format!("`outputs` cannot be evaluated: {}", error.message), ..error }
}

fn unknown() -> Arc<TaskError> {
    Arc::new(TaskError::new(Category::Internal, "a step failed"))
}

/// Returns the inputs of the started run. Returns `None` when its condition is false.
fn inputs(
    (tenant, name): (TenantId, &Name),
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
        Ok(inputs) => match resolve.admit(tenant, name, inputs)? {
            Ok(inputs) => keep(resolve, &inputs)?,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }))
}
