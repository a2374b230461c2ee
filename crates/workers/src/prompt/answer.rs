//! Parsing of a model's text into a value that fits the output schema.

use kapelle_gateway::wire::json as lenient;
use serde_json::{Value, json};

use super::thoughts;
use crate::schema::Schema;

/// The most positions of an answer that are tried as the beginning of its JSON.
const PLACES_MAX: usize = 200;

/// Returns the value of an answer, or what is wrong with it in words that a model understands. The thoughts in front of
/// an answer are not part of it.
pub(crate) fn read(content: &str, schema: Option<&Schema>) -> Result<Value, String> {
    let said = thoughts::without(content);
    let Some(schema) = schema else {
        if said.is_empty() && !content.trim().is_empty() {
            return Err("the answer has thoughts only: write the answer after them".to_owned());
        }
        return Ok(json!({ "text": said }));
    };
    if content.trim().is_empty() {
        return Err("the answer is empty".to_owned());
    }
    let mut misfit: Option<String> = None;
    for text in [said.as_ref(), content.trim()] {
        for value in candidates(text) {
            let violations = schema.violations(&value);
            if violations.is_empty() {
                return Ok(value);
            }
            misfit.get_or_insert_with(|| violations.join("; "));
        }
    }
    match misfit {
        Some(why) => Err(why),
        None if said.is_empty() => Err("the answer has thoughts only: write the JSON after them".to_owned()),
        None => {
            let error = parse(fenced(&said).last().copied().unwrap_or(&said)).err().unwrap_or_default();
            Err(format!("the answer is not JSON: {error}"))
        }
    }
}

fn parse(text: &str) -> Result<Value, String> {
    lenient::read(text.trim().as_bytes()).map_err(|error| error.to_string())
}

/// Returns the JSON values of an answer, the likeliest first: all of it, the last code fence, the text between the
/// first and the last brace, and each value that begins somewhere in it, the longest first.
fn candidates(text: &str) -> impl Iterator<Item = Value> + '_ {
    let text = text.trim();
    let fences = fenced(text).into_iter().rev();
    let span = match (text.find(['{', '[']), text.rfind(['}', ']'])) {
        (Some(start), Some(end)) if start < end => text.get(start..=end),
        _ => None,
    };
    let parts = std::iter::once(text).chain(fences).chain(span);
    parts.filter_map(|part| parse(part).ok()).chain(Embedded { text, values: None })
}

/// Returns the contents of code fences: between lines that begin with one, and between the first mark and the last. A
/// mark within a string of the JSON is in the middle of a line, because such strings have no line ends.
fn fenced(text: &str) -> Vec<&str> {
    let mut inner = Vec::new();
    let (first, last) = (text.find("```"), text.rfind("```"));
    if let (Some(first), Some(last)) = (first, last) {
        inner.push(without_language(&text[first + 3..last.max(first + 3)]));
    }
    let mut open: Option<usize> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let plain = line.trim();
        if let Some(rest) = plain.strip_prefix("```").or_else(|| plain.strip_prefix("~~~")) {
            match open.take() {
                Some(start) if rest.trim_start_matches(['`', '~']).is_empty() => inner.push(&text[start..at]),
                // A fence that names a language opens a new block.
                _ => open = Some(at + line.len()),
            }
        }
        at += line.len();
    }
    // The last one may have no end.
    inner.extend(open.and_then(|start| text.get(start..)));
    inner
}

fn without_language(inner: &str) -> &str {
    let rest = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    if rest.trim_start().starts_with(['{', '[', '"']) { rest } else { inner }
}

/// The values that begin at a brace or bracket of a text, and may be followed by words.
struct Embedded<'a> {
    text: &'a str,
    values: Option<std::vec::IntoIter<Value>>,
}

impl Iterator for Embedded<'_> {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let text = self.text;
        // Computed only when every earlier candidate failed.
        self.values.get_or_insert_with(|| embedded(text).into_iter()).next()
    }
}

