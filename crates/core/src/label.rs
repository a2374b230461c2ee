//! Labels of hosts, and requirements of tasks: `gpu`, `gpu=a100`, `zone=eu`.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::name::Name;

/// Labels of a host. A label without a value has an empty one.
pub type Labels = BTreeMap<String, String>;

/// Limit of labels of one task.
const MOST: usize = 16;

/// Labels that a host needs to be assigned a task; usually empty. A name alone requires the label with any value.
/// Stored as one sorted text, because ready tasks are grouped by it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Requires(Option<Name>);

/// Error of a text that is not a label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// It does not have the form of a label.
    #[error("`{0}` is not a label: write `gpu` or `gpu=a100`, letters, digits, `_`, `-`, `.` and `/`, 60 at most")]
    Malformed(String),
    /// There are more labels than the limit.
    #[error("{0} labels are more than {MOST}")]
    TooMany(usize),
}

/// Splits and checks a label: its name, and its value, which may be empty.
///
/// # Errors
/// When it is not a label.
pub fn split(text: &str) -> Result<(&str, &str), LabelError> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let plain = |part: &str| {
        part.len() <= 60 && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
    };
    let valued = !text.contains('=') || !value.is_empty();
    if name.is_empty() || !plain(name) || !plain(value) || !valued {
        return Err(LabelError::Malformed(text.chars().take(70).collect()));
    }
    Ok((name, value))
}

impl Requires {
    /// Checks labels that a user wrote. Order and repetition do not matter.
    ///
    /// # Errors
    /// When a text is not a label, or there are too many.
    pub fn parse<T: AsRef<str>>(labels: impl IntoIterator<Item = T>) -> Result<Requires, LabelError> {
        let mut sorted = Vec::new();
        for label in labels {
            split(label.as_ref())?;
            sorted.push(label.as_ref().to_owned());
        }
        sorted.sort();
        sorted.dedup();
        match sorted.len() {
            0 => Ok(Requires(None)),
            1..=MOST => Ok(Requires(Some(Name::new(&sorted.join(","))))),
            many => Err(LabelError::TooMany(many)),
        }
    }

    /// Restores labels from one text, as [`Requires::text`] returned it.
    #[must_use]
    pub fn kept(text: Name) -> Requires {
        Requires(Some(text).filter(|text| !text.as_str().is_empty()))
    }

    /// Returns the labels as one text. Returns `None` without labels.
    #[must_use]
    pub fn text(&self) -> Option<&Name> {
        self.0.as_ref()
    }

    /// Tells whether any host is suitable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the labels, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|text| text.as_str().split(','))
    }

    /// Joins both sets of labels.
    #[must_use]
    pub fn and(&self, other: &Requires) -> Requires {
        match (self.is_empty(), other.is_empty()) {
            (_, true) => self.clone(),
            (true, _) => other.clone(),
            // Two times 16 valid labels: only their number could be refused, and each side was checked by itself.
            _ => {
                let mut all: Vec<&str> = self.iter().chain(other.iter()).collect();
                all.sort_unstable();
                all.dedup();
                Requires(Some(Name::new(&all.join(","))))
            }
        }
    }

    /// Tells whether a host with those labels is suitable.
    #[must_use]
    pub fn is_met_by(&self, labels: &Labels) -> bool {
        self.iter().all(|label| match label.split_once('=') {
            Some((name, value)) => labels.get(name).is_some_and(|has| has == value),
            None => labels.contains_key(label),
        })
    }
}

impl TryFrom<Vec<String>> for Requires {
    type Error = LabelError;

    fn try_from(labels: Vec<String>) -> Result<Requires, LabelError> {
        Requires::parse(labels)
    }
}

impl From<Requires> for Vec<String> {
    fn from(requires: Requires) -> Vec<String> {
        requires.iter().map(str::to_owned).collect()
    }
}

impl fmt::Display for Requires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for label in self.iter() {
            write!(f, "{between}`{label}`")?;
            between = ", ";
        }
        Ok(())
    }
}

impl fmt::Debug for Requires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requires(labels: &[&str]) -> Requires {
        Requires::parse(labels).unwrap()
    }

    #[test]
    fn a_host_needs_every_label_and_a_value_only_where_one_is_asked_for() {
        let host: Labels = [("gpu", "a100"), ("ssd", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (labels, met) in [
            (&[][..], true),
            (&["gpu"], true),
            (&["gpu=a100", "ssd"], true),
            (&["gpu=h100"], false),
            (&["gpu", "zone=eu"], false),
            (&["gp"], false),
        ] {
            assert_eq!(requires(labels).is_met_by(&host), met, "{labels:?}");
        }
        assert!(!requires(&["ssd=1"]).is_met_by(&host));
    }

    #[test]
    fn order_and_repetition_do_not_matter_and_nonsense_is_refused() {
        assert_eq!(requires(&["b", "a=1", "b"]), requires(&["a=1", "b"]));
        assert_eq!(requires(&["b"]).and(&requires(&["a", "b"])), requires(&["a", "b"]));
        assert_eq!(requires(&[]).and(&requires(&["a"])), requires(&["a"]));
        assert_eq!(Requires::kept(requires(&["b", "a"]).text().unwrap().clone()), requires(&["a", "b"]));
        assert_eq!(serde_json::to_string(&requires(&["b", "a"])).unwrap(), r#"["a","b"]"#);
        for label in ["", "=", "a=", "=a", "a,b", "a b", "é", &"x".repeat(61)] {
            assert!(Requires::parse([label]).is_err(), "{label}");
        }
        assert!(Requires::parse((0..17).map(|number| format!("l{number}"))).is_err());
    }
}
