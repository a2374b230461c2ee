//! Keys of the format. The reader and the schema for editors are made from these tables.

use crate::yaml::{self, key};

/// Shape of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Text,
    Name,
    Names,
    /// Names of steps, or the first of them.
    Needs,
    /// A name of a key or a role, or several.
    People,
    Flag,
    Duration,
    Money,
    Whole {
        least: i64,
        most: i64,
    },
    Number {
        least: f64,
        most: f64,
    },
    OneOf(&'static [&'static str]),
    /// `true`, `false` or a duration.
    Cache,
    Expression,
    Template,
    TemplateMap,
    List,
    Inputs,
    Strategy,
    OnError,
    Wait,
    Timer,
    Categories,
    Steps,
    /// A map of triggers, or a list of such maps.
    Triggers,
    Reserved,
    Any,
    Object(&'static Table),
}

pub(super) type Key = yaml::Key<Shape>;
pub(super) type Table = yaml::Table<Shape>;

pub(super) const PRIORITY: Shape = Shape::Whole { least: -100, most: 100 };
pub(super) const COUNT: Shape = Shape::Whole { least: 1, most: 1_000 };
/// Keys of which a step has exactly one.
pub(super) const ACTIONS: [&str; 6] = ["worker", "workflow", "wait", "steps", "then", "plan"];
/// Things a step can wait for.
pub(super) const WAITS: [&str; 3] = ["approval", "signal", "timer"];

pub(super) static WORKFLOW: Table = Table {
    name: "workflow",
    about: "A workflow: steps that depend on each other.",
    required: &["name", "steps"],
    keys: &[
        key("name", Shape::Name, "Name under which it is stored and started."),
        key("version", Shape::Any, "Ignored: versions are counted when a definition is stored."),
        key("description", Shape::Text, "One line for people."),
        key("inputs", Shape::Inputs, "JSON Schema of the inputs."),
        key("vars", Shape::TemplateMap, "Values that steps refer to as vars.x."),
        key("on", Shape::Triggers, "Triggers of runs: one map, or a list of maps."),
        key("strategy", Shape::Strategy, "Order in which ready steps start."),
        key("timeout", Shape::Duration, "Time limit of a run; its clock stops while the run is paused or waiting."),
        key("budget", Shape::Money, "Cost limit of a run; at the limit it is parked."),
        key("defaults", Shape::Object(&DEFAULTS), "Defaults of steps."),
        key("steps", Shape::Steps, "The steps by name."),
        key("finally", Shape::Object(&BLOCK), "Steps that run at the end of every run."),
        key("on_error", Shape::Object(&BLOCK), "Steps that run when the run failed."),
        key("on_cancel", Shape::Object(&BLOCK), "Steps that run when the run was cancelled."),
        key("outputs", Shape::TemplateMap, "Outputs of the run."),
    ],
};

pub(super) static ON: Table = Table {
    name: "on",
    about: "Triggers of runs.",
    required: &[],
    keys: &[
        key("completed", Shape::Object(&COMPLETED), "The end of a run of another workflow."),
        key("schedule", Shape::Object(&SCHEDULE), "Set times."),
    ],
};

pub(super) static SCHEDULE: Table = Table {
    name: "schedule",
    about: "Set times, which expressions see as `fire`.",
    required: &["cron"],
    keys: &[
        key("name", Shape::Name, "Its name when the workflow has several: it is listed as WORKFLOW.NAME."),
        key("cron", Shape::Text, "A line of cron, @daily and the like, or a span such as 15m."),
        key("timezone", Shape::Text, "IANA name of the time zone; default UTC."),
        key(
            "catch_up",
            Shape::OneOf(&["skip", "one", "all"]),
            "Times that are missed while no server runs: none is fired (default), the last one, or all.",
        ),
        key(
            "overlap",
            Shape::OneOf(&["allow", "skip", "queue", "cancel_running"]),
            "A time that comes while an earlier run is open: both, none (default), after it, or instead of it.",
        ),
        key("jitter", Shape::Duration, "Longest random delay, at most 1h."),
        key("with", Shape::TemplateMap, "The inputs of the run."),
    ],
};

pub(super) static COMPLETED: Table = Table {
    name: "completed",
    about: "The end of a run of another workflow, which expressions see as `completed`.",
    required: &["workflow"],
    keys: &[
        key("workflow", Shape::Name, "The other workflow."),
        key(
            "status",
            Shape::OneOf(&["succeeded", "failed", "cancelled", "any"]),
            "Required end of its run; default `succeeded`.",
        ),
        key("if", Shape::Expression, "Condition of the start."),
        key("with", Shape::TemplateMap, "The inputs of the run."),
    ],
};

pub(super) static DEFAULTS: Table = Table {
    name: "defaults",
    about: "Defaults of steps.",
    required: &[],
    keys: &[
        key("queue", Shape::Name, "The queue of tasks."),
        key("priority", PRIORITY, "The priority of steps."),
        key("timeout", Shape::Duration, "Timeout of one attempt."),
        key("retry", Shape::Object(&RETRY), "Retry rules."),
        key("max_parallel", COUNT, "Limit of items in progress of a fan-out."),
    ],
};

pub(super) static BLOCK: Table = Table {
    name: "block",
    about: "Steps that belong together.",
    required: &["steps"],
    keys: &[key("steps", Shape::Steps, "The steps by name.")],
};

