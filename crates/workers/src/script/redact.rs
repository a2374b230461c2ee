//! Secrets taken out of what scripts write.

use serde_json::Value;

/// What stands in the place of a secret.
const INSTEAD: &str = "[redacted]";
/// How keys and tokens begin, and how many characters follow at least.
const PATTERNS: [(&str, usize); 6] =
    [("sk-", 16), ("kapelle_", 24), ("kap_", 16), ("Bearer ", 16), ("ghp_", 20), ("AKIA", 16)];

/// Takes out known values and what looks like a key.
#[derive(Debug, Clone, Default)]
pub(super) struct Redactor(Vec<String>);

impl Redactor {
    /// Knows these values.
    pub(super) fn of(mut secrets: Vec<String>) -> Redactor {
        // The longest first: one may begin like another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Redactor(secrets)
    }

    /// Knows this value too.
    pub(super) fn and(&self, secret: Option<&str>) -> Redactor {
        Redactor::of(self.0.iter().map(String::as_str).chain(secret).map(str::to_owned).collect())
    }

    /// An answer without the values that are known. What only looks like a key stays: it may be what was asked for.
    pub(super) fn clean_answer(&self, answer: Value) -> Value {
        if self.0.is_empty() {
            return answer;
        }
        match answer {
            Value::String(text) => Value::String(self.without_known(text)),
            Value::Array(items) => items.into_iter().map(|item| self.clean_answer(item)).collect(),
            Value::Object(fields) => {
                let clean = |(name, value)| (self.without_known(name), self.clean_answer(value));
                Value::Object(fields.into_iter().map(clean).collect())
            }
            plain => plain,
        }
    }

    fn without_known(&self, mut text: String) -> String {
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), INSTEAD);
            }
        }
        text
    }

    /// The line without its secrets.
    pub(super) fn clean(&self, line: &str) -> String {
        let mut line = self.without_known(line.to_owned());
        for (begins, least) in PATTERNS {
            line = without(&line, begins, least);
        }
        line
    }
}

fn without(line: &str, begins: &str, least: usize) -> String {
    let mut clean = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(begins) {
        let after = &rest[at + begins.len()..];
        let long =
            after.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(after.len());
        clean.push_str(&rest[..at]);
        if long >= least {
            clean.push_str(INSTEAD);
        } else {
            clean.push_str(&rest[at..at + begins.len() + long]);
        }
        rest = &after[long..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_and_what_looks_like_a_key_go() {
        let redactor = Redactor::of(vec!["hunter2!".to_owned(), "hunter2!!".to_owned()]);
        assert_eq!(redactor.clean("a hunter2!! b hunter2!"), "a [redacted] b [redacted]");
        assert_eq!(redactor.clean("key=sk-abcdefghijklmnop1234 ok"), "key=[redacted] ok");
        assert_eq!(redactor.clean("Authorization: Bearer abcdefghijklmnopqrst"), "Authorization: [redacted]");
        let told = redactor.and(Some("sk-own-own-own-own-own")).clean_answer(serde_json::json!({
            "a": ["hunter2!!", 7, { "hunter2!": "sk-own-own-own-own-own" }], "b": "sk-abcdefghijklmnop1234",
        }));
        let wanted = serde_json::json!({
            "a": ["[redacted]", 7, { "[redacted]": "[redacted]" }], "b": "sk-abcdefghijklmnop1234",
        });
        assert_eq!(told, wanted);
        for plain in ["sk-short", "task-list-of-things", "é ß", "a kapelle_worker"] {
            assert_eq!(redactor.clean(plain), plain);
        }
    }
}
