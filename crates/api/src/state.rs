//! States as enums. Each is written as its word in snake case.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$about])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// Returns the word on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)*
                }
            }

            /// Returns the value of a word; `None` for an unknown word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}

words! {
    /// Rule of a schedule for times that were missed, because no server ran or the clock jumped.
    CatchUp {
        /// None is fired.
        Skip = "skip",
        /// The last one is fired.
        One = "one",
        /// All are fired, at most the last 100.
        All = "all",
    }

    /// Rule of a schedule for a fire while the run or task of an earlier one is open.
    Overlap {
        /// Both work at the same time.
        Allow = "allow",
        /// The new fire starts nothing.
        Skip = "skip",
        /// The new fire starts when the earlier one has ended.
        Queue = "queue",
        /// The earlier one is cancelled.
        CancelRunning = "cancel_running",
    }

    /// Form of the body that a subscription's receiver gets.
    BodyFormat {
        /// The event as a CloudEvent 1.0 in JSON.
        CloudEvent = "cloud_event",
        /// A message of one line, in the shape of Slack's incoming webhooks.
        Slack = "slack",
    }

    /// State of a delivery.
    DeliveryState {
        /// It is to be sent, or sent again.
        Pending = "pending",
        /// The receiver accepted it.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
    }

    /// Origin of a fire.
    FireKind {
        /// A time of the schedule: in time, caught up, or by a backfill.
        Due = "due",
        /// A fire by hand.
        Manual = "manual",
    }

    /// Outcome of a time of a schedule.
    FireState {
        /// A run or task was started.
        Started = "started",
        /// It waits for the end of an earlier one.
        Queued = "queued",
        /// Nothing was started, because an earlier one was open.
        Overlapped = "overlapped",
        /// Nothing was started, because no server ran or the clock jumped.
        Missed = "missed",
        /// Nothing was started, because the schedule was paused.
        Paused = "paused",
        /// The start was refused.
        Refused = "refused",
    }

    /// The state of a task or step.
    TaskState {
        /// Starts at a later time.
        Scheduled = "scheduled",
        /// Needs only a slot.
        Ready = "ready",
        /// An attempt is running.
        Running = "running",
        /// An attempt failed; the next one begins later.
        Retrying = "retrying",
        /// Held by a limit or a pause.
        Held = "held",
        /// Waits for money for its next call.
        Parked = "parked",
        /// Waits for a time, a signal, a person, a run or its own steps.
        Waiting = "waiting",
        /// Ended with an output.
        Succeeded = "succeeded",
        /// Ended with an error.
        Failed = "failed",
        /// Cancelled by hand or with its run.
        Cancelled = "cancelled",
        /// Failed, and was discarded by an operator.
        Discarded = "discarded",
        /// Skipped: its condition was false, or a step before it did not succeed.
        Skipped = "skipped",
    }
    /// Converts the state of a run.
    RunState {
        /// Steps are running, or wait.
        Running = "running",
        /// Open steps are being cancelled because the run was.
        Cancelling = "cancelling",
        /// Open steps are being cancelled because the run fails.
        Failing = "failing",
        /// Ended with outputs.
        Succeeded = "succeeded",
        /// Ended with an error.
        Failed = "failed",
        /// Cancelled by hand.
        Cancelled = "cancelled",
    }
    /// The state of a worker.
    WorkerState {
        /// Works on tasks.
        Busy = "busy",
        /// Is served, and has no running tasks.
        Idle = "idle",
        /// Neither this process nor a worker host serves it.
        Absent = "absent",
    }
    /// The origin of a worker.
    WorkerSource {
        /// Part of Kapelle.
        BuiltIn = "built_in",
        /// Declared by a file of the folder of workers.
        File = "file",
        /// A script of the folder of workers.
        Script = "script",
        /// Registered by a worker host.
        Host = "host",
        /// Registered by the program that embeds Kapelle.
        Program = "program",
    }
    /// The state of a call of a model.
    CallState {
        /// Money is reserved for it.
        Open = "open",
        /// It was charged.
        Charged = "charged",
        /// It cost nothing.
        Free = "free",
        /// The result is unknown; the reservation was charged.
        Unknown = "unknown",
        /// Answered with another call's answer, without cost.
        Given = "given",
    }
    /// Whether a script is started.
    ScriptStanding {
        /// Started.
        Started = "started",
        /// Would be started by a supervisor.
        Startable = "startable",
        /// Not started, because of its settings.
        NotStarted = "not_started",
        /// Cannot be started.
        CannotStart = "cannot_start",
    }
    /// The mode of a script.
    ScriptMode {
        /// A loop of its own, which is only supervised.
        Daemon = "daemon",
        /// A process for each task.
        Task = "task",
        /// A warm process that is given tasks.
        Pool = "pool",
    }
    /// The state of a script or of one of its processes.
    ProcessState {
        /// Not started.
        Absent = "-",
        /// It has no process until a task needs one.
        Idle = "idle",
        /// Starting.
        Starting = "starting",
        /// Running.
        Running = "running",
        /// Asked to end.
        Stopping = "stopping",
        /// Waiting for its next start.
        Waiting = "waiting",
        /// Stopped.
        Stopped = "stopped",
        /// Ended by itself, and not to be restarted.
        Finished = "finished",
        /// Failed too often, and is not restarted.
        Crashed = "crashed",
        /// Ended because its money is used up, and started when there is more.
        Parked = "parked",
    }
    /// A role of a key.
    Role {
        /// Everything.
        Admin = "admin",
        /// See, submit, ask models, approve, and operate.
        Operator = "operator",
        /// See, submit and ask models.
        Developer = "developer",
        /// See.
        Viewer = "viewer",
        /// Claim tasks and report on them, and nothing else.
        Worker = "worker",
        /// Read the metrics, and nothing else.
        Metrics = "metrics",
    }
    /// A kind of action that a key allows or not.
    Right {
        /// See tasks, runs, workers and queues.
        Read = "read",
        /// Submit tasks and start runs, and cancel them.
        Submit = "submit",
        /// Answer steps that wait for a person.
        Approve = "approve",
        /// Pause, resume, retry.
        Operate = "operate",
        /// Claim tasks and report on them.
        Work = "work",
        /// Ask models.
        Ask = "ask",
        /// Keys, budgets and the audit trail.
        Administer = "administer",
    }
    /// The kind of a live event.
    LiveKind {
        /// A standalone task has ended.
        TaskEnded = "task_ended",
        /// A task has no money for its next call.
        TaskParked = "task_parked",
        /// A run was started.
        RunStarted = "run_started",
        /// A run has ended.
        RunEnded = "run_ended",
        /// A step needs only a slot.
        StepReady = "step_ready",
        /// A step waits.
        StepWaiting = "step_waiting",
        /// A step was skipped.
        StepSkipped = "step_skipped",
        /// A step has ended.
        StepEnded = "step_ended",
        /// An attempt of a step has begun.
        AttemptStarted = "attempt_started",
        /// Most of a budget is spent.
        BudgetLow = "budget_low",
        /// A worker host has registered.
        HostJoined = "host_joined",
        /// A worker host has gone away.
        HostLeft = "host_left",
        /// A worker host has fallen silent.
        HostLost = "host_lost",
        /// A worker host that had fallen silent is back.
        HostBack = "host_back",
        /// A process of a script is starting.
        WorkerStarting = "worker_starting",
        /// A process of a script is running.
        WorkerRunning = "worker_running",
        /// A process of a script is asked to end.
        WorkerStopping = "worker_stopping",
        /// A process of a script waits for its next start.
        WorkerWaiting = "worker_waiting",
        /// A process of a script was ended.
        WorkerStopped = "worker_stopped",
        /// A process of a script ended by itself.
        WorkerFinished = "worker_finished",
        /// A process of a script failed too often.
        WorkerCrashed = "worker_crashed",
        /// A process of a script waits for money.
        WorkerParked = "worker_parked",
        /// A script was found.
        WorkerFound = "worker_found",
        /// The file of a script was changed.
        WorkerChanged = "worker_changed",
        /// The file of a script was removed.
        WorkerGone = "worker_gone",
        /// A script cannot be started.
        WorkerCannotStart = "worker_cannot_start",
        /// A model writes.
        Text = "text",
        /// Events were missed: the client must reload.
        Resync = "resync",
    }
    /// The status of a health check, and of the whole.
    HealthStatus {
        /// All checks pass.
        Ok = "ok",
        /// A check that is not critical fails.
        Warning = "warning",
        /// A critical check fails.
        Critical = "critical",
        /// New work is refused.
        Stopping = "stopping",
    }
}

impl TaskState {
    /// Says whether the state is final.
    #[must_use]
    pub fn is_ended(self) -> bool {
        use TaskState::{Cancelled, Discarded, Failed, Skipped, Succeeded};
        matches!(self, Succeeded | Failed | Cancelled | Discarded | Skipped)
    }
}

impl RunState {
    /// Says whether the state is final.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, RunState::Succeeded | RunState::Failed | RunState::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_written_as_its_word_and_read_back() {
        for state in TaskState::ALL {
            let text = serde_json::to_string(state).unwrap();
            assert_eq!(text, format!("\"{state}\""));
            assert_eq!(serde_json::from_str::<TaskState>(&text).unwrap(), *state);
            assert_eq!(TaskState::from_word(state.as_str()), Some(*state));
        }
        assert_eq!(RunState::from_word("ended"), None);
        assert_eq!(serde_json::to_string(&ProcessState::Absent).unwrap(), "\"-\"");
    }
}
