//! Reduction of a failing definition: everything that can be removed is.

use serde_json::Value as Json;

/// Limit of definitions that are tried.
const TRIES: usize = 3_000;

/// Returns the smallest definition found that still fails.
pub fn shrink(tree: &Json, fails: &dyn Fn(&Json) -> bool) -> Json {
    let mut best = tree.clone();
    let mut left = TRIES;
    'again: loop {
        for path in paths(&best) {
            if left == 0 {
                return best;
            }
            let Some(smaller) = without(&best, &path) else { continue };
            let text = crate::yaml::write(&smaller);
            if kapelle_core::definition::Definition::parse(text.as_bytes(), "smaller.yaml").is_err() {
                continue;
            }
            left -= 1;
            if fails(&smaller) {
                best = smaller;
                continue 'again;
            }
        }
        return best;
    }
}

/// Returns every entry of every map and list, the outer ones first.
fn paths(tree: &Json) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = std::collections::VecDeque::from([(Vec::new(), tree)]);
    while let Some((path, tree)) = open.pop_front() {
        let entries: Vec<(String, &Json)> = match tree {
            Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Json::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        for (key, value) in entries {
            let mut path: Vec<String> = path.clone();
            path.push(key);
            found.push(path.clone());
            open.push_back((path, value));
        }
    }
    found
}

/// Returns the tree without an entry. Steps that need a removed step no longer need it.
fn without(tree: &Json, path: &[String]) -> Option<Json> {
    let mut made = tree.clone();
    let (last, before) = path.split_last()?;
    let mut at = &mut made;
    for key in before {
        at = step_into(at, key)?;
    }
    match at {
        Json::Object(map) => {
            map.shift_remove(last)?;
            // Sibling steps may use the name.
            for sibling in map.values_mut() {
                if let Some(Json::Array(needs)) = sibling.get_mut("needs") {
                    needs.retain(|need| need != last);
                }
                if sibling.get("on_error").and_then(|handled| handled.get("run")).is_some_and(|run| run == last)
                    && let Some(sibling) = sibling.as_object_mut()
                {
                    sibling.shift_remove("on_error");
                }
            }
        }
        Json::Array(items) => {
            let place: usize = last.parse().ok()?;
            if place >= items.len() {
                return None;
            }
            items.remove(place);
        }
        _ => return None,
    }
    Some(made)
}

fn step_into<'t>(tree: &'t mut Json, key: &str) -> Option<&'t mut Json> {
    match tree {
        Json::Object(map) => map.get_mut(key),
        Json::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_does_not_matter_is_left_out() {
        let tree = crate::case::drawn(11);
        let waits = |tree: &Json| tree.to_string().contains("\"worker\"");
        let small = shrink(&tree, &waits);
        let steps = small["steps"].as_object().unwrap();
        assert_eq!(steps.len(), 1, "{small}");
        assert!(small.get("finally").is_none() && small.get("outputs").is_none(), "{small}");
    }
}
