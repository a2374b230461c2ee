//! Names of workers, queues, models and workflows.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// A short shared name. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

/// Why a string is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: use 1 to 80 letters, digits, `_`, `-` or `.`, beginning with a letter")]
pub struct NameError(pub String);

impl Name {
    /// Takes a name that is known to be valid (a constant, or one read back from the store).
    #[must_use]
    pub fn new(text: &str) -> Name {
        Name(Arc::from(text))
    }

    /// Checks a name that a user wrote.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, too long or holds other characters.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        let valid = text.len() <= 80
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if valid { Ok(Name::new(text)) } else { Err(NameError(text.chars().take(90).collect())) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words() {
        assert!(Name::parse("document_analyzer").is_ok());
        for text in ["", "9lives", "a b", "../x", "é", &"x".repeat(81)] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
