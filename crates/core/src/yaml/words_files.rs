//! Words of other systems in worker files, in the settings of scripts, in templates and in `kapelle.yaml`.

use super::words::{RETRY, Row, TIMEOUT};

const INPUT_SCHEMA: &str = "write `input:` with a JSON Schema";
const OUTPUT_SCHEMA: &str = "write `output:` with a JSON Schema";
const MAX_COST: &str = "write `max_cost: $0.05`: the most that one task may spend";
const PROVIDER_KEY: &str = "keys are not written into this file: set the variable OPENAI_API_KEY (or in `.env`), or name another with `providers: { NAME: { api_key_env: VARIABLE } }`";

pub(super) const WORKER: &[Row] = &[
    ("worker", "type worker_type", "write `kind: prompt`"),
    ("worker", "id title worker worker_name", "write `name:`"),
    ("worker", "summary about comment doc notes", "write `description:`"),
    (
        "worker",
        "system_prompt system_message system_instruction instructions instruction role persona",
        "write `system:`",
    ),
    (
        "worker",
        "user user_prompt user_message messages template prompt_template text content",
        "write `prompt:`; `{{ name }}` stands for an input",
    ),
    (
        "worker",
        "model_name model_id llm engine deployment alias models",
        "write `model:` with an alias of `models:` in kapelle.yaml, such as `model: fast`",
    ),
    (
        "worker",
        "provider base_url api_base endpoint api_key api_key_env organization fallbacks fallback_model fallback_models",
        "providers and chains of models stand in kapelle.yaml (`providers:`, `models:`); the worker names an alias with `model:`",
    ),
    (
        "worker",
        "max_tokens max_completion_tokens max_new_tokens max_output max_length output_tokens",
        "write `max_output_tokens: N`",
    ),
    (
        "worker",
        "context_window max_context max_prompt_tokens input_tokens max_input context_length",
        "write `max_input_tokens: N`",
    ),
    ("worker", "input_schema inputs parameters params arguments args variables input_variables", INPUT_SCHEMA),
    (
        "worker",
        "output_schema outputs response_format response_model response_schema json_schema schema returns result",
        OUTPUT_SCHEMA,
    ),
    ("worker", "retries max_retries num_retries attempts max_attempts retry_policy retry_count", RETRY),
    ("worker", "timeout_seconds timeout_secs timeout_ms time_limit request_timeout max_time", TIMEOUT),
    (
        "worker",
        "concurrency parallelism parallel max_parallel max_concurrency max_workers concurrent instances workers threads",
        "write `slots: N`: how many of its tasks run at once",
    ),
    ("worker", "budget cost_limit max_budget max_spend", MAX_COST),
    (
        "worker",
        "labels tags runs_on node_selector",
        "write `requires: [label]`: the labels that a worker host must have",
    ),
    ("worker", "cache_ttl cache_for cached memoize", "write `cache: true`, or how old an answer may be: `cache: 1h`"),
    (
        "worker",
        "rate_limit rpm tpm requests_per_minute",
        "limits stand in kapelle.yaml: `providers: { NAME: { limits: { requests_per_minute: N } } }`",
    ),
    (
        "worker",
        "top_p top_k stop seed frequency_penalty presence_penalty tools tool_choice stream logprobs reasoning_effort n",
        "a prompt worker does not have it: write a script that calls the model with the provider's SDK",
    ),
    (
        "worker",
        "env environment schedule cron command args_list",
        "this is for scripts; a prompt worker runs no program",
    ),
    ("worker", "fallback_method degraded classical", "write `offline:` with a classical method"),
];

