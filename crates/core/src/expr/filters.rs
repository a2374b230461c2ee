//! Filters, tests and functions of expressions, each charged by the data it handles.

use std::sync::LazyLock;

use minijinja::{
    Environment, Error, ErrorKind, State, UndefinedBehavior, Value, filters as built_in, tests as built_in_tests,
    value::{Rest, ValueKind, ValueOrKwargs},
};

use super::{
    exact, json,
    work::{FUEL, charge, deep_cost, shallow_cost, text_cost},
};

/// Charge of a filter before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    One,
    Items,
    Text,
    All,
    Sort,
}

/// Limit of the numbers that `range` makes.
const RANGE_MAX: i64 = 100_000;

/// Environment that all expressions share.
pub(super) static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// Makes an environment with the allow-list only.
pub(super) fn environment() -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Chainable);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(64);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_formatter(|out, state, value| {
        let text = shown(state, value)?;
        out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is too long"))
    });
    add_filters(&mut env);
    add_tests(&mut env);
    env.add_filter("_must", must);
    env.add_filter("_text", |state: &mut State, value: Value| scalar_text(state, &value));
    env.add_filter("_sum", |state: &mut State, value: Value| {
        charge(state, shallow_cost(&value))?;
        Ok::<_, Error>(value)
    });
    env.add_filter("_number", number);
    env.add_filter("_order", exact::order);
    env.add_filter("_step", step);
    env.add_function("range", range);
    env.add_global("null", Value::from(()));
    env
}

fn add_filters(env: &mut Environment<'static>) {
    let mut add = |names: &[&'static str], cost: Cost, filter: Value| {
        for name in names {
            add_filter(env, name, cost, filter.clone());
        }
    };
    add(&["abs"], Cost::One, Value::from_function(built_in::abs));
    add(&["bool"], Cost::One, Value::from_function(built_in::bool));
    add(&["length", "count"], Cost::Text, Value::from_function(built_in::length));
    add(&["dictsort"], Cost::Sort, Value::from_function(built_in::dictsort));
    add(&["first"], Cost::One, Value::from_function(built_in::first));
    add(&["float"], Cost::Text, Value::from_function(built_in::float));
    add(&["int"], Cost::Text, Value::from_function(built_in::int));
    add(&["items"], Cost::Items, Value::from_function(built_in::items));
    add(&["last"], Cost::Text, Value::from_function(built_in::last));
    add(&["list"], Cost::Items, Value::from_function(built_in::list));
    add(&["lower"], Cost::Text, Value::from_function(built_in::lower));
    add(&["upper"], Cost::Text, Value::from_function(built_in::upper));
    add(&["map"], Cost::Items, Value::from_function(built_in::map));
    add(&["max"], Cost::All, Value::from_function(built_in::max));
    add(&["min"], Cost::All, Value::from_function(built_in::min));
    add(&["reject"], Cost::Items, Value::from_function(built_in::reject));
    add(&["rejectattr"], Cost::Items, Value::from_function(built_in::rejectattr));
    add(&["reverse"], Cost::Items, Value::from_function(built_in::reverse));
    add(&["round"], Cost::One, Value::from_function(built_in::round));
    add(&["select"], Cost::Items, Value::from_function(built_in::select));
    add(&["selectattr"], Cost::Items, Value::from_function(built_in::selectattr));
    add(&["sort"], Cost::Sort, Value::from_function(built_in::sort));
    add(&["split"], Cost::Items, Value::from_function(split));
    add(&["sum"], Cost::Items, Value::from_function(sum));
    add(&["trim"], Cost::Text, Value::from_function(built_in::trim));
    add(&["keys"], Cost::Items, Value::from_function(|value: Value| parts(&value, true)));
    add(&["values"], Cost::Items, Value::from_function(|value: Value| parts(&value, false)));
    add(&["join"], Cost::Items, Value::from_function(join));
    add(&["string"], Cost::One, Value::from_function(|state: &mut State, value: Value| scalar_text(state, &value)));
    add(&["tojson"], Cost::All, Value::from_function(to_json));
    env.add_filter("default", built_in::default);
    env.add_filter("d", built_in::default);
}

fn add_filter(env: &mut Environment<'static>, name: &'static str, cost: Cost, filter: Value) {
    env.add_filter(name, move |state: &mut State, value: Value, args: Rest<ValueOrKwargs>| {
        if value.is_undefined() {
            let message = format!("`{name}` is applied to a value that is missing: use `default()` before it");
            return Err(Error::new(ErrorKind::UndefinedError, message));
        }
        let units = match cost {
            Cost::One => 1,
            Cost::Text => value.as_str().map_or(1, |text| text_cost(text.len())),
            Cost::Items => shallow_cost(&value),
            Cost::All => deep_cost(&value)?,
            Cost::Sort => {
                let items = value.len().unwrap_or(1) as u64;
                deep_cost(&value)?.saturating_mul(u64::from(64 - items.leading_zeros()).max(1)) / 4
            }
        };
        charge(state, units)?;
        let value = match name {
            "float" | "int" | "round" => exact::nearest(&value).unwrap_or(value),
            _ => value,
        };
        if matches!(name, "min" | "max" | "sort") && value.try_iter()?.any(|item| exact::is_exact(&item)) {
            for item in value.try_iter()? {
                exact::order(item)?;
            }
        }
        let mut all = vec![value];
        all.extend(args.into_values());
        filter.call(state, &all)
    });
}

