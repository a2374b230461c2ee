//! Sessions of the web console: keys that a one-time code gives.

use serde::{Deserialize, Serialize};

use crate::{access::Key, state::Role};

/// A one-time code for a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SessionCode {
    pub code: String,
    pub expires_in_ms: u64,
    /// The path of the console with the code, which a browser does not send to the server.
    pub path: String,
}

/// A one-time code to be exchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenSession {
    /// The code, as it was printed.
    #[serde(default)]
    pub code: String,
}

/// A new session: an ordinary key. Its secret is shown here and never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionStarted {
    /// The secret, to be sent as `Authorization: Bearer ...`.
    pub secret: String,
    /// The key.
    #[serde(flatten, deserialize_with = "crate::flat::read")]
    pub key: Key,
}

/// A session has ended: its key is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SessionEnded {
    pub id: String,
    pub revoked: bool,
}

/// The caller, as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Me {
    /// The tenant whose data it opens.
    pub tenant: u32,
    /// The role of its key.
    pub role: Role,
    /// The id of its key; `token` for the folder's own.
    pub id: String,
    /// The key's name for people.
    pub name: String,
    /// Time of the key's expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Everything that it may do.
    pub may: Vec<crate::state::Right>,
    /// Whether it sees the server as a whole: it belongs to tenant 1.
    pub server: bool,
    /// The version of the server.
    pub version: String,
}
