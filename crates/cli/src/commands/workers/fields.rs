//! The properties of a schema, for people.

use serde_json::Value;

use crate::shown;

/// Returns the properties of a schema as a table; `None` when it names none.
pub fn fields(what: &str, schema: &Value) -> Option<String> {
    let none = serde_json::Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    // A name may be required without being described.
    let bare = required.iter().filter_map(Value::as_str).filter(|name| !properties.contains_key(*name));
    let bare = bare.map(|name| vec![name.to_owned(), "any".to_owned(), "required".to_owned(), String::new()]);
    let rows = properties.iter().map(|(name, property)| {
        let kind = match property.get("type") {
            _ if property.get("format").is_some_and(|format| format == "file") => "file".to_owned(),
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
            _ => property.get("enum").map_or_else(|| "any".to_owned(), |words| format!("one of {words}")),
        };
        let need = match property.get("default") {
            Some(default) => {
                let text: String = default.to_string();
                let short: String = text.chars().take(40).collect();
                format!("default {short}{}", if short.len() < text.len() { "..." } else { "" })
            }
            None if required.iter().any(|known| known == name) => "required".to_owned(),
            None => "optional".to_owned(),
        };
        let about = property.get("description").and_then(Value::as_str).unwrap_or("");
        vec![name.clone(), kind, need, about.to_owned()]
    });
    let rows: Vec<_> = rows.chain(bare).collect();
    (!rows.is_empty()).then(|| shown::table(&[what, "TYPE", "", "ABOUT"], rows))
}
