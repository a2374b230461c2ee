//! The cost of checking a value: the looks at subschemas that it takes, counted by a walk that ends when there are too
//! many.

use serde_json::Value;

use super::graph::Graph;

/// Looks that every value may take.
const LOOKS_MIN: u64 = 200_000;
/// Further looks for each part of a value.
const LOOKS_EACH: u64 = 400;
/// The most looks for any value.
const LOOKS_MAX: u64 = 4_000_000;
/// The deepest chain of looks: each is a level or more of the checker's stack.
const DEPTH_MAX: usize = 800;

/// Returns how many values a value contains, itself included; stops counting above `most`.
pub(super) fn count(value: &Value, most: usize) -> usize {
    let (mut counted, mut left) = (0, vec![value]);
    while let Some(value) = left.pop() {
        counted += 1;
        if counted > most {
            break;
        }
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(map) => left.extend(map.values()),
            _ => {}
        }
    }
    counted
}

/// State of a walk.
struct Walk<'g> {
    graph: &'g Graph,
    left: u64,
}

/// The error that checking would take too long, or go too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

/// Returns an upper bound of the looks that checking a value takes.
///
/// # Errors
/// [`TooMuch`] when it exceeds what the value's size allows.
pub(super) fn looks(graph: &Graph, value: &Value) -> Result<u64, TooMuch> {
    let parts = count(value, usize::MAX) as u64;
    let most = (LOOKS_MIN + parts.saturating_mul(LOOKS_EACH)).min(LOOKS_MAX.max(parts.saturating_mul(4)));
    within(graph, value, most)
}

/// Returns the looks that checking a value takes, up to `most`.
///
/// # Errors
/// [`TooMuch`] above that.
pub(super) fn within(graph: &Graph, value: &Value, most: u64) -> Result<u64, TooMuch> {
    let mut walk = Walk { graph, left: most };
    walk.look(0, value, 0)?;
    Ok(most - walk.left)
}

impl Walk<'_> {
    fn spend(&mut self, looks: u64) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(looks).ok_or(TooMuch)?;
        Ok(())
    }

    fn look(&mut self, at: usize, value: &Value, depth: usize) -> Result<(), TooMuch> {
        let graph = self.graph;
        let Some(node) = graph.nodes.get(at) else { return Ok(()) };
        if depth > DEPTH_MAX {
            return Err(TooMuch);
        }
        self.spend(node.own)?;
        for _ in 0..1 + u32::from(node.twice) {
            for next in &node.here {
                self.look(*next, value, depth + 1)?;
            }
        }
        match value {
            Value::String(text) if node.pattern > 0 => self.spend(matching(node.pattern, text)),
            Value::Array(items) => {
                if node.unique {
                    self.spend(count(value, usize::MAX) as u64)?;
                }
                for (at, item) in items.iter().enumerate() {
                    for next in node.items.iter().chain(node.first.get(at)) {
                        self.look(*next, item, depth + 1)?;
                    }
                }
                Ok(())
            }
            Value::Object(map) => {
                for (name, item) in map {
                    for next in node.named.get(name).into_iter().flatten().chain(&node.each) {
                        self.look(*next, item, depth + 1)?;
                    }
                    for (weight, next) in &node.matching {
                        self.spend(matching(*weight, name))?;
                        self.look(*next, item, depth + 1)?;
                    }
                    if !node.names.is_empty() {
                        let name = Value::String(name.clone());
                        for next in &node.names {
                            self.look(*next, &name, depth + 1)?;
                        }
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Returns the cost of matching an expression of that weight against a text.
fn matching(weight: u64, text: &str) -> u64 {
    1 + weight.saturating_mul(text.len() as u64 / 32)
}
