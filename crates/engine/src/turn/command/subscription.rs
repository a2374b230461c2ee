//! Commands to subscriptions and deliveries.

use std::sync::Arc;

use kapelle_core::{
    Name, TenantId, Timestamp,
    subscription::{Occurrence, SubscriptionSpec},
};
use serde::{Deserialize, Serialize};

/// Creation or change of a subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct PutSubscription {
    pub tenant: TenantId,
    pub name: Name,
    /// Subscription, checked.
    pub spec: Arc<SubscriptionSpec>,
    /// Salt of the secret of a new one.
    pub salt: Arc<str>,
    /// Whether it takes the place of another of that name, whose state and secrets it keeps. Otherwise it is new.
    pub replace: bool,
}

/// Pause or resumption of a subscription. A resumption also ends that it was disabled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct PauseSubscription {
    pub tenant: TenantId,
    pub name: Name,
    pub paused: bool,
    pub reason: Arc<str>,
}

/// Deletion of a subscription with its deliveries.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct DeleteSubscription {
    pub tenant: TenantId,
    pub name: Name,
}

/// A new secret for a subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct RotateSecret {
    pub tenant: TenantId,
    pub name: Name,
    /// Salt of the new secret.
    pub salt: Arc<str>,
    /// Time until which the former secret signs, too.
    pub until: Timestamp,
}

/// An event for one subscription, to try it. Returns the id of its delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct TestSubscription {
    pub tenant: TenantId,
    pub name: Name,
}

/// A new delivery of an event that was delivered or given up. Returns its id.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ReplayDelivery {
    pub tenant: TenantId,
    pub name: Name,
    pub delivery: i64,
}

/// Result of an attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryOutcome {
    /// The receiver accepted it.
    Accepted {
        /// HTTP status.
        status: u16,
    },
    /// It is tried again later.
    Refused {
        /// HTTP status, if there was an answer.
        status: Option<u16>,
        /// Reason, for people.
        error: Arc<str>,
        /// Pause that the receiver asked for, in milliseconds.
        retry_after_ms: Option<i64>,
    },
    /// The receiver wants no more events (410).
    Gone,
}

/// End of an attempt to deliver.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Delivered {
    pub delivery: i64,
    /// Revision of the delivery that was sent. The end of an older attempt changes nothing.
    pub revision: u32,
    pub outcome: DeliveryOutcome,
}

/// An event that is no change of a row, such as a host that fell silent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Announce {
    pub told: Arc<Occurrence>,
}
