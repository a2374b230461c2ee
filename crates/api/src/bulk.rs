//! One act on many things.

use serde::{Deserialize, Serialize};

use crate::{
    query::{DeadQuery, RunQuery, TaskQuery},
    task::Reason,
};

/// An act on many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunAct {
    /// Cancel those that have not ended.
    Cancel,
    /// Run those that have ended again, with the results of steps that succeeded.
    Rerun,
    /// Pause those that are running.
    Pause,
    /// Resume those that are paused.
    Resume,
}

/// An act on many tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TaskAct {
    /// Cancel those that have not ended.
    Cancel,
}

/// An act on many dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeadAct {
    /// Retry, the counts at zero.
    Retry,
    /// Discard.
    Discard,
}

macro_rules! bulk {
    ($(#[$doc:meta] $name:ident($act:ident, $query:ident);)*) => {$(
        #[$doc]
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// The action for each of them.
            pub action: $act,
            /// Their ids, at most 1,000; or a filter instead.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub ids: Option<Vec<String>>,
            /// A filter, of which the first 1,000 are taken. `limit` and `cursor` have no effect.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub filter: Option<$query>,
            /// Whether only to say what would be done.
            #[serde(default)]
            pub dry_run: bool,
            /// The reason, for people.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub reason: Option<String>,
        }

        impl $name {
            /// Returns the reason as single requests have it.
            #[must_use]
            pub fn why(&self) -> Reason {
                Reason { reason: self.reason.clone() }
            }
        }
    )*};
}

bulk! {
    /// One act on many runs.
    BulkRuns(RunAct, RunQuery);
    /// One act on many tasks outside of runs.
    BulkTasks(TaskAct, TaskQuery);
    /// One act on many dead letters.
    BulkDead(DeadAct, DeadQuery);
}

/// A thing that refused an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct BulkRefusal {
    pub id: String,
    /// The reason, for people.
    pub detail: String,
}

/// The result of an act on many things.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BulkResult {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Things that the ids or the filter name.
    pub matched: u64,
    /// Things on which the act took effect; with `dry_run`, on which it would.
    pub done: u64,
    /// Their ids; after `rerun` those of the new runs.
    pub ids: Vec<String>,
    /// Things that refused, at most 100 of them.
    pub refused: Vec<BulkRefusal>,
    /// Whether the filter matches more than 1,000.
    pub more: bool,
    /// The last one that the ids or the filter name. With `more`, the same filter with this as its `before` goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Cost of those of `done` until now; a second time may cost as much.
    pub spent_nanousd: u64,
}

/// Dead letters with the same error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct DeadGroup {
    pub worker: String,
    pub category: String,
    /// The error, with `#` in place of numbers and ids.
    pub message: String,
    pub tasks: u64,
    pub newest_at: String,
    pub oldest_at: String,
    /// The ids of the newest ones, at most 1,000.
    pub ids: Vec<String>,
}

/// Dead letters by worker and error, the largest groups first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeadGroups {
    /// At most 200 groups.
    pub groups: Vec<DeadGroup>,
    /// Whether there are more dead letters than the 5,000 newest, which were looked at.
    pub more: bool,
}
