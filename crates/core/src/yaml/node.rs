//! The file as a tree in which every value knows its position.

use std::borrow::Cow;

/// A value of the file.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    /// Contents by kind.
    pub content: Content<'a>,
    /// Position of its first character.
    pub place: Place,
}

/// Contents of a value.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// Text; `plain` when it has no quotes and may therefore be a number, a boolean or null.
    Scalar {
        /// Text as it is written, without its quotes.
        text: Cow<'a, str>,
        /// Whether it has no quotes.
        plain: bool,
    },
    /// Values in order.
    List(Vec<Node<'a>>),
    /// Keys and values, in the order of the file.
    Map(Vec<(Node<'a>, Node<'a>)>),
}

/// Position of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Offset in bytes from the start of the file.
    pub byte: u32,
}

impl<'a> Node<'a> {
    /// Returns the text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns the entries of a map.
    #[must_use]
    pub fn entries(&self) -> Option<&[(Node<'a>, Node<'a>)]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the value of a map under that key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.entries()?.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// Returns the value at a path such as `items[2].name`, or the deepest value on that path.
    #[must_use]
    pub fn at_path(&self, path: &str) -> &Node<'a> {
        let mut node = self;
        let mut rest = path;
        while !rest.is_empty() {
            let next = match &node.content {
                Content::Map(entries) => {
                    let rest_here = rest.strip_prefix('.').unwrap_or(rest);
                    let fits = |key: &str| {
                        let after = rest_here.strip_prefix(key)?;
                        (after.is_empty() || after.starts_with(['.', '['])).then_some(after)
                    };
                    let hits = entries.iter().filter_map(|(key, value)| Some((fits(key.text()?)?, value)));
                    hits.min_by_key(|(after, _)| after.len())
                }
                Content::List(items) => rest.strip_prefix('[').and_then(|inner| {
                    let (index, after) = inner.split_once(']')?;
                    Some((after, items.get(index.parse::<usize>().ok()?)?))
                }),
                Content::Scalar { .. } => None,
            };
            let Some((after, value)) = next else { return node };
            (rest, node) = (after, value);
        }
        node
    }

    /// Returns the position of the byte at `offset` of a scalar's text, when the text stands in the file unchanged.
    #[must_use]
    pub fn place_at(&self, source: &str, offset: usize) -> Place {
        let start = self.place.byte as usize;
        let Some(text) = self.text() else { return self.place };
        let head = text.lines().next().unwrap_or_default();
        for quote in [0, 1] {
            let stands = source.get(start + quote..).is_some_and(|rest| rest.starts_with(head));
            if stands && offset <= head.len() && head.is_char_boundary(offset) {
                let characters = head[..offset].chars().count() + quote;
                return Place { column: self.place.column + characters as u32, ..self.place };
            }
        }
        self.place
    }

    /// Tells whether the value is empty: `key:`, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == "nothing"
    }

    /// Describes the kind of the value, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar { text, plain } => super::scalar::kind(text, *plain),
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}