fn add_tests(env: &mut Environment<'static>) {
    env.add_test("defined", built_in_tests::is_defined);
    env.add_test("undefined", built_in_tests::is_undefined);
    env.add_test("none", built_in_tests::is_none);
    env.add_test("boolean", built_in_tests::is_boolean);
    env.add_test("divisibleby", |value: &Value, other: &Value| {
        // Division by zero is refused here; the engine would try it.
        Ok::<_, Error>(!is_zero(other) && built_in_tests::is_divisibleby(value, other))
    });
    env.add_test("even", built_in_tests::is_even);
    env.add_test("odd", built_in_tests::is_odd);
    env.add_test("number", built_in_tests::is_number);
    env.add_test("integer", built_in_tests::is_integer);
    env.add_test("float", built_in_tests::is_float);
    env.add_test("string", built_in_tests::is_string);
    env.add_test("sequence", built_in_tests::is_sequence);
    env.add_test("iterable", built_in_tests::is_iterable);
    env.add_test("mapping", built_in_tests::is_mapping);
    env.add_test("startingwith", built_in_tests::is_startingwith);
    env.add_test("endingwith", built_in_tests::is_endingwith);
    env.add_test("lower", built_in_tests::is_lower);
    env.add_test("upper", built_in_tests::is_upper);
    env.add_test("true", built_in_tests::is_true);
    env.add_test("false", built_in_tests::is_false);
    env.add_test("test", built_in_tests::is_test);
    for (names, test) in [
        (["eq", "equalto", "=="], built_in_tests::is_eq as fn(&Value, &Value) -> bool),
        (["ne", "!=", "!="], built_in_tests::is_ne),
        (["lt", "<", "<"], built_in_tests::is_lt),
        (["le", "<=", "<="], built_in_tests::is_le),
        (["gt", ">", ">"], built_in_tests::is_gt),
        (["ge", ">=", ">="], built_in_tests::is_ge),
    ] {
        for name in names {
            let by_size = !matches!(names[0], "eq" | "ne");
            env.add_test(name, move |state: &mut State, value: Value, other: Value| {
                let (value, other) =
                    if by_size { (exact::order(value)?, exact::order(other)?) } else { (value, other) };
                charge(state, shallow_cost(&value).min(shallow_cost(&other)))?;
                Ok::<_, Error>(test(&value, &other))
            });
        }
    }
    env.add_test("in", |state: &mut State, value: Value, other: Value| {
        charge(state, shallow_cost(&other))?;
        built_in_tests::is_in(state, &value, &other)
    });
}

/// Checks a name that must exist.
fn must(value: Value, path: &str) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, format!("`{path}` is missing")));
    }
    Ok(value)
}

/// Checks the step of a slice: with a negative one the engine counts below zero.
fn step(value: Value) -> Result<Value, Error> {
    if value.is_none() || i64::try_from(value.clone()).is_ok_and(|step| step > 0) {
        return Ok(value);
    }
    Err(Error::new(ErrorKind::InvalidOperation, "the step of a slice must be 1 or more: use `reverse` to go backwards"))
}

/// Tells whether the value counts as zero in a calculation.
fn is_zero(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Number | ValueKind::Bool) && !value.is_true()
}

fn number(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Number | ValueKind::Bool => Ok(value),
        kind => Err(Error::new(ErrorKind::InvalidOperation, format!("`*` multiplies numbers, not a {kind}"))),
    }
}

/// Converts a scalar to text and charges for it.
fn scalar_text(state: &mut State, value: &Value) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        charge(state, text_cost(text.len()))?;
        return Ok(value.clone());
    }
    charge(state, 1)?;
    json::text(value).map(Value::from)
}

