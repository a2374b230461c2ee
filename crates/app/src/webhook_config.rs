//! Receivers of events: `webhooks: { hosts, private, insecure }` in `kapelle.yaml`.

use serde::{Deserialize, Serialize};

/// The receivers that subscriptions may name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhooksConfig {
    /// Public hosts: `any`, names, `*.example.com`, with an optional port.
    pub hosts: Vec<String>,
    /// Hosts that may have private addresses, each named.
    pub private: Vec<String>,
    /// Whether public hosts may be reached without TLS.
    pub insecure: bool,
}

impl Default for WebhooksConfig {
    fn default() -> WebhooksConfig {
        WebhooksConfig { hosts: vec!["any".to_owned()], private: Vec::new(), insecure: false }
    }
}
