//! The possible targets of references within a schema. Where several readings are possible all are taken: the cost is
//! an upper bound.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The named subschemas of a schema.
#[derive(Debug)]
pub(super) struct Refs<'s> {
    root: &'s Value,
    /// Subschemas with an `$id`.
    ids: Vec<(&'s str, &'s Value)>,
    /// Subschemas by `$anchor`, `$dynamicAnchor` or the fragment of their `$id`.
    anchors: HashMap<&'s str, Vec<&'s Value>>,
    /// Subschemas with `$recursiveAnchor`.
    recursive: Vec<&'s Value>,
}

impl<'s> Refs<'s> {
    /// Collects the names of a schema.
    pub fn of(root: &'s Value) -> Refs<'s> {
        let mut refs = Refs { root, ids: Vec::new(), anchors: HashMap::new(), recursive: Vec::new() };
        let mut left = vec![root];
        while let Some(value) = left.pop() {
            match value {
                Value::Array(items) => left.extend(items),
                Value::Object(map) => {
                    left.extend(map.values());
                    for word in ["$id", "id"] {
                        if let Some(id) = map.get(word).and_then(Value::as_str) {
                            refs.ids.push((id, value));
                            if let Some((_, anchor)) = id.split_once('#') {
                                refs.anchors.entry(anchor).or_default().push(value);
                            }
                        }
                    }
                    for word in ["$anchor", "$dynamicAnchor"] {
                        if let Some(anchor) = map.get(word).and_then(Value::as_str) {
                            refs.anchors.entry(anchor).or_default().push(value);
                        }
                    }
                    if map.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
                        refs.recursive.push(value);
                    }
                }
                _ => {}
            }
        }
        refs
    }

    /// Returns the possible targets of a reference; `None` for a schema outside this one.
    pub fn find(&self, word: &str, text: &str) -> Option<Vec<&'s Value>> {
        let (uri, fragment) = text.split_once('#').unwrap_or((text, ""));
        let of_id = |id: &str| id.split('#').next().is_some_and(|id| id.ends_with(last(uri)));
        let mut bases: Vec<&'s Value> = Vec::new();
        if uri.is_empty() {
            bases.push(self.root);
        }
        bases.extend(self.ids.iter().filter(|(id, _)| uri.is_empty() || of_id(id)).map(|(_, value)| *value));
        if bases.is_empty() {
            return None;
        }
        let mut found: Vec<&'s Value> = match fragment {
            // Without a fragment the target is the document, or the named schema.
            "" if uri.is_empty() => vec![self.root],
            "" => bases,
            pointer if pointer.starts_with('/') => {
                let pointer = percent_decode_str(pointer).decode_utf8_lossy();
                bases.into_iter().filter_map(|base| base.pointer(&pointer)).collect()
            }
            anchor => self.anchors.get(anchor).cloned().unwrap_or_default(),
        };
        if word == "$recursiveRef" {
            found.extend(&self.recursive);
        }
        found.sort_unstable_by_key(|value| std::ptr::from_ref::<Value>(value).addr());
        found.dedup_by_key(|value| std::ptr::from_ref::<Value>(value).addr());
        Some(found)
    }

    /// Returns the position of a subschema, as a pointer.
    pub fn place(&self, wanted: *const Value) -> Option<String> {
        let mut left = vec![(String::from("#"), self.root)];
        while let Some((place, value)) = left.pop() {
            if std::ptr::eq(value, wanted) {
                return Some(place);
            }
            match value {
                Value::Array(items) => {
                    left.extend(items.iter().enumerate().map(|(at, item)| (format!("{place}/{at}"), item)));
                }
                Value::Object(map) => {
                    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
                    left.extend(map.iter().map(|(name, item)| (format!("{place}/{}", escaped(name)), item)));
                }
                _ => {}
            }
        }
        None
    }
}

/// Returns the part of an address after the last `/`: addresses are often relative to one another.
fn last(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or(uri)
}
