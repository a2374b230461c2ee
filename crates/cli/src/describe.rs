//! Views of runs, steps and tasks in text. Their JSON is that of the interface.

use std::collections::HashMap;

use kapelle::{
    Money,
    core::{
        DurationMs,
        definition::{Definition, StepDef},
    },
};
use kapelle_api::{Api, Paging, Run, Task, TaskState};
use serde_json::{Value, json};

use crate::{
    arrange,
    failure::Failure,
    out::{Tone, paint},
    shown,
};

/// Steps read at a time.
const PAGE: u32 = 1_000;

/// A run with its steps.
pub struct RunView {
    pub run: Run,
    pub steps: Vec<StepView>,
}

/// A step of a run, or a standalone task.
#[derive(Debug, Clone)]
pub struct StepView {
    pub name: String,
    /// `None` for a step that has not begun.
    pub task: Option<Task>,
}

/// Returns the definition of a run's version; `None` when this program cannot read it any more.
pub async fn definition(api: &dyn Api, run: &Run) -> Option<Definition> {
    let version = api.version(&run.workflow, run.version?).await.ok()?;
    Definition::parse(version.source.as_bytes(), &version.version.file).ok()
}

/// Returns every step of a run that has begun or was skipped, in that order.
///
/// # Errors
/// When they cannot be read.
pub async fn all_steps(api: &dyn Api, run: &str) -> Result<Vec<Task>, Failure> {
    let mut steps = Vec::new();
    let mut page = Paging { limit: Some(PAGE), cursor: None };
    loop {
        let read = api.steps(run, page.clone()).await?;
        steps.extend(read.steps);
        match read.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => return Ok(steps),
        }
    }
}

impl RunView {
    /// Reads a run with all of its steps.
    ///
    /// # Errors
    /// When it does not exist, or cannot be read.
    pub async fn load(api: &dyn Api, id: &str) -> Result<RunView, Failure> {
        let run = api.run_details(id).await?;
        let definition = definition(api, &run).await;
        let tasks = all_steps(api, id).await?;
        Ok(RunView::of(run, tasks, definition.as_ref()))
    }

    /// Puts the steps of a run in the order of its definition, with those that have not begun.
    pub fn of(run: Run, tasks: Vec<Task>, definition: Option<&Definition>) -> RunView {
        let root = definition.map(|definition| definition.block(definition.root));
        let own = |step: &&StepDef| !step.is_handler;
        let mut steps: Vec<StepView> = root
            .iter()
            .flat_map(|root| root.steps.iter().filter(own))
            .map(|step| StepView { name: step.name.to_string(), task: None })
            .collect();
        let places: HashMap<String, usize> =
            steps.iter().enumerate().map(|(at, step)| (step.name.clone(), at)).collect();
        let mut inner: Vec<(usize, StepView)> = Vec::new();
        for task in tasks {
            let view = StepView::of(task);
            match places.get(&view.name) {
                Some(place) => steps[*place] = view,
                None => {
                    let place = places.get(arrange::first_step(&view.name)).copied().unwrap_or(steps.len());
                    inner.push((place, view));
                }
            }
        }
        RunView { run, steps: arrange::interleave(steps, inner) }
    }

    /// Formats the run as JSON: the run, and the steps that have begun or were skipped.
    pub fn json(&self) -> Value {
        let mut value = serde_json::to_value(&self.run).unwrap_or_default();
        let steps = self.steps.iter().filter_map(|step| step.task.as_ref());
        value["steps"] = steps.map(|task| json!(task)).collect();
        value
    }

    /// Formats the steps as a table.
    pub fn table(&self) -> String {
        let heading = ["STEP", "STATE", "ATTEMPT", "TIME", "PROVIDER", "COST", "NOTE"];
        shown::table(&heading, self.steps.iter().map(StepView::row).collect())
    }
}

/// Returns the duration of a run for people; empty while it has not ended.
pub fn took(run: &Run) -> String {
    let ended = run.ended_at.as_deref();
    ended.and_then(|ended| shown::between(&run.created_at, ended)).map_or_else(String::new, shown::duration)
}

