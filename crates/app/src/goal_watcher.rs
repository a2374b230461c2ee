//! `goal_watcher`: measures the goals of a tenant, and records when one is breached or met again.

use std::{sync::Arc, time::Duration};

use kapelle_api as api;
use kapelle_core::{
    Category, TaskError, TaskId,
    worker::{BoxFuture, Effect, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_engine::command;
use kapelle_store::MemoRow;
use kapelle_workers::{
    configured::{Fault, Given},
    schema::{Schema, object},
};
use serde_json::{Value, json};

use crate::{
    app::App,
    caller::Caller,
    goals::{GOALS, GOALS_MAX, Goal, Measure, STATES, Standing, number_at},
    memos::{failed, put},
    own_kind::OwnKind,
    reach::Home,
    to_api,
};

static SETTINGS: Table = Table {
    name: "goal_watcher_settings",
    about: "The settings of `kind: goal_watcher`.",
    required: &[],
    keys: &[key("wait", Shape::Duration, "The time for the answer of a worker that measures; default 1m.")],
};

/// Tasks or runs that are counted for one goal.
const COUNTED_MAX: usize = 10_000;
/// Rows that are read at a time.
const PAGE: u32 = 500;

/// Makes the kind `goal_watcher`.
pub(crate) fn kind(home: Home) -> OwnKind {
    OwnKind { name: "goal_watcher", settings: &SETTINGS, make, home }
}

fn make(given: Given, home: Home) -> Result<Arc<dyn Worker>, Vec<Fault>> {
    let Given { mut spec, settings, .. } = given;
    let input = Schema::compile(&input_schema());
    let input = input.map_err(|error| vec![Fault::of("wait", error, "report this fault of Kapelle")])?;
    if spec.description.is_empty() {
        "Measure the goals, and record what is breached".clone_into(&mut spec.description);
    }
    spec.input = Some(input_schema());
    spec.output = Some(output_schema());
    spec.effects = vec![Effect::Tasks];
    let wait = settings["wait"].as_str().and_then(|text| kapelle_core::DurationMs::parse(text).ok());
    let wait = Duration::from_millis(wait.map_or(60_000, |time| time.0));
    Ok(Arc::new(WatcherWorker { spec, input, wait, home }))
}

fn input_schema() -> Value {
    object(
        &[],
        json!({
            "goals": { "type": "array", "items": { "type": "string" }, "description": "Default all" },
            "fail": { "type": "boolean", "default": false, "description": "Fail the task when a goal is breached" },
        }),
    )
}

fn output_schema() -> Value {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": ["number", "null"] }));
    let goal = object(
        &["name", "state", "value", "wanted"],
        json!({
            "name": text, "state": { "enum": ["met", "pending", "breached", "unknown"] },
            "value": number, "wanted": text, "progress": number, "reason": { "type": ["string", "null"] },
            "since": text, "changed": { "type": "boolean" },
        }),
    );
    let count = json!({ "type": "integer" });
    object(
        &["goals", "breached"],
        json!({ "goals": { "type": "array", "items": goal }, "breached": count, "changed": count }),
    )
}

struct WatcherWorker {
    spec: WorkerSpec,
    input: Schema,
    wait: Duration,
    home: Home,
}

/// One look at a tenant's goals.
struct Look<'a> {
    app: &'a Arc<App>,
    by: Caller,
    task: &'a str,
    now_ms: i64,
}

impl WatcherWorker {
    async fn run(&self, ctx: &TaskContext, input: Value) -> Result<Value, TaskError> {
        let input = self.input.admit(input)?;
        let absent = "no server works in this process; submit the task to a server, or run it with `kapelle submit`";
        let app = self.home.app().await.ok_or_else(|| TaskError::new(Category::Unavailable, absent).permanent())?;
        let mut rows = app.memos(ctx.tenant, GOALS, GOALS_MAX).await.map_err(|error| failed(&error))?;
        if let Some(wanted) = input["goals"].as_array() {
            if let Some(missing) = wanted.iter().find(|name| !rows.iter().any(|row| **name == *row.key)) {
                let message = format!("goals: there is no goal {missing}; `list` of goal_tracker shows the goals");
                return Err(TaskError::new(Category::InvalidInput, message).permanent());
            }
            rows.retain(|row| wanted.iter().any(|name| *name == *row.key));
        }
        let by = Caller { tenant: ctx.tenant, ..Caller::owner("library") };
        let look = Look { app: &app, by, task: &ctx.task, now_ms: app.now().0 };
        let mut goals = Vec::new();
        for row in &rows {
            if ctx.cancel.is_raised() {
                return Err(TaskError::new(Category::Cancelled, "the task was cancelled"));
            }
            goals.push(self.watch(&look, row).await?);
        }
        let is = |goal: &&Value, state: Standing| goal["state"] == state.as_str();
        let breached: Vec<&str> =
            goals.iter().filter(|goal| is(goal, Standing::Breached)).filter_map(|goal| goal["name"].as_str()).collect();
        if input["fail"] == true && !breached.is_empty() {
            let message = format!("breached: {}; a task without `fail` shows the values", breached.join(", "));
            return Err(TaskError::new(Category::Unavailable, message).permanent());
        }
        let (breached, changed) = (breached.len(), goals.iter().filter(|goal| goal["changed"] == true).count());
        Ok(json!({ "goals": goals, "breached": breached, "changed": changed }))
    }

    /// Measures one goal and keeps its state. A change to breached, or from it to met, is an act in the same commit.
    async fn watch(&self, look: &Look<'_>, row: &MemoRow) -> Result<Value, TaskError> {
        let kept: Value = serde_json::from_str(&row.value).unwrap_or_default();
        let (name, tenant) = (&*row.key, row.tenant);
        let goal =
            Goal::read(&kept["goal"]).map_err(|why| TaskError::new(Category::Internal, format!("{name}: {why}")))?;
        let (value, reason) = match self.measure(look, name, &goal.measure, &kept).await {
            Ok(value) => (Some(value), None),
            Err(why) => (None, Some(why)),
        };
        let standing = goal.standing(value, look.now_ms);
        let old = look.app.memo(tenant, STATES, name).await.map_err(|error| failed(&error))?;
        let before: Value = old.as_ref().and_then(|row| serde_json::from_str(&row.value).ok()).unwrap_or_default();
        let changed = before["state"] != standing.as_str();
        let now = to_api::time(look.app.now());
        let since = before["since"].as_str().filter(|_| !changed).unwrap_or(&now);
        let state = json!({
            "state": standing.as_str(), "value": value, "wanted": goal.wanted(), "since": since, "at": now,
            "progress": value.and_then(|value| goal.progress(value)), "reason": reason, "task": look.task,
        });
        let write = put((tenant, STATES, name), &state, old.map(|row| row.revision), look.app.now())?;
        let keep = command::KeepMemos { writes: [write].into() };
        let shown = value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
        let resource = format!("{name}: {shown}, wanted {}", goal.wanted());
        let action = match (before["state"].as_str(), standing) {
            (_, Standing::Breached) if changed => Some("goal.breach"),
            (Some("breached"), Standing::Met) => Some("goal.meet"),
            _ => None,
        };
        let done = match action {
            Some(action) => look.app.act_as((tenant, self.spec.name.as_str()), action, &resource, keep).await,
            None => look.app.engine.ask(keep).await.map_err(Into::into),
        };
        if !done.map_err(|error| failed(&error))? {
            return Err(TaskError::new(Category::Unavailable, "another task watched the goal at the same time"));
        }
        if let Some(action) = action {
            look.app.note(
                &json!({ "event": action.replace('.', "_"), "goal": name, "what": resource, "tenant": tenant.0 }),
            );
        }
        let mut output = json!({ "name": name, "changed": changed });
        for field in ["state", "value", "wanted", "progress", "reason", "since"] {
            output[field] = state[field].clone();
        }
        Ok(output)
    }

    async fn measure(&self, look: &Look<'_>, name: &str, measure: &Measure, kept: &Value) -> Result<f64, String> {
        match measure {
            Measure::Recorded => {
                kept["recorded"].as_f64().ok_or_else(|| "nothing was recorded; record a value".to_owned())
            }
            Measure::Tasks { worker, queue, state, window_ms } => {
                let since = Some(look.before(*window_ms));
                let (worker, queue, state) = (worker.clone(), queue.clone(), state.clone());
                let query =
                    api::TaskQuery { worker, queue, state, since, steps: Some(true), ..api::TaskQuery::default() };
                look.count_tasks(query).await
            }
            Measure::Runs { workflow, state, window_ms } => {
                let (since, workflow, state) = (Some(look.before(*window_ms)), workflow.clone(), state.clone());
                look.count_runs(api::RunQuery { workflow, state, since, ..api::RunQuery::default() }).await
            }
            Measure::Cost { worker, model, window_ms } => {
                let (from, worker, model) = (Some(look.before(*window_ms)), worker.clone(), model.clone());
                let query = api::CostQuery { from, worker, model, limit: Some(1), ..api::CostQuery::default() };
                let report = look.app.cost(&look.by, query).await.map_err(|error| error.message)?;
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "dollars with nine digits after the point are for people"
                )]
                Ok(report.total.cost_nanousd as f64 / 1e9)
            }
            Measure::Answer { worker, input, field } => {
                let output = self.ask(look, name, worker, input).await?;
                number_at(&output, field).ok_or_else(|| format!("the output of {worker} has no number `{field}`"))
            }
        }
    }

    /// Asks a worker for the value. A further attempt finds the task that an earlier one submitted.
    async fn ask(&self, look: &Look<'_>, name: &str, worker: &str, input: &Value) -> Result<Value, String> {
        if worker == self.spec.name.as_str() {
            return Err("a goal cannot be measured by its own watcher".to_owned());
        }
        let given = api::SubmitTask { worker: worker.to_owned(), input: input.clone(), ..api::SubmitTask::default() };
        let key = format!("goal_watcher/{}/{name}", look.task);
        let id: TaskId = look.app.submit_task(&look.by, given, Some(&key)).await.map_err(|error| error.message)?;
        let (task, _) = look.app.task(&look.by, id, Some(self.wait)).await.map_err(|error| error.message)?;
        match (task.state, task.output) {
            (api::TaskState::Succeeded, Some(output)) => {
                serde_json::from_str(output.get()).map_err(|error| error.to_string())
            }
            (state, _) => Err(format!("{id} of {worker} is {state}")),
        }
    }
}

