//! `exceptions.txt`: what is excused, up to which figure, and why. A figure may only go down.

use std::collections::BTreeMap;

/// What is excused: check and subject, the figure, the reason.
#[derive(Debug, Default)]
pub struct Exceptions {
    entries: BTreeMap<(String, String), usize>,
}

impl Exceptions {
    /// Reads lines of `check | subject | figure | reason`.
    ///
    /// # Errors
    /// The first line that is not of that form, or gives no reason.
    pub fn parse(text: &str) -> Result<Exceptions, String> {
        let mut entries = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let figure = parts.get(2).and_then(|figure| figure.parse().ok());
            match (parts.as_slice(), figure) {
                ([check, subject, _, reason], Some(figure)) if reason.len() > 10 => {
                    entries.insert(((*check).to_owned(), (*subject).to_owned()), figure);
                }
                _ => return Err(format!("line {}: write `check | subject | figure | reason`", number + 1)),
            }
        }
        Ok(Exceptions { entries })
    }

    /// The figure up to which a subject is excused.
    #[must_use]
    pub fn allowed(&self, check: &str, subject: &str) -> Option<usize> {
        self.entries.get(&(check.to_owned(), subject.to_owned())).copied()
    }

    /// The subjects of a check.
    pub fn of<'a>(&'a self, check: &'a str) -> impl Iterator<Item = (&'a str, usize)> {
        self.entries
            .iter()
            .filter(move |((of, _), _)| of == check)
            .map(|((_, subject), figure)| (subject.as_str(), *figure))
    }
}
