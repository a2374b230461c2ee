//! The subject of a text. Words vote for the subjects of a fixed list (`taxonomy`); a word counts more the fewer
//! subjects share it. A nearest-subject vote after Rocchio (1971). English alone; a subject that is not on the list
//! becomes `general`. If the caller names the categories, only those take part: with the words of the list where it has
//! them, otherwise with the words of their names.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    keywords, sentence,
    taxonomy::SUBJECTS,
    words::{stem, words},
};

/// The least votes that decide.
const VOTES_MIN: f64 = 2.0;
/// The subject of a text without a clear one.
const GENERAL: &str = "general";
/// Words of a text that vote.
const WORDS_MAX: usize = 200_000;

/// The subject of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subject {
    /// The subject with the most votes, or `general`.
    pub category: String,
    /// Its share of the votes, 0 to 1.
    pub confidence: f64,
    /// The subject of the text, in its own words.
    pub tags: Vec<String>,
}

/// Finds the subject of a text among `allowed`, or among all known ones when that is empty. `None` when no word of the
/// text speaks for any of them and `general` is not allowed.
#[must_use]
pub fn classify(text: &str, allowed: &[String]) -> Option<Subject> {
    let subjects = subjects(allowed);
    let mut shared: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, (_, list)) in subjects.iter().enumerate() {
        for word in list.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|word| word.len() > 1) {
            let speaks_for = shared.entry(stem(word)).or_default();
            if !speaks_for.contains(&at) {
                speaks_for.push(at);
            }
        }
    }
    let mut votes = vec![0.0; subjects.len()];
    for (word, count) in count(text) {
        if let Some(speaks_for) = shared.get(word.as_str()) {
            // The tenth mention says less than the first; a word of many subjects says little about each.
            let weight = (count as f64).sqrt() / speaks_for.len() as f64;
            speaks_for.iter().for_each(|&at| votes[at] += weight);
        }
    }
    let tags = keywords::extract(text, 6);
    let total: f64 = votes.iter().sum();
    let best = (0..votes.len()).fold(0, |best, next| if votes[next] > votes[best] { next } else { best });
    let most = votes.get(best).copied().unwrap_or(0.0);
    let general_allowed = allowed.is_empty() || allowed.iter().any(|name| name == GENERAL);
    if most >= VOTES_MIN || (most > 0.0 && !general_allowed) {
        let confidence = (most / total * 100.0).round() / 100.0;
        return Some(Subject { category: subjects[best].0.clone(), confidence, tags });
    }
    general_allowed.then(|| Subject { category: GENERAL.to_owned(), confidence: 0.0, tags })
}

/// The subjects that take part, each with the words that speak for it.
fn subjects(allowed: &[String]) -> Vec<(String, String)> {
    if allowed.is_empty() {
        return SUBJECTS.iter().map(|&(name, list)| (name.to_owned(), list.to_owned())).collect();
    }
    let with_words = |name: &String| {
        let low = name.to_lowercase();
        let list = SUBJECTS.iter().find(|(known, _)| *known == low).map_or(low.as_str(), |(_, list)| list);
        (name.clone(), list.to_owned())
    };
    allowed.iter().filter(|name| *name != GENERAL).map(with_words).collect()
}

fn count(text: &str) -> HashMap<String, usize> {
    let sentences = sentence::split(text);
    let parts: Vec<&str> =
        if sentences.is_empty() { vec![text] } else { sentences.iter().map(|s| s.text.as_str()).collect() };
    let mut counts = HashMap::new();
    for word in parts.iter().flat_map(|part| words(part)).take(WORDS_MAX) {
        *counts.entry(stem(word)).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_subjects_are_found() {
        for (text, subject) in [
            ("My order arrived broken. I opened a ticket and want a refund or a replacement.", "customer support"),
            ("The patient was given a new medication after the diagnosis at the clinic.", "health"),
            ("The court found that the defendant had broken the agreement under the statute.", "legal"),
            ("The coach said the team will win the championship this season after the victory.", "sport"),
            ("It was quiet there, and nobody came.", "general"),
        ] {
            assert_eq!(classify(text, &[]).unwrap().category, subject, "{text}");
        }
    }

    #[test]
    fn the_callers_categories_are_the_only_ones() {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let text = "My invoice is wrong. I paid the invoice twice and want a refund for the order.";
        assert_eq!(classify(text, &names(&["sport", "invoice questions"])).unwrap().category, "invoice questions");
        assert_eq!(classify(text, &names(&["sport", "general"])).unwrap().category, "general");
        assert_eq!(classify(text, &names(&["sport", "travel"])), None);
    }

    #[test]
    fn every_word_of_the_list_is_a_stem() {
        for (subject, list) in SUBJECTS {
            for word in list.split_whitespace() {
                assert_eq!(stem(word), word, "{subject}");
            }
        }
    }
}
