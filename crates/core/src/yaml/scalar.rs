//! Meaning of an unquoted word of YAML: the core schema of YAML 1.2, exactly.

use serde_json::{Map, Number, Value as Json};

use super::node::{Content, Node, Place};
use crate::number::is_exact_double;

/// Returns the JSON value of a scalar. Returns `None` for a number that JSON cannot hold.
pub(super) fn to_json(text: &str, plain: bool) -> Option<Json> {
    if !plain {
        return Some(Json::String(text.to_owned()));
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Json::Null),
        "true" | "True" | "TRUE" => return Some(Json::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Json::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return None,
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return Some(Json::String(text.to_owned()));
    }
    number(text)
}

fn number(text: &str) -> Option<Json> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return None;
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(rest) = text.strip_prefix(prefix).filter(|rest| !rest.is_empty())
            && rest.chars().all(|c| c.is_digit(radix))
        {
            return u128::from_str_radix(rest, radix).ok().and_then(Number::from_u128).map(Json::Number);
        }
    }
    if digits(unsigned) {
        let plain = text.strip_prefix('+').unwrap_or(text);
        let signed = plain.parse::<i64>().map(Number::from);
        return signed.ok().or_else(|| as_written(plain)).map(Json::Number);
    }
    let float = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'))
        && unsigned.bytes().any(|b| b.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(value) if float && is_exact_double(text, value) => Number::from_f64(value).map(Json::Number),
        Ok(_) if float => as_written(text.strip_prefix('+').unwrap_or(text)).map(Json::Number),
        _ => Some(Json::String(text.to_owned())),
    }
}

/// Returns a decimal number that neither 64 bits nor a double hold, with its digits. Returns `None` where JSON has no
/// form for it.
fn as_written(text: &str) -> Option<Number> {
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, power) = match unsigned.find(['e', 'E']) {
        Some(at) => unsigned.split_at(at),
        None => (unsigned, ""),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}{power}").parse().ok()
}

/// Describes the kind of a scalar, for messages.
pub(super) fn kind(text: &str, plain: bool) -> &'static str {
    match to_json(text, plain) {
        Some(Json::Null) => "nothing",
        Some(Json::Bool(_)) => "true or false",
        Some(Json::Number(number)) if number.is_f64() => "a number",
        Some(Json::Number(_)) => "a whole number",
        None => "a number that JSON cannot hold",
        _ => "text",
    }
}

/// Converts a whole value to JSON, or returns the position of a number that cannot be kept exactly.
pub(super) fn tree_to_json(node: &Node<'_>) -> Result<Json, Place> {
    match &node.content {
        Content::Scalar { text, plain } => to_json(text, *plain).ok_or(node.place),
        Content::List(items) => items.iter().map(tree_to_json).collect::<Result<_, _>>().map(Json::Array),
        Content::Map(entries) => {
            let mut map = Map::with_capacity(entries.len());
            for (key, value) in entries {
                map.insert(key.text().unwrap_or_default().to_owned(), tree_to_json(value)?);
            }
            Ok(Json::Object(map))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_mean_what_yaml_says() {
        for (text, value) in [
            ("no", json!("no")),
            ("true", json!(true)),
            ("~", json!(null)),
            ("0x1f", json!(31)),
            ("0o17", json!(15)),
            ("-12", json!(-12)),
            ("1e3", json!(1000.0)),
            ("1.2.3", json!("1.2.3")),
            ("2026-01-01", json!("2026-01-01")),
            ("18446744073709551615", json!(u64::MAX)),
            ("-", json!("-")),
            (".5", json!(0.5)),
            ("1-2", json!("1-2")),
            ("y", json!("y")),
            ("on", json!("on")),
            ("012", json!(12)),
            ("1_000", json!("1_000")),
            ("190:20:30", json!("190:20:30")),
            ("0b1010", json!("0b1010")),
            ("-0x1f", json!("-0x1f")),
            (".inf.", json!(".inf.")),
            ("inf", json!("inf")),
            ("nan", json!("nan")),
            ("+.e", json!("+.e")),
        ] {
            assert_eq!(to_json(text, true), Some(value), "{text}");
        }
        for (text, json) in [
            ("99999999999999999999", "99999999999999999999"),
            ("-0012345678901234567890123", "-12345678901234567890123"),
            ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
            ("+.30000000000000004440892098500626e2", "0.30000000000000004440892098500626e+2"),
            ("1e400", "1e+400"),
        ] {
            assert_eq!(to_json(text, true).unwrap().to_string(), json, "{text}");
        }
        for text in [".inf", "-.Inf", "+.INF", ".nan"] {
            assert_eq!(to_json(text, true), None, "{text}");
        }
        assert_eq!(to_json("true", false), Some(json!("true")));
    }
}
