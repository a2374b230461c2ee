//! Words of other systems in workflows, and in the small maps that several kinds of files share.

use super::words::{RETRY, Row, TIMEOUT};

pub(super) const STEP: &[Row] = &[
    (
        "step",
        "retries max_retries num_retries retry_count retry_limit retry_policy retry_strategy attempts max_attempts tries max_tries backoff retry_delay",
        RETRY,
    ),
    (
        "step",
        "depends_on depends dependencies dependency after upstream run_after predecessors requires_steps previous parents wait_for waits_for",
        "write `needs: [step, ...]`",
    ),
    (
        "step",
        "when condition conditions cond only_if run_when unless where filter skip_if guard",
        "write `if:` with an expression, such as `if: ${{ inputs.wanted }}`",
    ),
    (
        "step",
        "foreach for for_all loop with_items with_list with_param with_sequence map each iterate iterator iterate_over matrix items expand over fan_out",
        "write `for_each:` with a list, such as `for_each: ${{ inputs.files }}`; the item is `${{ item }}`",
    ),
    (
        "step",
        "parallelism concurrency parallel max_concurrency max_concurrent concurrency_limit concurrent max_workers batch_size threads",
        "write `max_parallel: N` beside `for_each`",
    ),
    (
        "step",
        "env environment envs env_vars",
        "a step has no environment: give values with `with:`; the environment of a script stands in its own settings",
    ),
    (
        "step",
        "run runs uses use task tasks job action actions agent tool function func operator script command cmd exec execute activity handler call do type kind node method service plugin skill module code shell bash python image container entrypoint",
        "name what does the work with `worker: NAME`; a script in workers/ is a worker, too",
    ),
    (
        "step",
        "prompt system system_prompt messages model model_name llm temperature max_tokens max_output_tokens instructions",
        "this stands in a worker file (workers/NAME.yaml with `kind: prompt`); the step names it with `worker: NAME`",
    ),
    (
        "step",
        "inputs input args arguments params parameters kwargs payload data body variables vars values options config properties",
        "write `with: { name: value }`",
    ),
    (
        "step",
        "timeout_seconds timeout_secs timeout_sec timeout_s timeout_ms timeout_minutes timeout_in_minutes time_limit execution_timeout start_to_close_timeout schedule_to_close_timeout active_deadline_seconds max_duration max_time heartbeat_timeout",
        TIMEOUT,
    ),
    (
        "step",
        "output outputs result results returns return register save_as store_as export exports set_output",
        "remove it: a step's answer is `${{ steps.NAME.output }}`; the run's outputs stand in `outputs:` of the workflow",
    ),
    (
        "step",
        "id step_id name title label key",
        "remove it: the key above the step is its name; `description:` is for people",
    ),
    ("step", "summary about comment doc note notes", "write `description:`"),
    (
        "step",
        "continue_on_error continue_on_fail ignore_errors ignore_error ignore_failure allow_failure allow_errors allowed_failure soft_fail optional fail_ok",
        "write `on_error: continue`",
    ),
    (
        "step",
        "on_failure on_fail rescue catch catch_error except error_handler handler_on_error fallback compensate",
        "write `on_error: { run: STEP }` with a step of the same block, or `on_error: continue`",
    ),
    (
        "step",
        "trigger_rule always always_run run_on run_always",
        "write `run_if: success`, `failure`, `always` or `any_success`",
    ),
    ("step", "pool worker_queue task_queue", "write `queue: NAME`"),
    (
        "step",
        "runs_on node_selector labels tags affinity resources gpu",
        "write `requires: [label]`: the labels that a worker host must have",
    ),
    (
        "step",
        "approval approve manual manual_approval human human_input review confirm",
        "write `wait: { approval: \"Send it?\" }`",
    ),
    ("step", "sleep delay pause timer wait_seconds wait_until", "write `wait: { timer: 5m }`"),
    ("step", "signal event wait_for_event wait_for_signal webhook", "write `wait: { signal: NAME }`"),
    (
        "step",
        "while until loop_until do_while do_until max_iterations iterations repeat_until times",
        "write `repeat: { until: ${{ ... }}, max: N }`",
    ),
    (
        "step",
        "branch branches switch choice choices case cases decision router",
        "write `if:` with `then: { steps: ... }` and `else: { steps: ... }`",
    ),
    ("step", "otherwise elif else_if", "write `else: { steps: ... }` beside `if` and `then`"),
    (
        "step",
        "subworkflow sub_workflow child_workflow call_workflow workflow_ref workflow_name flow dag pipeline subflow",
        "write `workflow: NAME`",
    ),
    (
        "step",
        "cached cache_for cache_ttl cache_key memoize memo",
        "write `cache: true`, or how old an answer may be: `cache: 1h`",
    ),
    ("step", "weight urgency prio importance", "write `priority: N`, from -100 (last) to 100 (first)"),
    ("step", "max_cost budget cost_limit", "write `budget:` in the workflow, or `max_cost:` in the worker's file"),
    (
        "step",
        "schedule cron interval every",
        "a step has no schedule: a script with `schedule:` in its settings, or cron, starts things by time",
    ),
    ("step", "finally cleanup teardown", "write `finally: { steps: ... }` in the workflow"),
    ("step", "parallel_steps sequence stages children substeps sub_steps group", "write `steps:` with the inner steps"),
];

