//! What an expression refers to: `steps.fetch.output.score`.

use std::fmt;

/// A reference, part by part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    /// The parts, the first of which is a name of the context.
    pub parts: Box<[Box<str>]>,
    /// Where it stands in the text, in bytes.
    pub offset: usize,
    /// Whether the text says what to do when it is missing (`is defined`, `default`).
    pub optional: bool,
    /// Whether the path goes on in a way that is only known when it is evaluated (`[key]`).
    pub open: bool,
}

impl Path {
    /// The first part.
    #[must_use]
    pub fn root(&self) -> &str {
        self.parts.first().map_or("", |part| part)
    }

    /// The part at that place.
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
