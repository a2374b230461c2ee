//! Examples of every verb, shown by `--help`. A test runs them.

use clap::{Command, CommandFactory};

use crate::cli::Cli;

/// The examples of a verb, by its path. In a prepared folder each works as it stands.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "run",
        &["kapelle run workflows/first-look.yaml --input document=@a.txt", "kapelle run hello --input name=Ada --json"],
    ),
    ("resume", &["kapelle resume", "kapelle resume run_2"]),
    ("serve", &["kapelle serve", "kapelle serve --listen 127.0.0.1:8000"]),
    ("host", &["kapelle host --slots 8", "kapelle host --each-queue"]),
    ("keys", &["kapelle keys"]),
    ("keys list", &["kapelle keys list"]),
    ("keys create", &["kapelle keys create ci --role developer --expires 30d"]),
    ("keys rotate-token", &["kapelle keys rotate-token"]),
    ("keys revoke", &["kapelle keys revoke key_0123456789abcdef"]),
    ("audit", &["kapelle audit"]),
    ("audit list", &["kapelle audit list --json"]),
    ("audit verify", &["kapelle audit verify"]),
    ("status", &["kapelle status", "kapelle status run_1", "kapelle status task_1"]),
    ("why", &["kapelle why task_5", "kapelle why run_2"]),
    ("top", &["kapelle top --once"]),
    ("ui", &["kapelle ui"]),
    (
        "submit",
        &[
            "kapelle submit keywords --input text='The reading room needs light.'",
            "kapelle submit keywords --input text='The reading room needs light.' --wait=30s",
        ],
    ),
    ("runs", &["kapelle runs --open"]),
    ("runs list", &["kapelle runs list --workflow hello"]),
    ("runs show", &["kapelle runs show run_1"]),
    ("runs estimate", &["kapelle runs estimate hello --input name=Ada", "kapelle runs estimate run_1"]),
    ("runs watch", &["kapelle runs watch run_1"]),
    ("runs graph", &["kapelle runs graph run_1", "kapelle runs graph run_1 --format svg"]),
    ("runs explain", &["kapelle runs explain run_2"]),
    ("runs rerun", &["kapelle runs rerun run_1 --from said", "kapelle runs rerun --all --workflow hello --dry-run"]),
    (
        "runs cancel",
        &[
            "kapelle runs cancel run_2 --reason 'not needed any more'",
            "kapelle runs cancel --all --workflow hello --dry-run",
        ],
    ),
    ("runs pause", &["kapelle runs pause run_2", "kapelle runs pause --all --workflow hello --dry-run"]),
    ("runs resume", &["kapelle runs resume run_2", "kapelle runs resume --all --dry-run"]),
    ("runs signal", &["kapelle runs signal run_2 go --payload '{\"by\": \"ada\"}'"]),
    ("approvals", &["kapelle approvals"]),
    ("approvals list", &["kapelle approvals list"]),
    ("approvals approve", &["kapelle approvals approve task_3 --comment 'looks right'"]),
    ("approvals deny", &["kapelle approvals deny task_3 --comment 'the price is wrong'"]),
    ("tasks", &["kapelle tasks --state failed"]),
    ("tasks list", &["kapelle tasks list --steps --limit 50"]),
    ("tasks show", &["kapelle tasks show task_1"]),
    ("tasks cancel", &["kapelle tasks cancel task_5", "kapelle tasks cancel --all --worker translator --yes"]),
    ("tasks retry", &["kapelle tasks retry task_4"]),
    ("dead", &["kapelle dead"]),
    ("dead groups", &["kapelle dead groups"]),
    ("dead list", &["kapelle dead list --worker translator"]),
    ("dead show", &["kapelle dead show task_4"]),
    ("dead retry", &["kapelle dead retry task_4", "kapelle dead retry --all --worker translator"]),
    ("dead discard", &["kapelle dead discard task_4 --reason 'the customer has left'"]),
    ("queues", &["kapelle queues"]),
    ("queues list", &["kapelle queues list"]),
    ("queues pause", &["kapelle queues pause default --reason maintenance"]),
    ("queues resume", &["kapelle queues resume default"]),
    ("budgets", &["kapelle budgets"]),
    ("budgets list", &["kapelle budgets list"]),
    ("budgets set", &["kapelle budgets set day 10"]),
    ("budgets raise", &["kapelle budgets raise day 2.50"]),
    ("budgets reset", &["kapelle budgets reset day"]),
    (
        "cost",
        &[
            "kapelle cost",
            "kapelle cost --per day --from 30d",
            "kapelle cost --by worker,day --from 7d",
            "kapelle cost --worker translator --by model",
            "kapelle cost --export",
        ],
    ),
    ("calls", &["kapelle calls", "kapelle calls --run run_1"]),
    ("calls list", &["kapelle calls list --model gpt-6-luna --from 7d"]),
    ("calls show", &["kapelle calls show call_1"]),
    ("providers", &["kapelle providers"]),
    ("search", &["kapelle search hello"]),
    ("logs", &["kapelle logs run_1", "kapelle logs task_4"]),
    ("workers", &["kapelle workers"]),
    ("workers list", &["kapelle workers list"]),
    ("workers show", &["kapelle workers show keywords"]),
    ("workers test", &["kapelle workers test keywords --input text='The reading room needs light.'"]),
    ("workers pause", &["kapelle workers pause keywords --reason upgrade"]),
    ("workers resume", &["kapelle workers resume keywords"]),
    ("workers restart", &["kapelle workers restart all"]),
    ("workers scale", &["kapelle workers scale inbox 2"]),
    ("schedules", &["kapelle schedules"]),
    ("schedules list", &["kapelle schedules list"]),
    ("schedules show", &["kapelle schedules show nightly"]),
    (
        "schedules create",
        &[
            "kapelle schedules create daily --cron '30 7 * * mon-fri' --timezone Europe/Berlin --workflow hello --input name=Ada",
            "kapelle schedules create often --cron 15m --worker keywords --input text='${{ fire.date }}' --overlap queue",
        ],
    ),
    ("schedules pause", &["kapelle schedules pause nightly --reason 'the source is moved'"]),
    ("schedules resume", &["kapelle schedules resume nightly"]),
    ("schedules next", &["kapelle schedules next nightly --count 3"]),
    ("schedules fire", &["kapelle schedules fire nightly"]),
    (
        "schedules backfill",
        &["kapelle schedules backfill nightly --from 2026-11-01T00:00:00Z --to 2026-11-03T00:00:00Z"],
    ),
    ("schedules delete", &["kapelle schedules delete unused"]),
    ("subscriptions", &["kapelle subscriptions"]),
    ("subscriptions list", &["kapelle subscriptions list"]),
    ("subscriptions types", &["kapelle subscriptions types"]),
    ("subscriptions show", &["kapelle subscriptions show ops"]),
    (
        "subscriptions create",
        &[
            "kapelle subscriptions create failures --url https://example.com/hooks --type kapelle.run.failed --type kapelle.task.dead",
            "kapelle subscriptions create chat --url https://hooks.slack.com/services/T0/B0/x --format slack --type 'kapelle.run.*' --if 'event.data.workflow == \"hello\"'",
        ],
    ),
    ("subscriptions change", &["kapelle subscriptions change ops --type 'kapelle.run.*' --ordered true"]),
    ("subscriptions pause", &["kapelle subscriptions pause ops --reason 'the receiver is moved'"]),
    ("subscriptions resume", &["kapelle subscriptions resume ops"]),
    ("subscriptions rotate", &["kapelle subscriptions rotate ops --overlap 48"]),
    ("subscriptions test", &["kapelle subscriptions test ops"]),
    ("subscriptions deliveries", &["kapelle subscriptions deliveries ops --state pending"]),
    ("subscriptions replay", &["kapelle subscriptions replay ops --failed"]),
    ("subscriptions delete", &["kapelle subscriptions delete unused-hook"]),
    ("workflows", &["kapelle workflows"]),
    ("workflows list", &["kapelle workflows list"]),
    ("workflows show", &["kapelle workflows show hello"]),
    ("workflows validate", &["kapelle workflows validate workflows/hello.yaml"]),
    ("workflows graph", &["kapelle workflows graph hello --format mermaid"]),
    ("workflows templates", &["kapelle workflows templates"]),
    ("workflows new", &["kapelle workflows new digest --template map-reduce"]),
    ("workflows versions", &["kapelle workflows versions plain"]),
    ("workflows source", &["kapelle workflows source plain 1"]),
    ("workflows diff", &["kapelle workflows diff plain 1 2"]),
    ("workflows rollback", &["kapelle workflows rollback plain 1"]),
    ("workflows delete", &["kapelle workflows delete unused 1"]),
    ("config", &["kapelle config show"]),
    ("config show", &["kapelle config show --origin"]),
    ("config check", &["kapelle config check"]),
    ("config reference", &["kapelle config reference"]),
    ("config trust", &["kapelle config trust"]),
    ("config prices", &["kapelle config prices"]),
    ("backup", &["kapelle backup backups/2026-11-30", "kapelle backup backups/2026-12-01 --with-token"]),
    ("restore", &["kapelle restore backups/first --data restored"]),
    ("doctor", &["kapelle doctor"]),
    ("init", &["kapelle init my-project"]),
    ("completions", &["kapelle completions bash"]),
    ("man", &["kapelle man", "kapelle man --out man-pages"]),
    ("version", &["kapelle version"]),
    ("supervise", &["kapelle supervise workers"]),
];

/// Returns the command line with the examples of its verbs.
pub fn command() -> Command {
    Cli::command().mut_subcommands(|verb| with_examples(verb, ""))
}

fn with_examples(verb: Command, above: &str) -> Command {
    let path = format!("{above}{}", verb.get_name());
    let verb = verb.mut_subcommands(|inner| with_examples(inner, &format!("{path} ")));
    let Some((_, examples)) = EXAMPLES.iter().find(|(of, _)| *of == path) else { return verb };
    let examples: String = examples.iter().map(|example| format!("\n  {example}")).collect();
    let notes = verb.get_after_help().map_or_else(String::new, |notes| format!("\n\n{notes}"));
    verb.after_help(format!("Examples:{examples}{notes}"))
}