/// Returns one line for people: `run_1 succeeded in 1.4 s: 5 steps, 2 degraded (no OPENAI_API_KEY)`. It needs the
/// counts of [`Api::run_details`].
pub fn summary(run: &Run) -> String {
    let counts = run.counts.clone().unwrap_or_default();
    let took = Some(took(run)).filter(|took| !took.is_empty()).map_or_else(String::new, |took| format!(" in {took}"));
    let mut parts = vec![shown::count(counts.steps as usize, "step")];
    let of = |state: &str| counts.states.get(state).copied().unwrap_or(0);
    let some = [(of("failed"), "failed"), (of("skipped"), "skipped")];
    parts.extend(some.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")));
    if counts.degraded > 0 {
        let why = counts.degraded_reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
        parts.push(format!("{} degraded{why}", counts.degraded));
    }
    parts.extend(spent(run.cost_nanousd, run.calls, (run.input_tokens, run.output_tokens)));
    let state = run.state.as_str();
    format!("{} {}{took}: {}", run.id, paint(tone(state), state), parts.join(", "))
}

/// Returns what model calls have cost: `$0.0000045, 1 call, 10 + 5 tokens`. `None` without calls.
pub fn spent(cost: u64, calls: u64, (input, output): (u64, u64)) -> Option<String> {
    let calls = (calls > 0).then(|| shown::count(calls as usize, "call"));
    let cost = (cost > 0 || calls.is_some()).then(|| Money(cost).to_string());
    let tokens = (input + output > 0).then(|| format!("{input} + {output} tokens"));
    let parts: Vec<String> = [cost, calls, tokens].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Returns the colour of a state.
pub fn tone(state: &str) -> Tone {
    match state {
        "succeeded" => Tone::Good,
        "failed" => Tone::Bad,
        "cancelled" | "cancelling" | "failing" | "waiting" | "retrying" | "held" | "parked" => Tone::Warn,
        "running" => Tone::Bold,
        _ => Tone::Dim,
    }
}

/// Returns an error as `category: message`.
pub fn error_text(error: &kapelle_api::TaskError) -> String {
    format!("{}: {}", error.category, error.message)
}

impl StepView {
    /// Makes the view of a task, under the path of its step or its own id.
    pub fn of(task: Task) -> StepView {
        StepView { name: task.step.clone().unwrap_or_else(|| task.id.clone()), task: Some(task) }
    }

    /// Returns the state; `pending` for a step that has not begun.
    pub fn state(&self) -> &'static str {
        self.task.as_ref().map_or("pending", |task| task.state.as_str())
    }

    /// Returns the duration of the attempt that succeeded, or of all attempts of a task that failed.
    pub fn duration(&self) -> Option<DurationMs> {
        let task = self.task.as_ref()?;
        let began = match task.state {
            TaskState::Succeeded => task.started_at.as_deref()?,
            TaskState::Failed => &task.created_at,
            _ => return None,
        };
        shown::between(began, task.ended_at.as_deref()?)
    }

    /// Returns what matters to a person besides the state.
    pub fn note(&self) -> String {
        let Some(task) = &self.task else { return String::new() };
        let from = &task.provenance;
        let mut parts = Vec::new();
        parts.extend(from.degraded_reason.as_ref().map(|reason| format!("degraded: {reason}")));
        let marks = [
            (from.stand_in, "answered by a fallback worker"),
            (from.cached, "an earlier answer"),
            (from.recorded, "recorded"),
            (from.truncated, "the input was cut"),
            (task.dead, "its attempts crashed too often"),
        ];
        parts.extend(marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| (*mark).to_owned()));
        // The reason for which an attempt is retried names the error.
        let error = task.error.as_ref().filter(|_| task.state != TaskState::Retrying).map(error_text);
        parts.extend(error);
        parts.extend(task.reason.clone());
        parts.join("; ")
    }

    fn row(&self) -> Vec<String> {
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let task = self.task.as_ref();
        vec![
            self.name.clone(),
            paint(tone(self.state()), self.state()),
            dash(task.map(|task| task.attempt).filter(|attempt| *attempt > 0).map(|attempt| attempt.to_string())),
            dash(self.duration().map(shown::duration)),
            dash(task.and_then(|task| task.provenance.provider.clone())),
            shown::money(Money(task.map_or(0, |task| task.provenance.cost_nanousd))),
            self.note(),
        ]
    }
}

/// Returns the row of a task in a table.
pub fn task_row(task: &Task) -> Vec<String> {
    let state = task.state.as_str();
    vec![
        task.id.clone(),
        paint(tone(state), state),
        task.worker.clone(),
        task.queue.clone(),
        task.run.clone().unwrap_or_else(|| "-".to_owned()),
        task.attempt.to_string(),
        shown::instant(&task.created_at),
        StepView::of(task.clone()).note(),
    ]
}

/// The heading above [`task_row`].
pub const TASK_HEADING: [&str; 8] = ["TASK", "STATE", "WORKER", "QUEUE", "RUN", "ATTEMPT", "CREATED", "NOTE"];

/// Formats runs as a table.
pub fn run_table(runs: &[Run]) -> String {
    let row = |run: &Run| {
        let state = run.state.as_str();
        let paused = if run.paused { ", paused" } else { "" };
        let note = run.error.as_ref().map(error_text).or_else(|| run.reason.clone()).unwrap_or_default();
        vec![
            run.id.clone(),
            format!("{}{paused}", paint(tone(state), state)),
            run.workflow.clone(),
            shown::instant(&run.created_at),
            Some(took(run)).filter(|took| !took.is_empty()).unwrap_or_else(|| "-".to_owned()),
            note,
        ]
    };
    shown::table(&["RUN", "STATE", "WORKFLOW", "STARTED", "TIME", "NOTE"], runs.iter().map(row).collect())
}