fn embedded(text: &str) -> Vec<Value> {
    let mut found: Vec<(usize, Value)> = Vec::new();
    let mut at = 0;
    for _ in 0..PLACES_MAX {
        let Some(next) = text[at..].find(['{', '[']) else { break };
        at += next;
        let mended = lenient::mended(&text.as_bytes()[at..]);
        let mut values = serde_json::Deserializer::from_slice(&mended).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                let length = values.byte_offset().max(1);
                found.push((length, value));
                // Anything within it is a part of it.
                at += length;
            }
            _ => at += 1,
        }
        if at >= text.len() {
            break;
        }
    }
    // The longest first; of equally long ones, the last.
    found.reverse();
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::object;
    use proptest::prelude::*;

    fn schema() -> Schema {
        Schema::compile(&object(&["a"], json!({ "a": { "type": "integer" } }))).unwrap()
    }

    fn texts() -> Schema {
        Schema::compile(&object(&["a"], json!({ "a": { "type": "string" } }))).unwrap()
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
            "```json {\"a\":1}```",
            "~~~\n{\"a\":1}\n~~~",
            "First:\n```json\n{\"b\":1}\n```\nno, better:\n```json\n{\"a\":1}\n```",
            "The shape is {x} and [y], so {\"a\":1}. Is {that} all?",
            "{\"a\":1}\n\nThat is {all}.",
            "```python\nprint({})\n```\n{\"a\":1}",
        ] {
            assert_eq!(read(text, Some(&schema())), Ok(json!({"a":1})), "{text}");
        }
    }

    #[test]
    fn marks_of_a_fence_within_the_json_are_a_part_of_it() {
        let value = json!({ "a": "Run:\n```sh\nls\n```\nthen {x} ``` done" });
        let (plain, pretty) = (value.to_string(), serde_json::to_string_pretty(&value).unwrap());
        for json in [&plain, &pretty] {
            for text in [
                json.clone(),
                format!("```json\n{json}\n```"),
                format!("Here:\n\n```json\n{json}\n```\nBye."),
                format!("```json {json} ```"),
                format!("```\n{json}"),
                format!("Of course! {json} Bye."),
                format!("<think>```json\n{{\"a\": 1}}\n```</think>\n```json\n{json}\n```"),
            ] {
                assert_eq!(read(&text, Some(&texts())), Ok(value.clone()), "{text}");
            }
        }
    }

    #[test]
    fn thoughts_before_the_json_are_no_part_of_it() {
        for thoughts in [
            "<think>{\"a\": 2} or {x}?</think>",
            "<think>\n```json\n{\"a\": \"no\"}\n```\n</think>\n",
            "<thinking>hm {</thinking>",
            "<reasoning>[1, 2]</reasoning>",
            "Reasoning with {braces}... </think>",
            "<think></think>",
        ] {
            assert_eq!(read(&format!("{thoughts}{{\"a\":1}}"), Some(&schema())), Ok(json!({"a":1})), "{thoughts}");
            assert_eq!(read(&format!("{thoughts}hello"), None), Ok(json!({"text":"hello"})), "{thoughts}");
        }
        // The end of the thoughts is missing, but the answer is there.
        assert_eq!(read("<think>so it is\n{\"a\":1}", Some(&schema())), Ok(json!({"a":1})));
        let own = json!({ "a": "<think>x</think>" });
        assert_eq!(read(&own.to_string(), Some(&texts())), Ok(own));
    }

    #[test]
    fn a_wrong_answer_says_what_is_wrong() {
        for (text, part) in [
            ("", "the answer is empty"),
            ("I cannot do that.", "the answer is not JSON"),
            ("{\"a\":1", "the answer is not JSON"),
            ("{\"a\":\"1\"}", "/a: \"1\" is not of type \"integer\""),
            ("[]", "is not of type \"object\""),
            ("<think>hm", "thoughts only"),
        ] {
            let why = read(text, Some(&schema())).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn without_a_schema_the_text_is_the_answer_and_thoughts_are_not() {
        assert_eq!(read(" hello\n", None), Ok(json!({ "text": "hello" })));
        assert_eq!(read("", None), Ok(json!({ "text": "" })));
        assert_eq!(
            read("Use the tag <think> for thoughts.", None),
            Ok(json!({ "text": "Use the tag <think> for thoughts." }))
        );
        assert!(read("<think>hm", None).unwrap_err().contains("thoughts only"));
    }

    #[test]
    fn half_of_a_surrogate_pair_is_the_replacement_character() {
        assert_eq!(read(r#"{"a":"x \ud83d"}"#, Some(&texts())), Ok(json!({ "a": "x \u{fffd}" })));
        assert_eq!(read(r#"Well: {"a":"x \ud83d"} so."#, Some(&texts())), Ok(json!({ "a": "x \u{fffd}" })));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = read(&text, Some(&schema()));
            let _ = read(&format!("```{text}```"), Some(&schema()));
            let _ = read(&format!("<think>{text}</think>{text}"), None);
            let _ = read(&format!("{{{text}"), Some(&schema()));
        }
    }
}
