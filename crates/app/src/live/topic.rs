//! Topics that a listener follows.

use std::fmt;

use kapelle_core::{RunId, TaskId};

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// Every run.
    Runs,
    /// One run, its steps, and what its models write.
    Run(RunId),
    /// Every task outside of runs.
    Tasks,
    /// One task, and what its model writes.
    Task(TaskId),
    /// Scripts and hosts.
    Workers,
    /// Pauses of queues and workers.
    Queues,
    /// Calls, budgets, and tasks without money.
    Money,
    /// Steps that wait for a person.
    Approvals,
    /// Counts and rates, once a second.
    Stats,
}

impl Topic {
    /// Parses a topic; `None` for an unknown one.
    pub(super) fn parse(text: &str) -> Option<Topic> {
        Some(match text {
            "runs" => Topic::Runs,
            "tasks" => Topic::Tasks,
            "workers" => Topic::Workers,
            "queues" => Topic::Queues,
            "money" => Topic::Money,
            "approvals" => Topic::Approvals,
            "stats" => Topic::Stats,
            other => match other.split_once(':')? {
                ("run", id) => Topic::Run(id.parse().ok()?),
                ("task", id) => Topic::Task(id.parse().ok()?),
                _ => return None,
            },
        })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Runs => f.write_str("runs"),
            Topic::Run(id) => write!(f, "run:{id}"),
            Topic::Tasks => f.write_str("tasks"),
            Topic::Task(id) => write!(f, "task:{id}"),
            Topic::Workers => f.write_str("workers"),
            Topic::Queues => f.write_str("queues"),
            Topic::Money => f.write_str("money"),
            Topic::Approvals => f.write_str("approvals"),
            Topic::Stats => f.write_str("stats"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_reads_back_and_nothing_else_does() {
        for text in ["runs", "run:run_7", "tasks", "task:task_9", "workers", "queues", "money", "approvals", "stats"] {
            assert_eq!(Topic::parse(text).map(|topic| topic.to_string()).as_deref(), Some(text));
        }
        for text in ["", "run", "run:", "run:task_7", "task:run_7", "logs:echo", "Runs"] {
            assert_eq!(Topic::parse(text), None, "{text}");
        }
    }
}
