//! `goal_tracker`: keeps the goals of a tenant.

use std::sync::Arc;

use kapelle_core::{
    Category, TaskError, TenantId,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
    yaml::Table,
};
use kapelle_store::MemoRow;
use kapelle_workers::{
    configured::{Fault, Given},
    schema::{Schema, object},
};
use serde_json::{Value, json};

use crate::{
    app::App,
    goals::{GOALS, GOALS_MAX, Goal, Measure, STATES, schema},
    memos::{delete, failed, key_of, put},
    own_kind::OwnKind,
    reach::Home,
};

static SETTINGS: Table =
    Table { name: "goal_tracker_settings", about: "The settings of `kind: goal_tracker`.", required: &[], keys: &[] };

/// Makes the kind `goal_tracker`.
pub(crate) fn kind(home: Home) -> OwnKind {
    OwnKind { name: "goal_tracker", settings: &SETTINGS, make, home }
}

fn make(given: Given, home: Home) -> Result<Arc<dyn Worker>, Vec<Fault>> {
    let mut spec = given.spec;
    let input = Schema::compile(&input_schema());
    let input = input.map_err(|error| vec![Fault::of("goal", error, "report this fault of Kapelle")])?;
    if spec.description.is_empty() {
        "Keep goals, and record progress by hand".clone_into(&mut spec.description);
    }
    spec.input = Some(input_schema());
    let goal = object(
        &["name", "goal"],
        json!({ "name": { "type": "string" }, "goal": { "type": "object" }, "state": { "type": ["object", "null"] } }),
    );
    let changed = json!({ "type": "boolean" });
    spec.output = Some(object(&["goals"], json!({ "goals": { "type": "array", "items": goal }, "changed": changed })));
    Ok(Arc::new(TrackerWorker { spec, input, home }))
}

fn input_schema() -> Value {
    object(
        &["operation"],
        json!({
            "operation": { "enum": ["set", "record", "list", "show", "remove"] },
            "name": { "type": "string", "description": "The goal, except for list" },
            "goal": schema(),
            "value": { "type": "number", "description": "record: the value now" },
        }),
    )
}

struct TrackerWorker {
    spec: WorkerSpec,
    input: Schema,
    home: Home,
}

fn invalid(message: impl Into<String>) -> TaskError {
    TaskError::new(Category::InvalidInput, message).permanent()
}

impl TrackerWorker {
    async fn run(&self, ctx: &TaskContext, input: Value) -> Result<Value, TaskError> {
        let input = self.input.admit(input)?;
        let absent = "no server works in this process; submit the task to a server, or run it with `kapelle submit`";
        let app = self.home.app().await.ok_or_else(|| TaskError::new(Category::Unavailable, absent).permanent())?;
        let operation = input["operation"].as_str().unwrap_or_default();
        if operation == "list" {
            let rows = app.memos(ctx.tenant, GOALS, GOALS_MAX).await.map_err(|error| failed(&error))?;
            let states = app.memos(ctx.tenant, STATES, GOALS_MAX).await.map_err(|error| failed(&error))?;
            let state = |row: &MemoRow| states.iter().find(|state| state.key == row.key);
            return Ok(json!({ "goals": rows.iter().map(|row| shown(row, state(row))).collect::<Vec<_>>() }));
        }
        let name = key_of("name", &input)?;
        let old = app.memo(ctx.tenant, GOALS, name).await.map_err(|error| failed(&error))?;
        let changed = match (operation, &old) {
            ("set", _) => self.set(&app, ctx, (name, &input["goal"]), old.as_ref()).await?,
            ("show" | "record", None) => {
                return Err(invalid(format!("name: there is no goal `{name}`; `list` shows the goals")));
            }
            ("record", Some(row)) => self.record(&app, (name, &input["value"]), row).await?,
            ("remove", Some(row)) => {
                let state = app.memo(ctx.tenant, STATES, name).await.map_err(|error| failed(&error))?;
                keep(&app, [Some(row), state.as_ref()].into_iter().flatten().map(delete).collect()).await?
            }
            _ => false,
        };
        self.answer(&app, ctx.tenant, name, changed).await
    }

    async fn set(
        &self,
        app: &Arc<App>,
        ctx: &TaskContext,
        (name, goal): (&str, &Value),
        old: Option<&MemoRow>,
    ) -> Result<bool, TaskError> {
        if goal.is_null() {
            return Err(invalid("goal: set needs the goal; add `goal`"));
        }
        let read = Goal::read(goal).map_err(invalid)?;
        if old.is_none() {
            let known = app.memos(ctx.tenant, GOALS, GOALS_MAX).await.map_err(|error| failed(&error))?.len();
            if known >= GOALS_MAX {
                return Err(invalid(format!("name: there are {GOALS_MAX} goals already; remove one first")));
            }
        }
        let mut value = json!({ "goal": goal, "source": { "task": ctx.task, "run": ctx.run, "step": ctx.step } });
        let before: Option<Value> = old.and_then(|row| serde_json::from_str(&row.value).ok());
        if let Some(recorded) = before.filter(|_| read.measure == Measure::Recorded) {
            value["recorded"] = recorded["recorded"].clone();
        }
        keep(app, vec![put((ctx.tenant, GOALS, name), &value, old.map(|row| row.revision), app.now())?]).await
    }

    async fn record(&self, app: &Arc<App>, (name, value): (&str, &Value), row: &MemoRow) -> Result<bool, TaskError> {
        let mut kept: Value = serde_json::from_str(&row.value).unwrap_or_default();
        if Goal::read(&kept["goal"]).is_ok_and(|goal| goal.measure != Measure::Recorded) {
            return Err(invalid(format!(
                "name: `{name}` is measured; only a goal with `measure: {{ recorded: {{}} }}` is recorded"
            )));
        }
        if value.is_null() {
            return Err(invalid("value: record needs the value now; add `value`"));
        }
        kept["recorded"] = value.clone();
        keep(app, vec![put((row.tenant, GOALS, name), &kept, Some(row.revision), app.now())?]).await
    }

    async fn answer(&self, app: &Arc<App>, tenant: TenantId, name: &str, changed: bool) -> Result<Value, TaskError> {
        let row = app.memo(tenant, GOALS, name).await.map_err(|error| failed(&error))?;
        let state = app.memo(tenant, STATES, name).await.map_err(|error| failed(&error))?;
        let goals: Vec<Value> = row.iter().map(|row| shown(row, state.as_ref())).collect();
        Ok(json!({ "goals": goals, "changed": changed }))
    }
}

async fn keep(app: &Arc<App>, writes: Vec<kapelle_store::MemoWrite>) -> Result<bool, TaskError> {
    match app.keep_memos(writes).await.map_err(|error| failed(&error))? {
        true => Ok(true),
        false => Err(TaskError::new(Category::Unavailable, "another task changed the goal at the same time")),
    }
}

fn shown(row: &MemoRow, state: Option<&MemoRow>) -> Value {
    let parsed = |row: &MemoRow| serde_json::from_str::<Value>(&row.value).unwrap_or_default();
    json!({ "name": &*row.key, "goal": parsed(row)["goal"], "state": state.map(parsed) })
}

impl Worker for TrackerWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move { self.run(ctx, input).await.map(Output::plain) })
    }
}
