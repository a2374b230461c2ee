//! The thoughts of a model before its answer, where its server leaves them in the text.

use std::borrow::Cow;

/// Marks around thoughts, by model and server.
const MARKS: &[(&str, &str)] = &[
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<antthinking>", "</antthinking>"),
    ("<seed:think>", "</seed:think>"),
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
];
/// Marks of a server's template in front of an answer, which are not part of it.
const PREFIXES: &[&str] = &["<|start|>assistant", "<|channel|>final<|message|>"];

/// Returns the text without the thoughts that it begins with, trimmed. Thoughts without an end leave nothing. If only
/// the end is present, because the template of the model wrote the beginning, everything before it is thoughts.
pub(super) fn without(content: &str) -> Cow<'_, str> {
    let mut rest = content.trim();
    loop {
        // Only ASCII changes here, so positions stay valid.
        let lower = rest.to_ascii_lowercase();
        let begun = MARKS.iter().find(|(open, _)| lower.starts_with(open));
        let cut = match begun {
            Some((open, close)) => match lower.get(open.len()..).and_then(|inner| inner.find(close)) {
                Some(at) => open.len() + at + close.len(),
                None => return Cow::Borrowed(""),
            },
            None => match PREFIXES.iter().find(|prefix| lower.starts_with(**prefix)) {
                Some(prefix) => prefix.len(),
                None => break,
            },
        };
        rest = rest.get(cut..).unwrap_or("").trim();
    }
    Cow::Borrowed(orphan(rest))
}

/// Returns the text after an end of thoughts that has no beginning. JSON may hold such a mark in a string.
fn orphan(text: &str) -> &str {
    if text.starts_with(['{', '[', '"']) {
        return text;
    }
    let lower = text.to_ascii_lowercase();
    let end = MARKS.iter().take(2).find_map(|(open, close)| {
        let at = lower.find(close)?;
        (!lower[..at].contains(open)).then_some(at + close.len())
    });
    end.and_then(|end| text.get(end..)).map_or(text, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_of_every_form_are_taken_off() {
        for (text, want) in [
            ("<think>a</think>b", "b"),
            (" <THINK>\na\n</Think>\n\n b ", "b"),
            ("<thinking>a</thinking><think>c</think>b", "b"),
            ("[THINK]a[/THINK]b", "b"),
            ("◁think▷a◁/think▷b", "b"),
            ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "b"),
            ("a</think>b", "b"),
            ("<think>a", ""),
            ("say <think>a</think> b", "say <think>a</think> b"),
            ("{\"a\": \"</think>\"}", "{\"a\": \"</think>\"}"),
            ("b", "b"),
            ("", ""),
        ] {
            assert_eq!(without(text), want, "{text}");
        }
    }
}
