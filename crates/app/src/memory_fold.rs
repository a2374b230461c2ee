//! Facts of the session log: the ends of tasks folded into a few bounded facts, each with its source.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Characters of a fact.
const TEXT_MAX: usize = 4_000;

/// The place up to which the log is folded: a number, and the lines with that number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) lines: u64,
}

impl Place {
    pub(crate) fn read(value: &Value) -> Place {
        Place { seq: value["seq"].as_u64().unwrap_or(0), lines: value["lines"].as_u64().unwrap_or(0) }
    }

    pub(crate) fn value(self) -> Value {
        json!({ "seq": self.seq, "lines": self.lines })
    }

    /// Moves past the next line with that number.
    pub(crate) fn pass(&mut self, seq: u64) {
        if seq == self.seq {
            self.lines += 1;
        } else {
            *self = Place { seq, lines: 1 };
        }
    }
}

/// Returns a fact's text, shortened.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// Returns the source of a line.
pub(crate) fn source(line: &Value) -> Value {
    let mut source = json!({});
    for field in ["task", "run", "step", "worker"] {
        if !line[field].is_null() {
            source[field] = line[field].clone();
        }
    }
    source
}

/// Folds one end of a task into the facts. Returns the keys that changed.
pub(crate) fn fold(facts: &mut BTreeMap<String, Value>, line: &Value) -> Vec<String> {
    let (Some(worker), Some(outcome)) = (line["worker"].as_str(), line["outcome"].as_str()) else { return Vec::new() };
    let mut changed = vec![format!("worker/{worker}")];
    let fact = facts.entry(changed[0].clone()).or_insert_with(|| json!({ "counts": {} }));
    let count = |fact: &mut Value, name: &str| {
        let before = fact["counts"][name].as_u64().unwrap_or(0);
        fact["counts"][name] = json!(before + 1);
    };
    count(fact, outcome);
    if line["degraded"] == true {
        count(fact, "degraded");
    }
    let counts = fact["counts"].as_object().into_iter().flatten();
    let counts: Vec<String> = counts.map(|(name, count)| format!("{count} {name}")).collect();
    fact["text"] = json!(format!("{worker}: {}", counts.join(", ")));
    fact["source"] = source(line);
    if let Some(error) = line["error"].as_str() {
        let category = error.split(':').next().filter(|word| word.len() <= 30).unwrap_or("failed");
        let key = format!("failure/{worker}/{category}");
        let fact = facts.entry(key.clone()).or_insert_with(|| json!({ "counts": {} }));
        count(fact, "times");
        let times = &fact["counts"]["times"];
        fact["text"] = json!(short(&format!("{worker} failed {times} times with {category}, the last time: {error}")));
        fact["source"] = source(line);
        changed.push(key);
    }
    changed
}

/// Returns the words of a query, in lower case.
pub(crate) fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Returns how many of the words a fact holds, a word of its key counting twice.
pub(crate) fn score(words: &[String], key: &str, text: &str) -> usize {
    let (key, text) = (key.to_lowercase(), text.to_lowercase());
    words.iter().map(|word| 2 * usize::from(key.contains(word)) + usize::from(text.contains(word))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_tasks_become_counts_and_the_last_failure() {
        let mut facts = BTreeMap::new();
        let line =
            |task: &str, outcome: &str| json!({ "task": task, "worker": "w", "outcome": outcome, "run": "run_1" });
        fold(&mut facts, &line("task_1", "succeeded"));
        let mut degraded = line("task_2", "succeeded");
        degraded["degraded"] = json!(true);
        fold(&mut facts, &degraded);
        let mut bad = line("task_3", "failed");
        bad["error"] = json!("timeout: no answer");
        assert_eq!(fold(&mut facts, &bad), ["worker/w", "failure/w/timeout"]);
        fold(&mut facts, &bad);
        assert_eq!(facts["worker/w"]["text"], "w: 2 succeeded, 1 degraded, 2 failed");
        assert_eq!(
            facts["failure/w/timeout"]["text"],
            "w failed 2 times with timeout, the last time: timeout: no answer"
        );
        assert_eq!(facts["failure/w/timeout"]["source"], json!({ "task": "task_3", "run": "run_1", "worker": "w" }));
        assert!(fold(&mut facts, &json!({ "event": "started" })).is_empty());
    }

    #[test]
    fn the_place_counts_lines_of_one_number() {
        let mut place = Place::default();
        [4, 4, 5].into_iter().for_each(|seq| place.pass(seq));
        assert_eq!(Place::read(&place.value()), Place { seq: 5, lines: 1 });
    }

    #[test]
    fn a_search_prefers_keys() {
        let wanted = words("Timeout, provider!");
        assert!(score(&wanted, "failure/w/timeout", "x") > score(&wanted, "a", "the provider"));
        assert_eq!(score(&wanted, "a", "b"), 0);
        assert!(short(&"é".repeat(5_000)).len() < 8_010);
    }
}