pub(super) const SCRIPT: &[Row] = &[
    ("settings", "env env_vars envs variables vars env_file", "write `environment: { NAME: value }`"),
    (
        "settings",
        "cron interval every trigger period timer run_every",
        "write `schedule: 15m`, or a line of cron: `schedule: \"0 3 * * *\"`",
    ),
    (
        "settings",
        "replicas scale processes workers numprocs num_workers count worker_count",
        "write `instances: N`: how many processes",
    ),
    (
        "settings",
        "concurrency parallelism parallel threads max_parallel max_concurrency prefetch",
        "write `slots: N`: how many tasks at once",
    ),
    (
        "settings",
        "command cmd runtime python node exec executable shebang shell program",
        "write `interpreter: PROGRAM`",
    ),
    ("settings", "arguments argv params parameters", "write `args: [a, b]`"),
    (
        "settings",
        "restart_policy retries retry max_retries max_restarts autorestart restarts attempts max_attempts",
        "write `restart: { tries: N }`, or `restart: never`, `on_failure` or `always`; attempts of a task stand in `retry` of its step",
    ),
    (
        "settings",
        "memory mem_limit memory_limit max_memory mem resources cpu ulimits ulimit",
        "write `limits: { memory: 512MiB }`",
    ),
    (
        "settings",
        "health health_check healthcheck readiness readiness_probe liveness probe wait_for",
        "write `ready: message`, `{ line: text }` or `{ http: \"http://127.0.0.1:PORT/path\" }`",
    ),
    ("settings", "autostart enabled enable disabled active run", "write `start: true` or `start: false`"),
    ("settings", "type kind run_mode worker_type", "write `mode: daemon`, `task` or `pool`"),
    ("settings", "id title worker worker_name", "write `name:`"),
    ("settings", "summary about comment doc notes", "write `description:`"),
    ("settings", "timeout_seconds timeout_secs timeout_ms time_limit max_time max_duration", TIMEOUT),
    (
        "settings",
        "grace grace_period stop_grace_period stopwaitsecs termination_grace_period stop_wait shutdown_timeout",
        "write `stop_timeout: 10s`",
    ),
    ("settings", "startup_timeout startsecs boot_timeout", "write `start_timeout: 30s`"),
    ("settings", "input_schema inputs", INPUT_SCHEMA),
    ("settings", "output_schema outputs returns response_format", OUTPUT_SCHEMA),
    ("settings", "budget cost_limit max_budget max_spend", MAX_COST),
    (
        "settings",
        "model_name llm models model_id",
        "write `model:` with an alias of `models:` in kapelle.yaml, such as `model: fast`",
    ),
    ("settings", "pool worker_queue task_queue", "write `queue: NAME`"),
    ("settings", "log logs log_max max_log_size log_size", "write `limits: { log: 10MiB }`"),
    (
        "settings",
        "prompt system system_prompt temperature",
        "a script calls the model itself; a prompt stands in a worker file (workers/NAME.yaml with `kind: prompt`)",
    ),
    ("limits", "mem max_memory memory_limit ram", "write `memory: 512MiB`"),
    ("limits", "nproc max_processes pids threads", "write `processes: N`"),
    ("limits", "logs log_size max_log", "write `log: 10MiB`"),
    (
        "limits",
        "cpu cpus timeout time",
        "only `memory`, `processes` and `log` can be limited; a time limit is `timeout:` beside `limits:`",
    ),
    ("restart", "max retries attempts max_retries max_attempts max_restarts count", "write `tries: N`"),
    ("restart", "policy condition on", "write `when: never`, `on_failure` or `always`"),
    ("restart", "backoff factor backoff_factor", "write `multiplier: N`"),
    ("restart", "wait interval initial_delay restart_sec", "write `delay: 1s`"),
    ("restart", "cap max_wait max_interval", "write `max_delay: 1m`"),
];

