//! References of expressions: `steps.fetch.output.score`.

use std::fmt;

/// A reference, part by part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    /// Parts, the first of which is a name of the context.
    pub parts: Box<[Box<str>]>,
    /// Position in the text, in bytes.
    pub offset: usize,
    /// Whether the text provides for a missing value (`is defined`, `default`).
    pub optional: bool,
    /// Whether the path continues with a part that is known only at evaluation (`[key]`).
    pub open: bool,
}

impl Path {
    /// Returns the first part.
    #[must_use]
    pub fn root(&self) -> &str {
        self.parts.first().map_or("", |part| part)
    }

    /// Returns the part at that index.
    #[must_use]
    pub fn part(&self, index: usize) -> Option<&str> {
        self.parts.get(index).map(|part| &**part)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            let word = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            match (index, word) {
                (0, _) => write!(f, "{part}")?,
                (_, true) => write!(f, ".{part}")?,
                (_, false) => write!(f, "['{part}']")?,
            }
        }
        if self.open { f.write_str("[…]") } else { Ok(()) }
    }
}
