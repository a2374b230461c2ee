//! Names of stored objects: relative paths that cannot leave their root on any system.

use kapelle_core::TaskError;

use crate::faults::invalid;

/// Bytes of a name, and of one of its parts.
const KEY_MAX: usize = 1_024;
const PART_MAX: usize = 200;
/// Beginning of names that the worker uses itself.
pub(crate) const OWN: &str = ".kapelle-";

/// A checked name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectKey(String);

impl ObjectKey {
    /// Reads a name such as `reports/2026/may.pdf`.
    ///
    /// # Errors
    /// A name that is empty, absolute, too long, or leads elsewhere.
    pub(crate) fn parse(text: &str) -> Result<ObjectKey, TaskError> {
        let bad = |why: &str| {
            let shown: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).take(80).collect();
            Err(invalid(format!("key: `{shown}` {why}; write a relative path such as reports/may.pdf")))
        };
        if text.is_empty() || text.len() > KEY_MAX {
            return bad("is empty or longer than 1,024 bytes");
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return bad("has a control character or a backslash");
        }
        for part in text.split('/') {
            match part {
                "" => return bad("begins or ends with `/`, or has an empty part"),
                "." | ".." => return bad("has the part `.` or `..`, which leads elsewhere"),
                _ if part.len() > PART_MAX => return bad("has a part of more than 200 bytes"),
                _ if part.starts_with(OWN) => return bad("has a part that begins with `.kapelle-`, which is reserved"),
                _ => {}
            }
        }
        Ok(ObjectKey(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the folders above the object and its own name.
    pub(crate) fn split(&self) -> (Vec<&str>, &str) {
        let (folders, name) = self.0.rsplit_once('/').map_or((None, self.0.as_str()), |(f, name)| (Some(f), name));
        (folders.map(|folders| folders.split('/').collect()).unwrap_or_default(), name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let long = ["a".repeat(201), "a/".repeat(600) + "b"];
        for text in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/./b",
            "a//b",
            "a/",
            "..",
            ".",
            "a\\..\\b",
            "a\0b",
            "a\nb",
            ".kapelle-1",
            "a/.kapelle-x/b",
            long[0].as_str(),
            long[1].as_str(),
        ] {
            let error = ObjectKey::parse(text).unwrap_err();
            assert!(error.message.starts_with("key: ") && !error.retryable, "{text}: {error}");
        }
        for text in ["a", "a/b/c.txt", "..a", "a..", "...", "%2e%2e/x", "é/ü", "a b", "-rf", "C:x"] {
            assert_eq!(ObjectKey::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(ObjectKey::parse("a/b/c").unwrap().split(), (vec!["a", "b"], "c"));
        assert_eq!(ObjectKey::parse("c").unwrap().split(), (vec![], "c"));
    }
}
