//! What is wrong with an expression, where, and what to write instead.

use std::fmt;

/// The kinds of error an expression can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExprErrorKind {
    /// The text is not an expression.
    Syntax,
    /// It uses a filter, test or function that does not exist.
    Unknown,
    /// A value is not there.
    Missing,
    /// A value has the wrong type, or an operation cannot be done.
    Type,
    /// It is too long, too deep, too slow or makes too much.
    Limit,
}

/// Why an expression could not be compiled or evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ExprError {
    /// What kind of error it is.
    pub kind: ExprErrorKind,
    /// What is wrong, for a person.
    pub message: String,
    /// Where it is wrong, in bytes from the start of the text.
    pub offset: Option<usize>,
    /// The field that holds the text, such as `text` or `items[2].name`.
    pub field: Option<String>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl ExprError {
    /// An error with nothing but a message.
    #[must_use]
    pub fn new(kind: ExprErrorKind, message: impl Into<String>) -> ExprError {
        ExprError { kind, message: message.into(), offset: None, field: None, hint: None }
    }

    /// The same error at that byte.
    #[must_use]
    pub fn at(mut self, offset: usize) -> ExprError {
        self.offset = Some(offset);
        self
    }

    /// The same error with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> ExprError {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, `bytes` further on in the text.
    #[must_use]
    pub(super) fn shifted(mut self, bytes: usize) -> ExprError {
        self.offset = self.offset.map(|offset| offset + bytes);
        self
    }

    /// The same error in that field.
    #[must_use]
    pub(super) fn in_field(mut self, field: &str) -> ExprError {
        self.field = Some(field.to_owned());
        self
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = self.field.as_deref().filter(|field| !field.is_empty()) {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}
