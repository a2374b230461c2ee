//! Numbers that neither a 128-bit integer nor a double holds: expressions pass them on with every digit, and do not
//! calculate with them.

use std::{cmp::Ordering, fmt, sync::Arc};

use minijinja::{
    Error, ErrorKind, Value,
    value::{DynObject, Object, ObjectRepr},
};
use serde_json::Number;

use crate::number::is_exact_double;

/// A number as it was written.
#[derive(Debug)]
pub(super) struct Exact(Number);

impl Exact {
    /// Returns the number.
    pub fn number(&self) -> &Number {
        &self.0
    }
}

impl Object for Exact {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Exact>().map(|other| self.0.as_str().cmp(other.0.as_str()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Converts a number to the engine's form.
pub(super) fn from_number(number: &Number) -> Value {
    if let Some(int) = number.as_i64().filter(|int| *int != 0) {
        return Value::from(int);
    }
    let text = number.as_str();
    if text == "0" {
        return Value::from(0);
    }
    if let Ok(int) = text.parse::<u64>() {
        return Value::from(int);
    }
    if let (Ok(int), false) = (text.parse::<i128>(), text == "-0") {
        return Value::from(int);
    }
    if let Ok(int) = text.parse::<u128>() {
        return Value::from(int);
    }
    match number.as_f64() {
        Some(float) if is_exact_double(text, float) => Value::from(float),
        _ => Value::from_object(Exact(number.clone())),
    }
}

/// Tells whether the value is a number that cannot be calculated with.
pub(super) fn is_exact(value: &Value) -> bool {
    value.downcast_object_ref::<Exact>().is_some()
}

/// Returns the nearest double, for `| float`, `| int` or `| round`.
pub(super) fn nearest(value: &Value) -> Option<Value> {
    value.downcast_object_ref::<Exact>()?.0.as_f64().map(Value::from)
}

/// Checks an operand that is compared by size.
pub(super) fn order(value: Value) -> Result<Value, Error> {
    match value.downcast_object_ref::<Exact>() {
        None => Ok(value),
        Some(exact) => Err(inexact(exact)),
    }
}

fn inexact(exact: &Exact) -> Error {
    let shown: String = exact.0.as_str().chars().take(40).collect();
    let message = format!(
        "`{shown}` has more digits than can be calculated with: write `value | float` to work with the nearest"
    );
    Error::new(ErrorKind::InvalidOperation, message)
}
