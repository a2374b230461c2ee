//! The allow-list: names that an expression may use, and messages about others.

use super::error::{ExprError, ExprErrorKind};
use crate::definition::nearest;

pub(super) const FILTERS: [&str; 33] = [
    "abs",
    "bool",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "int",
    "items",
    "join",
    "keys",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "tojson",
    "trim",
    "upper",
    "values",
];

pub(super) const TESTS: [&str; 29] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

const FUNCTIONS: [&str; 1] = ["range"];

/// Returns the filters of the expression language.
#[must_use]
pub fn filter_names() -> &'static [&'static str] {
    &FILTERS
}

/// Returns the tests of the expression language, as in `x is defined`.
#[must_use]
pub fn test_names() -> &'static [&'static str] {
    &TESTS
}

/// Refuses filters that do not exist.
pub(super) fn check_filter(name: &str) -> Result<(), ExprError> {
    check("filter", name, &FILTERS)
}

/// Refuses tests that do not exist.
pub(super) fn check_test(name: &str) -> Result<(), ExprError> {
    check("test", name, &TESTS)
}

/// Refuses functions that do not exist.
pub(super) fn check_function(name: &str) -> Result<(), ExprError> {
    if FILTERS.contains(&name) {
        let message = format!("`{name}` is a filter, not a function");
        return Err(ExprError::new(ExprErrorKind::Unknown, message).hint(format!("write `value | {name}`")));
    }
    check("function", name, &FUNCTIONS)
}

fn check(what: &str, name: &str, known: &[&str]) -> Result<(), ExprError> {
    if known.contains(&name) {
        return Ok(());
    }
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", known.join(", ")),
    };
    Err(ExprError::new(ExprErrorKind::Unknown, format!("there is no {what} `{name}`")).hint(hint))
}