/// Formats the value of `{{ value }}` in a prompt: scalars as text, lists and maps as JSON.
/// Writes a value as the text of an HTML page or of an attribute in quotes.
pub(super) fn write_markup(out: &mut minijinja::Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let text = shown(state, value)?;
    charge(state, text_cost(text.len()))?;
    let too_long = |_| Error::new(ErrorKind::WriteFailure, "the output is too long");
    for piece in text.split_inclusive(['<', '>', '&', '"', '\'']) {
        let (plain, mark) = match piece.as_bytes().last() {
            Some(b'<') => (&piece[..piece.len() - 1], "&lt;"),
            Some(b'>') => (&piece[..piece.len() - 1], "&gt;"),
            Some(b'&') => (&piece[..piece.len() - 1], "&amp;"),
            Some(b'"') => (&piece[..piece.len() - 1], "&quot;"),
            Some(b'\'') => (&piece[..piece.len() - 1], "&#39;"),
            _ => (piece, ""),
        };
        out.write_str(plain).and_then(|()| out.write_str(mark)).map_err(too_long)?;
    }
    Ok(())
}

fn shown(state: &mut State, value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            charge(state, deep_cost(value)?)?;
            json::to_json(value).map(|json| json.to_string())
        }
        _ => {
            charge(state, value.as_str().map_or(1, |text| text_cost(text.len())))?;
            json::text(value)
        }
    }
}

fn to_json(value: Value, pretty: Option<Value>) -> Result<String, Error> {
    let json = json::to_json(&value)?;
    let bad = |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    if pretty.is_some_and(|wanted| wanted.is_true()) {
        serde_json::to_string_pretty(&json).map_err(bad)
    } else {
        serde_json::to_string(&json).map_err(bad)
    }
}

fn join(
    state: &mut State,
    value: Value,
    separator: Option<String>,
    attribute: Option<String>,
) -> Result<String, Error> {
    let separator = separator.unwrap_or_default();
    let mut joined = String::new();
    for (index, item) in value.try_iter()?.enumerate() {
        let item = match &attribute {
            Some(name) => item.get_attr(name)?,
            None => item,
        };
        let text = json::text(&item)?;
        charge(state, text_cost(text.len() + separator.len()))?;
        if index > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(&text);
    }
    Ok(joined)
}

fn split(state: &mut State, value: &str, separator: Option<String>, most: Option<i64>) -> Result<Value, Error> {
    charge(state, value.len() as u64 / 4)?;
    let most = most.and_then(|most| usize::try_from(most).ok()).map_or(usize::MAX, |most| most.saturating_add(1));
    let pieces: Vec<Value> = match separator {
        Some(separator) => value.splitn(most, separator.as_str()).map(Value::from).collect(),
        None => value.split_whitespace().map(Value::from).collect(),
    };
    Ok(Value::from(pieces))
}

fn sum(value: Value) -> Result<Value, Error> {
    let (mut whole, mut float, mut exact) = (0i128, 0f64, true);
    for item in value.try_iter()? {
        if item.is_integer() && exact {
            let next = i128::try_from(item).ok().and_then(|item| whole.checked_add(item));
            whole = next.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the sum is too large"))?;
            continue;
        }
        if !item.is_number() {
            let message = format!("`sum` adds numbers, not a {}", item.kind());
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        if exact {
            (float, exact) = (whole as f64, false);
        }
        float += f64::try_from(item)?;
    }
    Ok(if exact { i64::try_from(whole).map_or_else(|_| Value::from(whole), Value::from) } else { Value::from(float) })
}

fn parts(value: &Value, keys: bool) -> Result<Value, Error> {
    if value.kind() != ValueKind::Map {
        let message = format!("only maps have keys and values, not a {}", value.kind());
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    let mut found = Vec::new();
    for key in value.try_iter()? {
        found.push(if keys { key } else { value.get_item(&key)? });
    }
    Ok(Value::from(found))
}

fn range(state: &mut State, first: i64, end: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    let (start, end) = end.map_or((0, first), |end| (first, end));
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Error::new(ErrorKind::InvalidOperation, "`range` needs a step other than 0"));
    }
    let span = i128::from(end) - i128::from(start);
    let count =
        if (span > 0) == (step > 0) { (span.abs() + i128::from(step).abs() - 1) / i128::from(step).abs() } else { 0 };
    if count > i128::from(RANGE_MAX) {
        return Err(Error::new(ErrorKind::OutOfFuel, format!("`range` makes at most {RANGE_MAX} numbers")));
    }
    charge(state, count as u64)?;
    // `index * step` alone may exceed 64 bits where the number itself does not.
    let number = |index: i128| i128::from(start) + index * i128::from(step);
    Ok(Value::from((0..count).map(|index| Value::from(number(index) as i64)).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::allowed::{FILTERS, TESTS},
        *,
    };

    #[test]
    fn every_name_of_the_allow_list_exists() {
        let env = environment();
        for name in FILTERS {
            let known = env.compile_expression_owned(format!("x|{name}")).unwrap().eval(());
            assert!(known.map_or_else(|error| error.kind() != ErrorKind::UnknownFilter, |_| true), "{name}");
        }
        for name in TESTS {
            let known = env.compile_expression_owned(format!("'{name}' is test")).unwrap().eval(()).unwrap();
            assert!(known.is_true(), "{name}");
        }
    }
}
