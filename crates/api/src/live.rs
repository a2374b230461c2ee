//! Live events.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::LiveKind;

/// A live event. Fields that its kind does not have are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "fields are named for what they hold, as in the answers that have them too")]
pub struct LiveEvent {
    pub event: LiveKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The state of the task or the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Thing that the step waits for.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Value>,
    /// Reason for which the step was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_nanousd: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_nanousd: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_nanousd: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The name of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The id of the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The number of the process of the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The number of the answer within the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// The bytes of the answer before `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Place behind this event, on WebSockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl LiveEvent {
    /// Makes an event without fields.
    #[must_use]
    pub fn of(event: LiveKind) -> LiveEvent {
        LiveEvent {
            event,
            at: None,
            run: None,
            step: None,
            task: None,
            worker: None,
            queue: None,
            state: None,
            attempt: None,
            waits_for: None,
            reason: None,
            account: None,
            limit_nanousd: None,
            spent_nanousd: None,
            needs_nanousd: None,
            host: None,
            name: None,
            id: None,
            instance: None,
            detail: None,
            part: None,
            offset: None,
            text: None,
            cursor: None,
        }
    }
}
