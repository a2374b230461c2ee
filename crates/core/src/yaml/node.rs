//! The file as a tree in which every value knows its place.

use std::borrow::Cow;

/// A value of the file.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// Its beginning.
    pub place: Place,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// Text; `plain` when it has no quotes and may therefore be a number, a boolean or null.
    Scalar {
        /// The text as it is written, without its quotes.
        text: Cow<'a, str>,
        /// Whether it stands without quotes.
        plain: bool,
    },
    /// Values in order.
    List(Vec<Node<'a>>),
    /// Keys and values, in the order of the file.
    Map(Vec<(Node<'a>, Node<'a>)>),
}

/// Where a value begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// In bytes from the start of the file.
    pub byte: u32,
}

impl<'a> Node<'a> {
    /// The text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The entries of a map.
    #[must_use]
    pub fn entries(&self) -> Option<&[(Node<'a>, Node<'a>)]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a map under that key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.entries()?.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// The value at a path such as `items[2].name`, or as far as the path can be followed.
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

    /// The place of the byte at `offset` of a scalar's text, when the text stands in the file as it is.
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

    /// Whether nothing is written: `key:`, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == "nothing"
    }

    /// What the value is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar { text, plain } => super::scalar::kind(text, *plain),
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}