pub(super) static STEP: Table = Table {
    name: "step",
    about: "A step: exactly one of worker, workflow, wait, steps and then.",
    required: &[],
    keys: &[
        key("description", Shape::Text, "One line for people."),
        key("needs", Shape::Needs, "The steps it waits for."),
        key("if", Shape::Expression, "Condition; when it is false, the step is skipped, or `else` runs."),
        key(
            "run_if",
            Shape::OneOf(&["success", "failure", "always", "any_success"]),
            "Ends of its needs that let it start.",
        ),
        key("unless_begun", Shape::Names, "Steps of its block; once one of them has begun, it is skipped."),
        key("for_each", Shape::List, "List; the step runs once for each item."),
        key("max_parallel", COUNT, "Limit of items in progress; default 5."),
        key("on_item_error", Shape::OneOf(&["fail", "collect"]), "Effect of a failed item."),
        key("first", COUNT, "How many items or inner steps must succeed; then it ends, and the others are cancelled."),
        key("repeat", Shape::Object(&REPEAT), "Loop until a condition holds."),
        key("worker", Shape::Name, "Worker that runs it."),
        key("workflow", Shape::Name, "The workflow that is started."),
        key("wait", Shape::Wait, "Event to wait for; with `workflow`, whether to wait for its end."),
        key("steps", Shape::Steps, "The steps it consists of."),
        key("then", Shape::Object(&BLOCK), "Steps for a true `if`."),
        key("else", Shape::Object(&BLOCK), "Steps for a false `if`."),
        key("plan", Shape::Reserved, "Reserved."),
        key("with", Shape::TemplateMap, "The input of the worker or workflow."),
        key("priority", PRIORITY, "From -100 (last) to 100 (first); default 0."),
        key("queue", Shape::Name, "The queue of its tasks."),
        key("requires", Shape::Names, "The labels that a host must have: `gpu`, or `gpu=a100`."),
        key("timeout", Shape::Duration, "Timeout of one attempt; of a step without a worker, of the whole step."),
        key("deadline", Shape::Duration, "Time limit of all attempts together."),
        key("retry", Shape::Object(&RETRY), "Retry rules."),
        key("cache", Shape::Cache, "Whether an earlier answer to the same input may be reused, and its maximum age."),
        key("on_error", Shape::OnError, "Effect of its failure on the run."),
        key("ends_run", Shape::Flag, "Whether its success ends the run; only in the steps of the run itself."),
    ],
};

pub(super) static NEEDS: Table = Table {
    name: "needs",
    about: "The first of several steps: it starts when that many of them have succeeded; the others continue.",
    required: &["first", "of"],
    keys: &[key("first", COUNT, "How many of them must succeed."), key("of", Shape::Names, "The steps.")],
};

pub(super) static RETRY: Table = Table {
    name: "retry",
    about: "Retry rules.",
    required: &[],
    keys: &[
        key("max_attempts", Shape::Whole { least: 1, most: 1_000 }, "Limit of attempts, the first included."),
        key("delay", Shape::Duration, "The wait before the second attempt."),
        key("multiplier", Shape::Number { least: 1.0, most: 100.0 }, "Factor of each further wait."),
        key("max_delay", Shape::Duration, "Limit of a wait."),
        key("jitter", Shape::OneOf(&["none", "full", "equal"]), "Spread of waits."),
        key("on", Shape::Categories, "Categories of failures that are retried."),
    ],
};

pub(super) static REPEAT: Table = Table {
    name: "repeat",
    about: "A loop.",
    required: &["max"],
    keys: &[
        key("until", Shape::Expression, "Condition that ends the loop after a turn."),
        key("max", Shape::Whole { least: 1, most: 10_000 }, "Limit of turns."),
    ],
};

pub(super) static WAIT: Table = Table {
    name: "wait",
    about: "Event that a step waits for: exactly one of approval, signal and timer.",
    required: &[],
    keys: &[
        key("approval", Shape::Template, "Text that a person approves or rejects."),
        key("signal", Shape::Name, "A signal of this name."),
        key("timer", Shape::Timer, "Duration of the wait."),
        key("timeout", Shape::Duration, "Time limit of the wait."),
        key("on_timeout", Shape::OneOf(&["fail", "continue"]), "Effect of a timeout."),
        key(
            "early",
            Shape::OneOf(&["keep", "drop"]),
            "Whether a signal that comes before it waits is kept, the default.",
        ),
        key("approvers", Shape::People, "Names of keys, or roles, that may approve; everybody who may when left out."),
        key("allow_starter", Shape::Flag, "Whether the key that started the run may approve."),
    ],
};

pub(super) static STRATEGY: Table = Table {
    name: "strategy",
    about: "The strategy with its settings.",
    required: &["priority"],
    keys: &[key("priority", Shape::Object(&PRIORITY_STRATEGY), "Higher priorities first.")],
};

pub(super) static PRIORITY_STRATEGY: Table = Table {
    name: "priority_strategy",
    about: "Settings of the priority strategy.",
    required: &[],
    keys: &[key("fail_fast_at", PRIORITY, "The lowest priority whose failure ends the run at once.")],
};

pub(super) static ON_ERROR: Table = Table {
    name: "on_error",
    about: "A step that runs when this one failed.",
    required: &["run"],
    keys: &[key("run", Shape::Name, "A step of the same block.")],
};

/// All tables, for the schema.
pub(super) static TABLES: [&Table; 14] = [
    &WORKFLOW,
    &ON,
    &COMPLETED,
    &SCHEDULE,
    &DEFAULTS,
    &BLOCK,
    &STEP,
    &NEEDS,
    &RETRY,
    &REPEAT,
    &WAIT,
    &STRATEGY,
    &PRIORITY_STRATEGY,
    &ON_ERROR,
];
