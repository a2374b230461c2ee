//! Secrets that settings of workers refer to: `secrets: { NAME: { env, file } }` in `kapelle.yaml`.

use serde::{Deserialize, Serialize};

/// The place of a secret: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretConfig {
    /// The variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// The file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl SecretConfig {
    /// Checks the name and the place.
    ///
    /// # Errors
    /// The problem, for the person who wrote the file.
    pub(crate) fn check(&self, name: &str) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(format!("`{name}` is not a name; write letters, digits, `_` and `-`, such as smtp_password"));
        }
        match (&self.env, &self.file) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => Err("expected `env` or `file`, and not both; write `{ env: VARIABLE }`".to_owned()),
        }
    }
}
