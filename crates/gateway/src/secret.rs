//! Provider keys that cannot be printed by accident.

/// A provider key. It has no `Debug`, `Display` or `Serialize`.
#[derive(Clone)]
pub struct Secret(String);

/// Replacement of a key in a text.
const REDACTED: &str = "[key]";

impl Secret {
    /// Wraps a key without surrounding white space. Returns `None` when it is empty.
    #[must_use]
    pub fn new(text: &str) -> Option<Secret> {
        let plain = text.trim();
        (!plain.is_empty()).then(|| Secret(plain.to_owned()))
    }

    /// Returns the key, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Removes this key from `text`, whole or as the first eight characters that some providers echo.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let whole = text.replace(&self.0, REDACTED);
        match self.0.char_indices().nth(8) {
            Some((at, _)) => replace_words_with(&whole, &self.0[..at]),
            None => whole,
        }
    }
}

/// Removes everything from `text` that looks like a provider key (`sk-...`), whichever key it is.
#[must_use]
pub fn scrub_key_like(text: &str) -> String {
    replace_words_with(text, "sk-")
}

/// Replaces every word that contains the non-empty `mark`, up to white space, a quote or a comma.
fn replace_words_with(text: &str, mark: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(mark) {
        clean.push_str(&rest[..at]);
        clean.push_str(REDACTED);
        let tail = &rest[at..];
        let end = tail.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ')')).unwrap_or(tail.len());
        rest = &tail[end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_scrubbed_whole_in_part_and_by_its_looks() {
        let key = Secret::new(" sk-abcdefghijklmnop \n").unwrap();
        assert_eq!(key.scrub("bad key sk-abcdefghijklmnop!"), "bad key [key]!");
        assert_eq!(key.scrub("key: sk-abcde*******mnop. See"), "key: [key] See");
        assert_eq!(scrub_key_like(r#"{"k":"sk-other"}"#), r#"{"k":"[key]"}"#);
        assert_eq!(scrub_key_like("nothing"), "nothing");
    }

    #[test]
    fn an_empty_key_is_no_key() {
        assert!(Secret::new("  ").is_none());
    }
}
