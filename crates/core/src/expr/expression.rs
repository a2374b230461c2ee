//! One expression, compiled once and evaluated often.

use std::{fmt, sync::Arc};

use minijinja::{ErrorKind, Value};
use serde_json::Value as Json;

use super::{
    SOURCE_MAX,
    context::{Context, Shared},
    error::{ExprError, ExprErrorKind},
    guard::Guarded,
    json,
    path::Path,
    program::{self, ProgramId},
};

/// A compiled expression. Cloning copies a pointer.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    source: Box<str>,
    references: Box<[Path]>,
    code: Code,
}

enum Code {
    /// A path that must exist and nothing else: looked up without the engine.
    Path,
    Program(ProgramId),
}

impl Expression {
    /// Compiles an expression, with or without `${{ }}` around it.
    ///
    /// # Errors
    /// When it is longer than [`SOURCE_MAX`], not an expression, or uses an unknown name.
    pub fn compile(source: &str) -> Result<Expression, ExprError> {
        let trimmed = source.trim();
        if let Some(inner) = trimmed.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")) {
            let start = source.len() - source.trim_start().len() + 3;
            return Expression::bare(inner).map_err(|error| error.shifted(start));
        }
        Expression::bare(source)
    }

    /// Compiles an expression without `${{ }}`.
    pub(super) fn bare(source: &str) -> Result<Expression, ExprError> {
        if source.len() > SOURCE_MAX {
            let message = format!("the expression has {} bytes; at most {SOURCE_MAX} are allowed", source.len());
            return Err(ExprError::new(ExprErrorKind::Limit, message).hint("move the work into a step"));
        }
        let mut checked = program::check(source)?;
        let references = std::mem::take(&mut checked.references).into();
        let code = if checked.plain {
            Code::Path
        } else {
            program::compile(checked)?;
            Code::Program(ProgramId::next())
        };
        Ok(Expression(Arc::new(Compiled { source: source.into(), references, code })))
    }

    /// Returns the source text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Returns the references, in the order of the text.
    #[must_use]
    pub fn references(&self) -> &[Path] {
        &self.0.references
    }

    /// Evaluates without converting the result.
    ///
    /// # Errors
    /// When a value is missing, has the wrong type, or a limit is exceeded.
    pub fn eval_shared(&self, context: &Context) -> Result<Shared, ExprError> {
        let value = match &self.0.code {
            Code::Path => walk(&self.0.references[0], context)?,
            Code::Program(id) => {
                let program = program::of(*id, &self.0.source)?;
                program.compiled.eval(context.value()).map_err(|error| {
                    let explained = place(explain(&error), &error, &program.guarded);
                    self.locate(explained, context)
                })?
            }
        };
        if value.is_undefined() {
            let message = format!("`{}` has no value", self.0.source.trim());
            return Err(ExprError::new(ExprErrorKind::Missing, message).hint("use `default()` to give it one"));
        }
        Ok(Shared(value))
    }

    /// Evaluates to JSON.
    ///
    /// # Errors
    /// See [`Expression::eval_shared`]; also when the result is larger than [`super::RESULT_MAX`].
    pub fn eval(&self, context: &Context) -> Result<Json, ExprError> {
        self.eval_shared(context)?.to_json()
    }

    /// Evaluates as a condition: empty, zero, `false` and `null` are false.
    ///
    /// # Errors
    /// See [`Expression::eval_shared`].
    pub fn eval_bool(&self, context: &Context) -> Result<bool, ExprError> {
        Ok(self.eval_shared(context)?.0.is_true())
    }

    /// Evaluates to text: strings verbatim, numbers and booleans as JSON.
    pub(super) fn eval_text(&self, context: &Context) -> Result<String, ExprError> {
        json::text(&self.eval_shared(context)?.0).map_err(|error| explain(&error))
    }

    /// Adds to the error the part of a missing path that exists.
    fn locate(&self, mut error: ExprError, context: &Context) -> ExprError {
        if error.kind == ExprErrorKind::Missing {
            let missing = self.references().iter().filter(|path| !path.optional && !path.open);
            let mut labelled = missing.filter(|path| error.message == format!("`{path}` is missing"));
            if let Some(Err(better)) = labelled.next().map(|path| walk(path, context)) {
                error = better;
            }
        }
        error
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.0.source)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.0.source == other.0.source
    }
}

/// Looks a path up. The error names the part that exists.
fn walk(path: &Path, context: &Context) -> Result<Value, ExprError> {
    let lookup = |value: &Value, part: &str| match part.parse::<usize>() {
        Ok(index) if value.kind() != minijinja::value::ValueKind::Map => value.get_item_by_index(index),
        _ => value.get_attr(part),
    };
    let mut at = context.get(path.root()).map_or(Value::UNDEFINED, |shared| shared.0.clone());
    for (depth, part) in path.parts.iter().enumerate().skip(1) {
        if at.is_undefined() {
            return Err(missing(path, depth - 1));
        }
        at = lookup(&at, part).unwrap_or(Value::UNDEFINED);
    }
    if at.is_undefined() { Err(missing(path, path.parts.len() - 1)) } else { Ok(at) }
}

fn missing(path: &Path, depth: usize) -> ExprError {
    let known = Path { parts: path.parts[..depth].into(), ..path.clone() };
    let message = match depth {
        0 => format!("`{path}` is missing: there is no `{}` here", path.root()),
        _ => format!("`{path}` is missing: `{known}` has no `{}`", path.parts[depth]),
    };
    ExprError::new(ExprErrorKind::Missing, message)
        .at(path.offset)
        .hint("use `| default(...)` or `is defined` when it may be missing")
}

/// Converts an error of the engine.
pub(super) fn explain(error: &minijinja::Error) -> ExprError {
    let kind = match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::BadEscape => ExprErrorKind::Syntax,
        ErrorKind::UndefinedError => ExprErrorKind::Missing,
        ErrorKind::OutOfFuel | ErrorKind::WriteFailure => ExprErrorKind::Limit,
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => {
            ExprErrorKind::Unknown
        }
        _ => ExprErrorKind::Type,
    };
    let detail = error.detail().map(str::to_owned);
    let message = match (error.kind(), detail) {
        (ErrorKind::OutOfFuel, None) => "the expression takes too many steps".to_owned(),
        (_, Some(detail)) => detail,
        (other, None) => other.to_string(),
    };
    let mut message = message;
    if message.len() > 400 {
        let cut = (0..=400).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
        message.truncate(cut);
        message.push('…');
    }
    ExprError::new(kind, message)
}

/// Sets the position of an error in the original text.
pub(super) fn place(explained: ExprError, error: &minijinja::Error, guarded: &Guarded) -> ExprError {
    match error.range() {
        Some(range) if explained.offset.is_none() => {
            let offset = guarded.original(range.start.min(guarded.source.len()));
            explained.at(offset)
        }
        _ => explained,
    }
}
