//! A second drawing over a drawn definition: partial joins, races, chances that pass, ends of the run, signals that are
//! lost. It has random numbers of its own, so that the cases of earlier seeds stay what they were.

use serde_json::{Map, Value as Json, json};

use crate::rng::Rng;

/// Adds these to a definition.
pub fn add(tree: &mut Json, rng: &mut Rng) {
    let text = tree.to_string();
    let Some(map) = tree.as_object_mut() else { return };
    for (name, own) in [("steps", true), ("on_error", false), ("on_cancel", false), ("finally", false)] {
        let block = map.get_mut(name).map(|found| if own { found } else { &mut found["steps"] });
        if let Some(steps) = block.and_then(Json::as_object_mut) {
            block_of(steps, own, &text, rng);
        }
    }
}

/// Tells whether a definition has joins whose result depends on which of several ends comes first.
#[must_use]
pub fn is_race(tree: &Json) -> bool {
    match tree {
        Json::Object(map) => map.iter().any(|(key, value)| matches!(&**key, "first" | "ends_run") || is_race(value)),
        Json::Array(items) => items.iter().any(is_race),
        _ => false,
    }
}

fn block_of(steps: &mut Map<String, Json>, own: bool, text: &str, rng: &mut Rng) {
    let names: Vec<String> = steps.keys().filter(|name| !name.contains("_h")).cloned().collect();
    for (name, step) in steps.iter_mut() {
        let Some(step) = step.as_object_mut() else { continue };
        join(step, text, rng);
        race(step, rng);
        let other = names.get(rng.place(names.len().max(1))).filter(|other| *other != name);
        if let Some(other) = other.filter(|_| rng.percent(6) && !name.contains("_h")) {
            step.insert("unless_begun".into(), json!(other));
        }
        if own && rng.percent(2) {
            step.insert("ends_run".into(), json!(true));
        }
        if let Some(wait) =
            step.get_mut("wait").and_then(Json::as_object_mut).filter(|wait| wait.contains_key("signal"))
            && rng.percent(40)
        {
            wait.insert("early".into(), json!("drop"));
        }
        for inner in ["steps", "then", "else"] {
            let held = step.get_mut(inner).map(|held| if inner == "steps" { held } else { &mut held["steps"] });
            if let Some(steps) = held.and_then(Json::as_object_mut) {
                block_of(steps, false, text, rng);
            }
        }
    }
}

/// Makes the needs of a step the first of them, if no expression reads what then may not have ended.
fn join(step: &mut Map<String, Json>, text: &str, rng: &mut Rng) {
    let needs: Vec<String> = step
        .get("needs")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .map(str::to_owned)
        .collect();
    let read = |name: &String| text.contains(&format!("steps.{name}."));
    if needs.len() < 2 || needs.iter().any(read) || !rng.percent(50) {
        return;
    }
    step.remove("run_if");
    step.insert("needs".into(), json!({ "first": 1 + rng.place(needs.len()), "of": needs }));
}

/// Makes a step with others inside of it a race between them.
fn race(step: &mut Map<String, Json>, rng: &mut Rng) {
    let inside = step.get("steps").and_then(Json::as_object).map(|inner| inner.len());
    let items = step.contains_key("for_each");
    if (!items && (inside.is_none() || step.contains_key("repeat"))) || !rng.percent(30) {
        return;
    }
    let most = if items { 4 } else { inside.unwrap_or(1) };
    step.insert("first".into(), json!(1 + rng.place(most)));
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_added_is_accepted_and_there_is_enough_of_it() {
        let (mut joins, mut races, mut ends) = (0, 0, 0);
        for seed in 0..2_000 {
            let text = crate::yaml::write(&crate::case::drawn(seed));
            joins += text.matches("needs: { first").count();
            races += text.matches("\n").count().min(text.matches(" first: ").count());
            ends += text.matches("ends_run: true").count();
            if let Err(problems) = kapelle_core::definition::Definition::parse(text.as_bytes(), "drawn.yaml") {
                panic!("seed {seed}: {problems}\n{text}");
            }
        }
        assert!(joins > 100 && races > 300 && ends > 100, "{joins} joins, {races} races, {ends} ends");
    }
}
