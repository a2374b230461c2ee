//! Reasons for which a task or step waits: one enum with one wording for all interfaces.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason for which a task or step waits. Every face shows it in these words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "for", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields are named for what they hold")]
pub enum Waiting {
    /// The time at which it starts.
    Time { at: String },
    /// The time of the next attempt.
    Retry { at: String, error: String },
    /// A free slot of its queue.
    Slot { queue: String },
    /// The end of a pause of its queue or worker.
    Paused { kind: String, name: String },
    /// The end of a pause of its run.
    RunPaused,
    /// A place under a limit.
    Limit { limit: String },
    /// Money for its next call. `account` and `left` name the budget that has too little, where one is known.
    Money {
        needs: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<String>,
    },
    /// A process that works on the folder.
    Process,
    /// A script that cannot work now.
    Script { why: String },
    /// The rate of a provider.
    Rate { provider: String, wait_ms: u64 },
    /// The rate of its worker.
    WorkerRate { worker: String, rate: String, wait_ms: u64 },
    /// A process that serves its worker.
    Served { worker: String },
    /// A process that serves its worker and takes tasks of its queue.
    Listener { queue: String, worker: String },
    /// A host with the labels that it requires.
    Labels { worker: String, requires: String },
    /// The end of its items.
    Items { total: u32 },
    /// Room for further items beside those under way.
    Room { open: u64, left: u64 },
    /// The end of its turns.
    Turns,
    /// The check of its `until`.
    Until,
    /// The end of the steps inside of it.
    Steps,
    /// The steps that it needs.
    Needs { steps: Vec<String> },
    /// The step before it in a sequence.
    Before { step: String },
    /// The end of the run's steps.
    RunSteps,
    /// The end of a run.
    Run { run: String },
    /// The end of its timer.
    Timer,
    /// A signal.
    Signal { signal: String },
    /// The answer of a person.
    Approval { task: String },
    /// Nothing: it begins within moments.
    Moment,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Waiting::Time { at } => write!(f, "starts at {at}"),
            Waiting::Retry { at, error } => write!(f, "next attempt at {at}, after: {error}"),
            Waiting::Slot { queue } => write!(f, "waits for a slot of queue `{queue}`"),
            Waiting::Paused { kind, name } => write!(f, "{kind} `{name}` is paused"),
            Waiting::RunPaused => f.write_str("the run is paused"),
            Waiting::Limit { limit } => f.write_str(limit),
            Waiting::Money { needs, account: Some(account), left: Some(left) } => {
                write!(f, "the money is used up: the next call may cost {needs}, and budget {account} has {left} left")
            }
            Waiting::Money { needs, .. } => write!(f, "the money is used up: the next call may cost {needs}"),
            Waiting::Process => {
                f.write_str("no process works on this folder: `kapelle serve` or `kapelle resume` does")
            }
            Waiting::Script { why } => f.write_str(why),
            Waiting::Rate { provider, wait_ms } => {
                let seconds = wait_ms.div_ceil(1_000);
                write!(f, "the rate of provider `{provider}` is used up for another {seconds} s")
            }
            Waiting::WorkerRate { worker, rate, wait_ms } => {
                let seconds = wait_ms.div_ceil(1_000);
                write!(f, "the rate of worker `{worker}` ({rate}) is used up for another {seconds} s")
            }
            Waiting::Served { worker } => write!(f, "worker `{worker}` is not served at the moment"),
            Waiting::Listener { queue, worker } => {
                write!(f, "0 workers listen on queue `{queue}` for worker `{worker}`")
            }
            Waiting::Labels { worker, requires } => {
                write!(f, "0 worker hosts that serve worker `{worker}` have the labels that it requires: {requires}")
            }
            Waiting::Items { total } => write!(f, "its {total} items have not all ended"),
            Waiting::Room { open, left } => {
                write!(f, "as many items as may be are under way ({open}); {left} are left")
            }
            Waiting::Turns => f.write_str("its turns are not over"),
            Waiting::Until => f.write_str("its `until` is about to be checked"),
            Waiting::Steps => f.write_str("its steps have not all ended"),
            Waiting::Needs { steps } => {
                let verb = if steps.len() == 1 { "has" } else { "have" };
                write!(f, "it needs {}, which {verb} not ended", steps.join(", "))
            }
            Waiting::Before { step } => write!(f, "one step after the other: {step} is under way"),
            Waiting::RunSteps => f.write_str("it begins when the steps of the run are over"),
            Waiting::Run { run } => write!(f, "it waits for {run}"),
            Waiting::Timer => f.write_str("it waits for its time"),
            Waiting::Signal { signal } => write!(f, "it waits for the signal `{signal}`"),
            Waiting::Approval { task } => write!(f, "it waits for an approval: kapelle approvals approve {task}"),
            Waiting::Moment => f.write_str("it is about to begin"),
        }
    }
}

