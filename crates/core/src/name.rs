//! Names of workers, queues, models and workflows.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// A short shared name. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

/// Error of a string that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: use 1 to 80 letters, digits, `_`, `-` or `.`, beginning with a letter")]
pub struct NameError(pub String);

/// Size limit of a concurrency key, in bytes.
pub const KEY_MAX: usize = 200;

/// Error of a text that is not a concurrency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is empty.
    #[error("a key is empty; expected 1 to {KEY_MAX} bytes of text, or leave it out")]
    Empty,
    /// It is longer than the limit, in bytes.
    #[error("a key has {0} bytes; expected at most {KEY_MAX}: hash longer ones")]
    Long(usize),
    /// It holds NUL.
    #[error("a key holds the character NUL; expected 1 to {KEY_MAX} bytes of other text")]
    Nul,
}

impl Name {
    /// Checks a concurrency key. It is user data, such as an id or an e-mail address, so it may be any text.
    ///
    /// # Errors
    /// [`KeyError`] when it is empty, longer than [`KEY_MAX`] or holds NUL.
    pub fn key(text: &str) -> Result<Name, KeyError> {
        match text.len() {
            0 => Err(KeyError::Empty),
            length if length > KEY_MAX => Err(KeyError::Long(length)),
            _ if text.contains('\0') => Err(KeyError::Nul),
            _ => Ok(Name::new(text)),
        }
    }

    /// Makes a name from a valid text (a constant, or one read from the store).
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

    /// Returns the text.
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
    fn keys_are_any_text() {
        for text in
            ["42", "a@b.example", "tenant/7", "é", " ", "0190c8a2-7b1e-7cc0-98c4-dc0c0c07398f", &"x".repeat(200)]
        {
            assert_eq!(Name::key(text).unwrap().as_str(), text);
        }
        for text in ["", "a\0b", &"x".repeat(201), &"é".repeat(101)] {
            assert!(Name::key(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_plain_words() {
        assert!(Name::parse("document_analyzer").is_ok());
        for text in ["", "9lives", "a b", "../x", "é", &"x".repeat(81)] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
