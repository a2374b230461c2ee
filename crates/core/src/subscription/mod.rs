//! Subscriptions: which events of the product are told to whom, and when a delivery is tried again.

mod cloud_event;
mod event_kind;
mod filter;
mod model;
mod retry_plan;

pub use cloud_event::{Occurrence, event_id, number};
pub use event_kind::{EventKind, PREFIX};
pub use filter::{Filter, FilterError, PATTERNS_MAX};
pub use model::{BodyFormat, Secret, SubscriptionSpec, SubscriptionState};
pub use retry_plan::{ATTEMPTS_MAX, retry_at};