impl Waiting {
    /// Returns what ends the wait of a task or run of that id; `None` when it ends by itself within moments.
    #[must_use]
    pub fn lift(&self, run: Option<&str>) -> Option<String> {
        let run = run.unwrap_or("RUN");
        Some(match self {
            Waiting::Time { at } | Waiting::Retry { at, .. } => format!("it begins by itself at {at}"),
            Waiting::Slot { queue } => {
                format!("a slot comes free when a task ends; `queues.{queue}.slots` of kapelle.yaml sets their number")
            }
            Waiting::Paused { kind, name } => format!("kapelle {kind}s resume {name}"),
            Waiting::RunPaused => format!("kapelle runs resume {run}"),
            Waiting::Limit { .. } => "it begins when a task that counts towards the limit ends".to_owned(),
            Waiting::Money { account: Some(account), .. } => {
                let midnight = if account == "day" { ", or wait until 00:00 UTC" } else { "" };
                format!("kapelle budgets raise {account} AMOUNT{midnight}")
            }
            Waiting::Money { .. } => "`kapelle budgets` lists the limits; `kapelle budgets raise` lifts one".to_owned(),
            Waiting::Process => "kapelle serve, or kapelle resume".to_owned(),
            Waiting::Script { .. } => "`kapelle workers` shows what the script lacks".to_owned(),
            Waiting::Rate { wait_ms, .. } | Waiting::WorkerRate { wait_ms, .. } => {
                format!("it begins by itself in {} s", wait_ms.div_ceil(1_000))
            }
            Waiting::Served { worker } => {
                format!("start a host that serves it, such as `kapelle host --worker {worker}` where the worker is")
            }
            Waiting::Listener { queue, .. } => format!("kapelle host --queue {queue}"),
            Waiting::Labels { requires, .. } => {
                format!("kapelle host --label {}", requires.replace('`', "").replace(", ", " --label "))
            }
            Waiting::Signal { signal } => format!("kapelle runs signal {run} {signal}"),
            Waiting::Approval { task } => format!("kapelle approvals approve {task}"),
            Waiting::Run { run } => format!("it goes on with the end of {run}; kapelle why {run}"),
            Waiting::Items { .. }
            | Waiting::Room { .. }
            | Waiting::Turns
            | Waiting::Until
            | Waiting::Steps
            | Waiting::Needs { .. }
            | Waiting::Before { .. }
            | Waiting::RunSteps
            | Waiting::Timer
            | Waiting::Moment => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_a_kind_for_programs_and_words_for_people() {
        let waiting = Waiting::Paused { kind: "queue".to_owned(), name: "ml".to_owned() };
        assert_eq!(waiting.to_string(), "queue `ml` is paused");
        let json = serde_json::json!({ "for": "paused", "kind": "queue", "name": "ml" });
        assert_eq!(serde_json::to_value(&waiting).unwrap(), json);
        assert_eq!(serde_json::from_value::<Waiting>(json).unwrap(), waiting);
        assert_eq!(serde_json::to_value(Waiting::RunPaused).unwrap(), serde_json::json!({ "for": "run_paused" }));
    }
}