impl Look<'_> {
    fn before(&self, window_ms: i64) -> String {
        to_api::time(kapelle_core::Timestamp(self.now_ms.saturating_sub(window_ms)))
    }

    async fn count_tasks(&self, mut query: api::TaskQuery) -> Result<f64, String> {
        query.limit = Some(PAGE);
        let mut count = 0;
        loop {
            let page = self.app.tasks(&self.by, query.clone()).await.map_err(|error| error.message)?;
            count += page.tasks.len();
            query.cursor = page.next_cursor;
            if query.cursor.is_none() || count >= COUNTED_MAX {
                return Ok(counted(count));
            }
        }
    }

    async fn count_runs(&self, mut query: api::RunQuery) -> Result<f64, String> {
        query.limit = Some(PAGE);
        let mut count = 0;
        loop {
            let page = self.app.runs(&self.by, query.clone()).await.map_err(|error| error.message)?;
            count += page.runs.len();
            query.cursor = page.next_cursor;
            if query.cursor.is_none() || count >= COUNTED_MAX {
                return Ok(counted(count));
            }
        }
    }
}

fn counted(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

impl Worker for WatcherWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move { self.run(ctx, input).await.map(Output::plain) })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Parts;

    /// A worker that answers with its input.
    struct Echo(WorkerSpec);

    impl Worker for Echo {
        fn spec(&self) -> &WorkerSpec {
            &self.0
        }

        fn execute<'a>(&'a self, _: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
            Box::pin(std::future::ready(Ok(Output::plain(input))))
        }
    }

    async fn start(folder: &Path) -> Arc<App> {
        std::fs::create_dir_all(folder.join("workers")).unwrap();
        for kind in ["goal_tracker", "goal_watcher"] {
            std::fs::write(folder.join(format!("workers/{kind}.yaml")), format!("kind: {kind}\nname: {kind}\n"))
                .unwrap();
        }
        let workers = vec![folder.join("workers")];
        let app = crate::open(Parts { workers, ..Parts::of(&folder.join("state")) }).await.unwrap();
        assert!(app.problems.is_empty(), "{:?}", app.problems);
        app.engine().registry().insert(Arc::new(Echo(WorkerSpec::named("echo"))));
        app.engine().workers_changed();
        app
    }

    async fn ask(app: &Arc<App>, worker: &str, input: Value) -> Result<Value, String> {
        let by = Caller::owner("folder");
        let given = api::SubmitTask { worker: worker.to_owned(), input, ..api::SubmitTask::default() };
        let id = app.submit_task(&by, given, None).await.map_err(|error| error.message)?;
        loop {
            let (task, _) = app.task(&by, id, Some(Duration::from_secs(1))).await.unwrap();
            if task.state.is_ended() {
                let output = task.output.map(|output| serde_json::from_str(output.get()).unwrap());
                return output.ok_or_else(|| task.error.map(|error| error.message).unwrap_or_default());
            }
        }
    }

    async fn set(app: &Arc<App>, name: &str, goal: Value) {
        ask(app, "goal_tracker", json!({ "operation": "set", "name": name, "goal": goal })).await.unwrap();
    }

    async fn state(app: &Arc<App>, name: &str) -> (String, Value) {
        let output = ask(app, "goal_watcher", json!({ "goals": [name] })).await.unwrap();
        (output["goals"][0]["state"].as_str().unwrap().to_owned(), output["goals"][0]["value"].clone())
    }

    async fn acts(app: &Arc<App>) -> Vec<String> {
        let page = app.audit(&Caller::owner("folder"), api::AuditQuery::default()).await.unwrap();
        page.entries.into_iter().rev().map(|act| format!("{} {} {}", act.actor, act.action, act.resource)).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn goals_are_measured_and_a_breach_is_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let app = start(folder.path()).await;
        set(&app, "echoes", json!({ "measure": { "tasks": { "worker": "echo" } }, "at_most": 2 })).await;
        set(&app, "score", json!({ "measure": { "answer": { "worker": "echo", "input": { "a": { "b": 7 } }, "field": "a.b" } }, "at_least": 8 })).await;
        set(&app, "money", json!({ "measure": { "cost": { "within": "1h" } }, "at_most": 1 })).await;
        set(&app, "runs", json!({ "measure": { "runs": {} }, "at_least": 1, "due": "2999-01-01T00:00:00Z" })).await;
        assert_eq!(state(&app, "echoes").await, ("met".to_owned(), json!(0.0)));
        assert_eq!(state(&app, "money").await, ("met".to_owned(), json!(0.0)));
        assert_eq!(state(&app, "runs").await, ("pending".to_owned(), json!(0.0)));
        // Each look at the score has the worker answer once.
        for _ in 0..3 {
            assert_eq!(state(&app, "score").await, ("breached".to_owned(), json!(7.0)));
        }
        assert_eq!(state(&app, "echoes").await, ("breached".to_owned(), json!(3.0)));
        let breaches = [
            "goal_watcher goal.breach score: 7, wanted at least 8",
            "goal_watcher goal.breach echoes: 3, wanted at most 2",
        ];
        assert_eq!(acts(&app).await, breaches);
        let error = ask(&app, "goal_watcher", json!({ "fail": true })).await.unwrap_err();
        assert_eq!(error, "breached: echoes, score; a task without `fail` shows the values");
        app.close().await;
        drop(app);
        // The state outlives a restart, so that the breach is not recorded again.
        let app = start(folder.path()).await;
        set(&app, "score", json!({ "measure": { "answer": { "worker": "echo", "input": { "a": { "b": 7 } }, "field": "a.b" } }, "at_least": 7 })).await;
        assert_eq!(state(&app, "echoes").await.0, "breached");
        assert_eq!(state(&app, "score").await.0, "met");
        assert_eq!(acts(&app).await[2..], ["goal_watcher goal.meet score: 7, wanted at least 7"]);
        app.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn values_are_recorded_by_hand_and_bad_input_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let app = start(folder.path()).await;
        set(&app, "visits", json!({ "measure": { "recorded": {} }, "at_least": 10 })).await;
        let output = ask(&app, "goal_watcher", json!({})).await.unwrap();
        assert_eq!(
            (&output["goals"][0]["state"], &output["goals"][0]["reason"]),
            (&json!("unknown"), &json!("nothing was recorded; record a value"))
        );
        ask(&app, "goal_tracker", json!({ "operation": "record", "name": "visits", "value": 4 })).await.unwrap();
        let output = ask(&app, "goal_watcher", json!({})).await.unwrap();
        assert_eq!((&output["goals"][0]["progress"], &output["breached"]), (&json!(0.4), &json!(1)));
        let listed = ask(&app, "goal_tracker", json!({ "operation": "list" })).await.unwrap();
        assert_eq!(listed["goals"][0]["state"]["value"], 4.0);
        set(&app, "gone", json!({ "measure": { "answer": { "worker": "absent", "field": "x" } }, "at_least": 1 }))
            .await;
        let output = ask(&app, "goal_watcher", json!({ "goals": ["gone"] })).await.unwrap();
        assert_eq!(output["goals"][0]["state"], "unknown");
        assert!(output["goals"][0]["reason"].as_str().unwrap().contains("absent"), "{output}");
        for (worker, input, part) in [
            ("goal_tracker", json!({ "operation": "set", "name": "x" }), "goal: set needs the goal"),
            (
                "goal_tracker",
                json!({ "operation": "set", "name": "x", "goal": { "measure": { "cost": {} } } }),
                "exactly one of",
            ),
            ("goal_tracker", json!({ "operation": "show", "name": "x" }), "name: there is no goal `x`"),
            ("goal_tracker", json!({ "operation": "record", "name": "gone", "value": 1 }), "name: `gone` is measured"),
            ("goal_tracker", json!({ "operation": "record", "name": "visits" }), "value: record needs"),
            ("goal_tracker", json!({ "operation": "show", "name": "a\nb" }), "name: write a text"),
            ("goal_watcher", json!({ "goals": ["x"] }), "goals: there is no goal \"x\""),
        ] {
            let error = ask(&app, worker, input.clone()).await.unwrap_err();
            assert!(error.contains(part), "{input}: {error}");
        }
        let removed = ask(&app, "goal_tracker", json!({ "operation": "remove", "name": "visits" })).await.unwrap();
        assert_eq!((&removed["changed"], &removed["goals"]), (&json!(true), &json!([])));
        app.close().await;
    }
}