pub(super) const WORKFLOW: &[Row] = &[
    (
        "workflow",
        "tasks jobs stages nodes activities agents states actions flow pipeline dag graph edges plan do",
        "write `steps:` with one entry for each step: `name: { worker: ... }`",
    ),
    (
        "workflow",
        "schedule schedules cron trigger triggers interval every start_at",
        "write `on: { schedule: { cron: \"30 2 * * *\", timezone: Europe/Berlin } }`; after another workflow `on: { completed: { workflow: NAME } }`",
    ),
    ("workflow", "input params param parameters args arguments", "write `inputs:` with a JSON Schema"),
    ("workflow", "env environment envs variables variable constants locals values context", "write `vars:`"),
    ("workflow", "output result results returns return", "write `outputs: { name: ${{ steps.NAME.output }} }`"),
    ("workflow", "id title workflow workflow_name workflow_id dag_id", "write `name:`"),
    ("workflow", "summary about comment doc notes", "write `description:`"),
    (
        "workflow",
        "timeout_seconds timeout_secs timeout_ms timeout_minutes timeout_in_minutes time_limit max_duration execution_timeout run_timeout",
        TIMEOUT,
    ),
    (
        "workflow",
        "retry retries max_retries retry_policy retry_strategy attempts queue priority default_args",
        "write it under `defaults:`, such as `defaults: { retry: { max_attempts: N } }`",
    ),
    (
        "workflow",
        "concurrency parallelism max_parallel max_concurrency concurrency_limit max_workers max_active_tasks",
        "write `defaults: { max_parallel: N }` for fan-outs; how many tasks run at once is `slots` of their queue",
    ),
    ("workflow", "on_failure on_fail failure catch rescue error_handler errors", "write `on_error: { steps: ... }`"),
    ("workflow", "always cleanup teardown on_exit after_all", "write `finally: { steps: ... }`"),
    ("workflow", "on_canceled on_abort", "write `on_cancel: { steps: ... }`"),
    ("workflow", "max_cost cost_limit budget_usd max_budget spend_limit", "write `budget: $2.50`"),
    (
        "workflow",
        "execution mode order execution_mode process",
        "write `strategy: sequential`, `parallel` or `priority`",
    ),
    (
        "workflow",
        "api_version kind namespace metadata spec schema schema_version labels tags",
        "remove it: a workflow begins with `name:` and `steps:`",
    ),
    (
        "workflow",
        "model models model_name llm system_prompt prompt temperature provider",
        "this stands in a worker file (workers/NAME.yaml with `kind: prompt`) or under `models:` of kapelle.yaml",
    ),
];

/// Smaller maps that several kinds of files share.
pub(super) const SMALL: &[Row] = &[
    (
        "retry",
        "attempts max count times limit retries max_retries max_tries tries maximum_attempts num_retries retry_count",
        "write `max_attempts: N`, which counts the first attempt too",
    ),
    (
        "retry",
        "backoff backoff_factor backoff_rate backoff_coefficient backoff_multiplier factor exponential exponential_base",
        "write `multiplier: N`: what each further wait is multiplied by",
    ),
    (
        "retry",
        "interval initial_interval initial_delay min_delay wait retry_delay delay_seconds interval_seconds base_delay sleep",
        "write `delay:` with a unit, such as `delay: 2s`",
    ),
    (
        "retry",
        "max_interval max_wait max_backoff cap maximum_interval max_delay_seconds max_retry_delay",
        "write `max_delay:` with a unit, such as `max_delay: 1m`",
    ),
    (
        "retry",
        "retry_on errors on_errors on_error when error_types categories non_retryable retryable_errors error_equals",
        "write `on:` with kinds of failure, such as `on: [rate_limited, timeout]`",
    ),
    ("retry", "random randomize jittered retry_jitter", "write `jitter: none`, `full` or `equal`"),
    ("repeat", "while condition when stop_when break_if", "write `until:` with an expression that ends the loop"),
    ("repeat", "times count limit max_iterations iterations max_turns max_times", "write `max: N`"),
    ("wait", "approve manual human question message text", "write `approval: \"Send it?\"`"),
    ("wait", "sleep delay duration seconds time for until", "write `timer: 5m`"),
    ("wait", "event name signal_name", "write `signal: NAME`"),
    ("on_error", "step goto task handler", "write `run: STEP`"),
    (
        "on",
        "schedules cron timer every interval time times daily hourly at",
        "write `schedule: { cron: \"30 2 * * *\", timezone: Europe/Berlin }`",
    ),
    (
        "on",
        "complete success succeeded failure failed finished ended workflow workflow_run run upstream after depends_on",
        "write `completed: { workflow: NAME, status: succeeded }`",
    ),
    (
        "schedule",
        "zone tz time_zone timezone_name location",
        "write `timezone:` with an IANA name, such as Europe/Berlin",
    ),
    (
        "schedule",
        "every interval span expression schedule at time crontab line",
        "write `cron:` with a line of cron, or a span such as 15m",
    ),
    ("schedule", "inputs input args arguments params parameters payload data", "write `with: { name: value }`"),
    (
        "schedule",
        "catchup backfill missed misfire misfire_policy missed_runs",
        "write `catch_up: skip`, `one` or `all`",
    ),
    (
        "schedule",
        "concurrency concurrency_policy overlap_policy max_active_runs parallel on_overlap",
        "write `overlap: allow`, `skip`, `queue` or `cancel_running`",
    ),
    ("schedule", "delay random_delay splay spread", "write `jitter:` with a unit, such as `jitter: 30s`"),
    ("schedule", "paused disabled enabled active pause", "remove it: `kapelle schedules pause NAME` pauses it"),
    ("block", "tasks jobs do worker", "write `steps:` with one entry for each step"),
    ("per_key", "max concurrency slots count max_parallel", "write `limit: N`"),
    ("per_key", "on_full full overflow policy strategy", "write `when_full: queue`, `cancel_running` or `reject`"),
];
