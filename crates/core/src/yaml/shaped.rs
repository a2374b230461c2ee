//! Reader of a value by its shape, with everything below it.

use serde_json::{Map, Value as Json};

use super::{
    node::{Content, Node},
    reader::{Reader, Trail},
    shape::{Shape, Table},
};

impl Reader<'_> {
    /// Reads the JSON of a value that has that shape; texts, durations and amounts are strings as they are written. A
    /// value of another shape is reported and `None` is returned; faults below it are reported and left out.
    pub fn shaped(&mut self, node: &Node<'_>, trail: &Trail<'_>, shape: &Shape) -> Option<Json> {
        let text = || node.text().map(Json::from);
        match *shape {
            Shape::Text => self.text(node, trail).map(Json::from),
            Shape::Name => self.name(node, trail).and_then(|_| text()),
            Shape::Flag => self.flag(node, trail).map(Json::from),
            Shape::DurationOrZero if node.text() == Some("0") => text(),
            Shape::Duration | Shape::DurationOrZero => self.duration(node, trail).and_then(|_| text()),
            Shape::Money => self.money(node, trail).and_then(|_| text()),
            Shape::Whole { least, most } => {
                self.number(node, trail, (least as f64, most as f64), true).and_then(|_| self.scalar(node))
            }
            Shape::Number { least, most } => {
                self.number(node, trail, (least, most), false).and_then(|_| self.scalar(node))
            }
            Shape::OneOf(words) => self.one_of(node, trail, words).and_then(|_| text()),
            Shape::Json => self.json(node, trail),
            Shape::List(inner) => self.list(node, trail, inner),
            Shape::Map(inner) => self.map(node, trail, inner),
            Shape::Variables => self.variables(node, trail),
            Shape::Object(table) => self.object(node, trail, table),
            Shape::Short(short, long) => match node.content {
                Content::Map(_) => self.shaped(node, trail, long),
                _ => self.shaped(node, trail, short),
            },
            Shape::FlagOr(other) => match self.scalar(node) {
                Some(Json::Bool(flag)) => Some(Json::from(flag)),
                _ => self.shaped(node, trail, other),
            },
        }
    }

    /// Reads the JSON of a map with the keys of a table. An empty section counts as one without keys.
    pub fn object(&mut self, node: &Node<'_>, trail: &Trail<'_>, table: &'static Table) -> Option<Json> {
        if node.is_null() && table.required.is_empty() {
            return Some(Json::Object(Map::new()));
        }
        node.entries().or_else(|| {
            self.expected_map(node, trail, table);
            None
        })?;
        let mut map = Map::new();
        for (key, value) in self.table(node, trail, table) {
            if let Some(json) = self.shaped(value, &trail.then(key.name), &key.shape) {
                map.insert(key.name.to_owned(), json);
            }
        }
        Some(Json::Object(map))
    }

    fn list(&mut self, node: &Node<'_>, trail: &Trail<'_>, inner: &Shape) -> Option<Json> {
        let items = match &node.content {
            Content::List(items) => items.as_slice(),
            Content::Scalar { .. } if !node.is_null() => std::slice::from_ref(node),
            _ => {
                self.expected(node, trail, "a list");
                return None;
            }
        };
        let mut list = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            list.extend(self.shaped(item, &trail.then(&format!("[{at}]")), inner));
        }
        Some(Json::Array(list))
    }

    fn map(&mut self, node: &Node<'_>, trail: &Trail<'_>, inner: &Shape) -> Option<Json> {
        if node.is_null() {
            return Some(Json::Object(Map::new()));
        }
        let Some(entries) = node.entries() else {
            self.expected(node, trail, "a map by name");
            return None;
        };
        let mut map = Map::with_capacity(entries.len());
        for (name, value) in entries {
            let name = name.text().unwrap_or_default();
            if let Some(json) = self.shaped(value, &trail.then(name), inner) {
                map.insert(name.to_owned(), json);
            }
        }
        Some(Json::Object(map))
    }

    fn variables(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<Json> {
        let mut map = Map::new();
        match &node.content {
            Content::List(items) => {
                for item in items {
                    if let Some(name) = self.text(item, trail) {
                        map.insert(name.to_owned(), Json::Null);
                    }
                }
            }
            Content::Map(entries) => {
                for (name, value) in entries {
                    let name = name.text().unwrap_or_default();
                    let given = if value.is_null() {
                        Some(Json::Null)
                    } else {
                        self.text(value, &trail.then(name)).map(Json::from)
                    };
                    map.extend(given.map(|given| (name.to_owned(), given)));
                }
            }
            Content::Scalar { .. } if node.is_null() => {}
            Content::Scalar { .. } => {
                self.expected(node, trail, "a map such as `{ NAME: value }`, or a list of names to pass on");
                return None;
            }
        }
        Some(Json::Object(map))
    }
}