pub(super) const CONFIG: &[Row] = &[
    ("kapelle.yaml", "host port bind address addr server url", "write `listen: \"127.0.0.1:7863\"`"),
    ("kapelle.yaml", "api_key openai_api_key key token keys secrets anthropic_api_key", PROVIDER_KEY),
    (
        "kapelle.yaml",
        "provider openai anthropic azure gateway llm_providers",
        "write `providers: { NAME: { kind: openai } }`",
    ),
    (
        "kapelle.yaml",
        "model default_model aliases model_list llm model_aliases routes",
        "write `models: { fast: { chain: [openai/gpt-4o-mini, offline] } }`",
    ),
    (
        "kapelle.yaml",
        "budget max_budget spend_limit cost_limit limits max_cost daily_budget",
        "write `budgets: { day: $10 }`",
    ),
    (
        "kapelle.yaml",
        "queue concurrency workers_per_queue pools pool slots",
        "write `queues: { default: { slots: 8 } }`",
    ),
    (
        "kapelle.yaml",
        "price pricing costs cost model_prices",
        "write `prices: { openai/NAME: { input: $0.15, output: $0.60 } }`, in dollars for a million tokens",
    ),
    ("kapelle.yaml", "logging logs log_level verbose debug", "write `log: { level: debug }`"),
    ("kapelle.yaml", "log_format", "write `log: { format: json }`"),
    ("kapelle.yaml", "access_log", "write `log: { access: true }`"),
    (
        "kapelle.yaml",
        "data data_dir storage database db path state_dir",
        "set the variable KAPELLE_DATA, or give --data FOLDER",
    ),
    ("kapelle.yaml", "workers worker", "workers are files in workers/: a prompt in workers/NAME.yaml, or a script"),
    ("kapelle.yaml", "workflows workflow steps jobs", "workflows are files in workflows/"),
    (
        "kapelle.yaml",
        "scripts script",
        "scripts are files in workers/; their settings stand in front of them or in NAME.worker.yaml",
    ),
    ("kapelle.yaml", "retention_days keep ttl cleanup history", "write `retention: { tasks: 7d, runs: 30d }`"),
    (
        "kapelle.yaml",
        "rate_limit rate_limits rpm tpm",
        "write `providers: { NAME: { limits: { requests_per_minute: N } } }`",
    ),
    ("kapelle.yaml", "tags label host_labels", "write `labels: { gpu: a100 }`"),
    ("kapelle.yaml", "lease_timeout heartbeat heartbeat_timeout visibility_timeout lease_ttl", "write `lease: 15s`"),
    ("kapelle.yaml", "env environment dotenv", "variables stand in the environment or in `.env` beside this file"),
    (
        "kapelle.yaml",
        "fallbacks fallback_models",
        "write the chain of an alias: `models: { fast: { chain: [openai/gpt-4o-mini, offline] } }`",
    ),
    ("kapelle.yaml", "health_checks healthcheck checks alerts", "write `health: { checks: [...] }`"),
    ("kapelle.yaml", "version name description project", "remove it: kapelle.yaml has no such key"),
    (
        "provider",
        "type api_type provider format",
        "write `kind: openai` (or azure, bedrock, gemini, vertex, anthropic, compatible)",
    ),
    ("provider", "url endpoint api_base base host azure_endpoint api_url server address", "write `base_url:`"),
    (
        "provider",
        "api_key key token secret password apikey",
        "a key is not written into this file: put it into a variable (or `.env`) and write `api_key_env: VARIABLE`, or name a file with `api_key_file:`",
    ),
    ("provider", "api_key_var key_env env_key api_key_variable", "write `api_key_env: VARIABLE`"),
    ("provider", "key_file token_file", "write `api_key_file: PATH`"),
    (
        "provider",
        "models model deployment deployments",
        "models stand in chains: `models: { fast: { chain: [PROVIDER/MODEL] } }` at the top level",
    ),
    (
        "provider",
        "rate_limits rate_limit rpm tpm max_rpm requests_per_minute tokens_per_minute",
        "write `limits: { requests_per_minute: N, tokens_per_minute: N }`",
    ),
    ("provider", "capabilities features support", "write `supports: { responses: false }`"),
    ("provider", "project_id", "write `project:`"),
    ("provider", "aws_region zone", "write `region:`"),
    ("provider_limits", "rpm requests max_rpm requests_per_min rps", "write `requests_per_minute: N`"),
    ("provider_limits", "tpm tokens max_tpm tokens_per_min", "write `tokens_per_minute: N`"),
    (
        "alias",
        "model models fallbacks fallback providers provider links order route routes list",
        "write `chain: [PROVIDER/MODEL, offline]`",
    ),
    ("alias", "max_tokens max_completion_tokens", "write `max_output_tokens: N`"),
    ("alias", "weight ratio shares", "write `weights: [3, 1]`, one for each link of the chain"),
    ("alias", "temperature system prompt", "this stands in a worker file (workers/NAME.yaml)"),
    (
        "price",
        "prompt input_price input_cost in input_per_million input_cost_per_token input_cost_per_million prompt_price",
        "write `input: $0.15`, in dollars for a million tokens",
    ),
    (
        "price",
        "completion output_price output_cost out output_per_million output_cost_per_token output_cost_per_million completion_price",
        "write `output: $0.60`, in dollars for a million tokens",
    ),
    (
        "price",
        "cached cache_read cached_price cache_read_input_token_cost cached_tokens",
        "write `cached_input: $0.075`, in dollars for a million tokens",
    ),
    ("price", "long tiers above_200k long_context", "write `long_prompts: { above: 200000, input: ..., output: ... }`"),
    ("budgets", "daily per_day today", "write `day: $10`"),
    ("budgets", "total all lifetime global max overall", "write `tenant: $100`: by everybody in all"),
    ("budgets", "monthly month weekly week hourly hour", "budgets are for a day (`day:`) or in all (`tenant:`)"),
    ("budgets", "queue", "write `queues: { NAME: $10 }`"),
    ("budgets", "worker", "write `workers: { NAME: $10 }`"),
    (
        "queue",
        "concurrency workers parallelism max_parallel size limit max max_concurrency threads",
        "write `slots: N`: how many of its tasks run at once",
    ),
    ("queue", "key_limit concurrency_key", "write `per_key: { limit: N }`"),
    ("retention", "task", "write `tasks: 7d`"),
    ("retention", "run days", "write `runs: 30d`"),
    ("check", "threshold max above gt greater_than more_than", "write `over: N`"),
    ("check", "min below lt less_than", "write `under: N`"),
    ("check", "metric type kind check", "write `measure:`"),
    ("check", "queue worker target", "write `of: NAME`"),
    ("check", "min_samples samples min_tasks", "write `at_least: N`"),
    ("check", "severity fatal", "write `critical: true`"),
    ("template", "inputs input params schema", "write `parameters:` with a JSON Schema"),
    ("template", "template steps body text", "write `workflow: |` with the text of the workflow"),
];
