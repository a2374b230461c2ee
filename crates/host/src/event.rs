//! Events of a host, for the person who runs it.

use std::fmt;

/// Something that happened to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum HostEvent {
    /// The server is not reached; the host tries again each second.
    WaitingForServer {
        /// The error of the last try.
        error: String,
    },
    /// The host claims tasks from now on.
    Working {
        /// Its id on the server.
        id: String,
        /// The address of the server.
        server: String,
        /// The number of tasks that it works on at once.
        slots: u32,
    },
    /// The server, or something on the way to it, lets no stream through, so the host claims tasks by long polls.
    Polling {
        /// Status that refused the stream, or the time in which nothing came.
        why: String,
    },
    /// The key may not serve these workers.
    LeftOut { workers: Vec<String> },
    /// A claimed task is for a worker that the host does not have, and was released.
    NoSuchWorker {
        /// The id of the task.
        task: String,
        /// The name of the worker.
        worker: String,
    },
    /// The server did not accept a report.
    ReportRefused {
        /// The lease token of the attempt; of a whole batch when left out.
        lease_token: Option<String>,
        /// The reason that the server gave.
        why: String,
    },
    /// The host was asked to end, and finishes the attempts under way.
    Draining,
}

impl HostEvent {
    /// Says whether the event needs attention.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        !matches!(self, HostEvent::WaitingForServer { .. } | HostEvent::Working { .. } | HostEvent::Draining)
    }
}

impl fmt::Display for HostEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostEvent::WaitingForServer { error } => write!(f, "waiting for the server: {error}"),
            HostEvent::Working { id, server, slots } => write!(f, "{id} works for {server} with {slots} slots"),
            HostEvent::Polling { why } => write!(f, "polling for tasks, since they cannot be pushed: {why}"),
            HostEvent::LeftOut { workers } => {
                let names = workers.join(", ");
                write!(f, "the key may not serve these workers, which the server runs itself: {names}")
            }
            HostEvent::NoSuchWorker { task, worker } => {
                write!(f, "{task} was released: it is for the worker `{worker}`, which this host does not have")
            }
            HostEvent::ReportRefused { lease_token: Some(token), why } => {
                write!(f, "the report of attempt {token} was refused: {why}")
            }
            HostEvent::ReportRefused { lease_token: None, why } => write!(f, "a report was refused: {why}"),
            HostEvent::Draining => {
                write!(f, "stopping: running attempts are finished; press Ctrl-C again to release them")
            }
        }
    }
}
