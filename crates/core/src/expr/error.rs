//! Errors of expressions, with their position and advice.

use std::fmt;

/// Kinds of expression errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExprErrorKind {
    /// The text is not an expression.
    Syntax,
    /// It uses a filter, test or function that does not exist.
    Unknown,
    /// A value is missing.
    Missing,
    /// A value has the wrong type, or an operation is not possible.
    Type,
    /// It is too long, too deep, too slow or produces too much.
    Limit,
}

/// Error of compiling or evaluating an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ExprError {
    /// Kind of the error.
    pub kind: ExprErrorKind,
    /// Problem, for a person.
    pub message: String,
    /// Position in bytes from the start of the text.
    pub offset: Option<usize>,
    /// Field that holds the text, such as `text` or `items[2].name`.
    pub field: Option<String>,
    /// Advice.
    pub hint: Option<String>,
}

impl ExprError {
    /// Makes an error with only a message.
    #[must_use]
    pub fn new(kind: ExprErrorKind, message: impl Into<String>) -> ExprError {
        ExprError { kind, message: message.into(), offset: None, field: None, hint: None }
    }

    /// Sets the position in bytes.
    #[must_use]
    pub fn at(mut self, offset: usize) -> ExprError {
        self.offset = Some(offset);
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> ExprError {
        self.hint = Some(hint.into());
        self
    }

    /// Moves the position `bytes` further on.
    #[must_use]
    pub(super) fn shifted(mut self, bytes: usize) -> ExprError {
        self.offset = self.offset.map(|offset| offset + bytes);
        self
    }

    /// Sets the field.
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
