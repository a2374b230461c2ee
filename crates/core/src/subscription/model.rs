//! A subscription and its state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::filter::{Filter, FilterError};
use crate::time::Timestamp;

/// Form of the body that a receiver gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyFormat {
    /// The event as a structured CloudEvent.
    #[default]
    CloudEvent,
    /// A message of one line, in the shape of Slack's incoming webhooks.
    Slack,
}

/// A subscription as it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SubscriptionSpec {
    /// Address that gets the events.
    pub url: Arc<str>,
    #[serde(default)]
    pub format: BodyFormat,
    /// Kinds of events, with an ending `*`.
    pub types: Arc<[Arc<str>]>,
    /// Expression over `event`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Arc<str>>,
    /// Whether an event waits until those before it with the same subject were delivered or given up.
    #[serde(default)]
    pub ordered: bool,
    /// The key that made it; `None` for the owner of the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    pub created_at: Timestamp,
}

impl SubscriptionSpec {
    /// Reads the filter.
    ///
    /// # Errors
    /// When it is invalid.
    pub fn filter(&self) -> Result<Filter, FilterError> {
        Filter::parse(&self.types, self.condition.as_deref())
    }
}

/// A signing secret. The secret itself is not stored: it is derived from this salt and the key of the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Random text.
    pub salt: Arc<str>,
    /// Time after which it signs no more; `None` for the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// State of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionState {
    /// Reason of a pause. Events are recorded and wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Arc<str>>,
    /// Reason why the receiver ended it. Events are not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Arc<str>>,
    /// Current secret first, then those that still sign.
    pub secrets: Vec<Secret>,
}

impl SubscriptionState {
    /// Makes the state of a new subscription.
    #[must_use]
    pub fn new(salt: Arc<str>) -> SubscriptionState {
        SubscriptionState { paused: None, disabled: None, secrets: vec![Secret { salt, until: None }] }
    }

    /// Adds a new current secret. The former one signs, too, until `until`; earlier ones stop.
    pub fn rotate(&mut self, salt: Arc<str>, until: Timestamp) {
        self.secrets.truncate(1);
        self.secrets.iter_mut().for_each(|secret| secret.until = Some(until));
        self.secrets.insert(0, Secret { salt, until: None });
    }

    /// Returns the secrets that sign at a time.
    pub fn signing(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().filter(move |secret| secret.until.is_none_or(|until| now < until))
    }

    /// Tells whether deliveries are sent.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.paused.is_none() && self.disabled.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_secret_signs_beside_the_new_one_for_a_time() {
        let mut state = SubscriptionState::new("a".into());
        state.rotate("b".into(), Timestamp(100));
        let salts = |state: &SubscriptionState, now| {
            state.signing(Timestamp(now)).map(|secret| secret.salt.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(salts(&state, 99), ["b", "a"]);
        assert_eq!(salts(&state, 100), ["b"]);
        state.rotate("c".into(), Timestamp(200));
        assert_eq!(salts(&state, 50), ["c", "b"], "two signatures at most");
    }
}
