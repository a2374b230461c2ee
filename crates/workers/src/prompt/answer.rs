//! From the text of a model to a value that fits the output schema.

use serde_json::{Value, json};

use crate::schema::Schema;

/// The value of an answer, or what is wrong with it in words that a model understands.
pub(crate) fn read(content: &str, schema: Option<&Schema>) -> Result<Value, String> {
    let Some(schema) = schema else { return Ok(json!({ "text": content.trim() })) };
    let body = json_part(content);
    if body.is_empty() {
        return Err("the answer is empty".to_owned());
    }
    let value: Value = serde_json::from_str(body).map_err(|error| format!("the answer is not JSON: {error}"))?;
    let violations = schema.violations(&value);
    if violations.is_empty() { Ok(value) } else { Err(violations.join("; ")) }
}

/// The JSON of an answer, without a code fence or the words around it.
fn json_part(content: &str) -> &str {
    let text = content.trim();
    if let Some((_, rest)) = text.split_once("```")
        && !text.starts_with(['{', '['])
    {
        let inner = rest.split_once("```").map_or(rest, |(inner, _)| inner);
        return inner.strip_prefix("json").or_else(|| inner.strip_prefix("JSON")).unwrap_or(inner).trim();
    }
    if text.starts_with(['{', '[', '"']) {
        return text;
    }
    match (text.find(['{', '[']), text.rfind(['}', ']'])) {
        (Some(start), Some(end)) if start < end => &text[start..=end],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::object;
    use proptest::prelude::*;

    fn schema() -> Schema {
        Schema::compile(&object(&["a"], json!({ "a": { "type": "integer" } }))).unwrap()
    }

    #[test]
    fn fences_and_words_around_the_json_are_taken_off() {
        for text in [
            r#"{"a":1}"#,
            " {\"a\":1}\n",
            "```json\n{\"a\":1}\n```",
            "Here you are:\n```\n{\"a\":1}\n```\nBye",
            "Sure: {\"a\":1} as asked",
            "```json\n{\"a\":1}",
        ] {
            assert_eq!(read(text, Some(&schema())), Ok(json!({"a":1})), "{text}");
        }
    }

    #[test]
    fn a_wrong_answer_says_what_is_wrong() {
        for (text, part) in [
            ("", "the answer is empty"),
            ("I cannot do that.", "the answer is not JSON"),
            ("{\"a\":1", "the answer is not JSON"),
            ("{\"a\":\"1\"}", "/a: \"1\" is not of type \"integer\""),
            ("[]", "is not of type \"object\""),
        ] {
            let why = read(text, Some(&schema())).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn without_a_schema_the_text_is_the_answer() {
        assert_eq!(read(" hello\n", None), Ok(json!({ "text": "hello" })));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = read(&text, Some(&schema()));
            let _ = json_part(&format!("```{text}```"));
        }
    }
}
