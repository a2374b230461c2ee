//! Cutting an input that is too long for the model: the longest text gives way, whole words only.

use kapelle_gateway::request::estimate_tokens;
use serde_json::Value;

/// Cuts the longest texts of `input` until it has at most `max` tokens. Returns whether anything was cut.
pub(crate) fn to_tokens(input: &mut Value, max: u64) -> bool {
    let mut cut = false;
    // Each turn cuts one text; an input with more long texts than this is cut as far as possible.
    for _ in 0..64 {
        let total = tokens(input);
        if total <= max {
            break;
        }
        let Some(longest) = longest(input) else { break };
        let size = estimate_tokens(longest);
        let keep = size.saturating_sub(total - max);
        shorten(longest, keep);
        cut = true;
        if keep == 0 && size == 0 {
            break;
        }
    }
    cut
}

fn tokens(value: &Value) -> u64 {
    match value {
        Value::String(text) => estimate_tokens(text),
        Value::Array(items) => items.iter().map(tokens).sum(),
        Value::Object(map) => map.values().map(tokens).sum(),
        _ => 1,
    }
}

fn longest(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(items) => items.iter_mut().filter_map(longest).max_by_key(|text| text.len()),
        Value::Object(map) => map.values_mut().filter_map(longest).max_by_key(|text| text.len()),
        _ => None,
    }
}

fn shorten(text: &mut String, tokens: u64) {
    let (mut ascii, mut other, mut end) = (0u64, 0u64, 0usize);
    for (at, c) in text.char_indices() {
        if c.is_ascii() {
            ascii += 1;
        } else {
            other += 1;
        }
        if ascii.div_ceil(4) + other > tokens {
            break;
        }
        end = at + c.len_utf8();
    }
    // Back to the last space, unless that would cost much of the text.
    let word_end = text[..end].rfind(char::is_whitespace).filter(|&at| at > end / 2 && end < text.len());
    text.truncate(word_end.unwrap_or(end));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_longest_text_is_cut_at_a_word() {
        let mut input = json!({"text": "word ".repeat(1_000), "language": "English"});
        assert!(to_tokens(&mut input, 100));
        assert!(tokens(&input) <= 100 && input["language"] == "English");
        assert!(input["text"].as_str().unwrap().ends_with("word"));
        assert!(!to_tokens(&mut input, 100));
    }

    proptest! {
        #[test]
        fn it_ends_within_the_limit(texts in proptest::collection::vec(".{0,300}", 0..5), max in 10u64..200) {
            let mut input = json!(texts);
            to_tokens(&mut input, max);
            prop_assert!(tokens(&input) <= max);
        }
    }
}
