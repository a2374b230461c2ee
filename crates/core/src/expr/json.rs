//! Conversion between JSON and the engine's values: key order, integers and floats are preserved.

use minijinja::{Error, ErrorKind, Value, value::ValueKind};
use serde_json::{Map, Number, Value as Json};

use super::{
    RESULT_MAX,
    exact::{Exact, from_number},
    work::{DEPTH_MAX, too_much},
};

/// Converts a JSON value to the engine's form.
pub(super) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => from_number(number),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(map) => Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), from_json(value)))),
    }
}

/// Converts a value to JSON, up to [`RESULT_MAX`].
pub(super) fn to_json(value: &Value) -> Result<Json, Error> {
    let mut room = RESULT_MAX;
    convert(value, 0, &mut room)
}

fn take(room: &mut usize, bytes: usize) -> Result<(), Error> {
    *room = room.checked_sub(bytes).ok_or_else(|| {
        Error::new(ErrorKind::OutOfFuel, format!("the result is larger than {} MiB", RESULT_MAX >> 20))
    })?;
    Ok(())
}

fn convert(value: &Value, depth: usize, room: &mut usize) -> Result<Json, Error> {
    take(room, 4)?;
    if depth > DEPTH_MAX {
        return Err(too_much());
    }
    match value.kind() {
        ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number => Ok(Json::Number(to_number(value)?)),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            take(room, text.len())?;
            Ok(Json::String(text.to_owned()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter()? {
                items.push(convert(&item, depth + 1, room)?);
            }
            Ok(Json::Array(items))
        }
        ValueKind::Map => {
            let mut map = Map::new();
            for key in value.try_iter()? {
                let name = text(&key)?;
                take(room, name.len() + 4)?;
                map.insert(name, convert(&value.get_item(&key)?, depth + 1, room)?);
            }
            Ok(Json::Object(map))
        }
        ValueKind::Undefined => Err(Error::new(ErrorKind::UndefinedError, "a part of the result has no value")),
        ValueKind::Invalid => match value.try_iter() {
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(ErrorKind::InvalidOperation, "a part of the result cannot be computed")),
        },
        kind => match value.downcast_object_ref::<Exact>() {
            Some(exact) => {
                take(room, exact.number().as_str().len())?;
                Ok(Json::Number(exact.number().clone()))
            }
            None => Err(Error::new(ErrorKind::InvalidOperation, format!("a {kind} cannot be a result"))),
        },
    }
}

fn to_number(value: &Value) -> Result<Number, Error> {
    let invalid = |message: &'static str| Error::new(ErrorKind::InvalidOperation, message);
    if value.is_integer() {
        if let Ok(int) = i64::try_from(value.clone()) {
            return Ok(Number::from(int));
        }
        let signed = i128::try_from(value.clone()).ok().and_then(Number::from_i128);
        let wide = signed.or_else(|| u128::try_from(value.clone()).ok().and_then(Number::from_u128));
        return wide.ok_or_else(|| invalid("the whole number has more than 128 bits"));
    }
    let float = f64::try_from(value.clone()).map_err(|_| invalid("the number cannot be read"))?;
    Number::from_f64(float).ok_or_else(|| invalid("the number is not finite"))
}

/// Formats a scalar as text: strings verbatim, everything else as JSON.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(value.is_true().to_string()),
        ValueKind::Number => Ok(to_number(value)?.to_string()),
        ValueKind::Undefined => Err(Error::new(ErrorKind::UndefinedError, "a value that is put into text is missing")),
        ValueKind::Seq | ValueKind::Iterable => {
            Err(Error::new(ErrorKind::NonPrimitive, "a list cannot be put into text: use `| tojson` or `| join(', ')`"))
        }
        ValueKind::Map => Err(Error::new(ErrorKind::NonPrimitive, "a map cannot be put into text: use `| tojson`")),
        kind => match value.downcast_object_ref::<Exact>() {
            Some(exact) => Ok(exact.number().to_string()),
            None => Err(Error::new(ErrorKind::NonPrimitive, format!("a {kind} cannot be put into text"))),
        },
    }
}
