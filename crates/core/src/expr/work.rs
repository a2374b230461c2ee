//! Work limits of one evaluation. The engine counts instructions; this module counts the data that each of them
//! handles.

use minijinja::{Error, ErrorKind, State, Value, value::ValueKind};

/// Work units of one evaluation: an item costs one, 16 bytes of text cost one.
pub(super) const WORK_MAX: u64 = 1_000_000;
/// Instruction limit of one evaluation.
pub(super) const FUEL: u64 = 20_000;
/// Instruction limit of one prompt: enough for a list of thousands, not for nested loops over one.
pub(super) const PROMPT_FUEL: u64 = 1_000_000;
/// Depth limit of data.
pub(super) const DEPTH_MAX: usize = 256;

struct Spent(u64);

/// Charges units to the evaluation.
pub(super) fn charge(state: &mut State, units: u64) -> Result<(), Error> {
    let spent = state.get_or_insert_extension(Spent(0));
    spent.0 = spent.0.saturating_add(units);
    if spent.0 > WORK_MAX { Err(too_much()) } else { Ok(()) }
}

/// Makes the error of an evaluation that exceeds its work limit.
pub(super) fn too_much() -> Error {
    Error::new(ErrorKind::OutOfFuel, "the expression handles too much data")
}

/// Returns the cost of reading that many bytes of text.
pub(super) fn text_cost(bytes: usize) -> u64 {
    1 + bytes as u64 / 16
}

/// Returns the cost of walking over the direct items of a value.
pub(super) fn shallow_cost(value: &Value) -> u64 {
    match value.as_str() {
        Some(text) => text_cost(text.len()),
        None => 1 + value.len().unwrap_or(0) as u64,
    }
}

/// Returns the cost of walking over a value with everything in it; stops counting at the limit.
pub(super) fn deep_cost(value: &Value) -> Result<u64, Error> {
    let mut total = 0;
    add_deep(value, 0, &mut total)?;
    Ok(total)
}

fn add_deep(value: &Value, depth: usize, total: &mut u64) -> Result<(), Error> {
    *total += shallow_cost(value);
    if *total > WORK_MAX || depth > DEPTH_MAX {
        return Err(too_much());
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            for item in value.try_iter()? {
                add_deep(&item, depth + 1, total)?;
            }
        }
        ValueKind::Map => {
            for key in value.try_iter()? {
                *total += shallow_cost(&key);
                add_deep(&value.get_item(&key)?, depth + 1, total)?;
            }
        }
        _ => {}
    }
    Ok(())
}
