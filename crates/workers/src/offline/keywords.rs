//! What a text is about, in its own words: C-value (Frantzi, Ananiadou and Mima, 2000), which counts a phrase less for
//! standing only within longer ones, weighed by how early it comes and over how much of the text it is spread. Phrases
//! of up to three words; a stop word or a mark ends one. It counts forms, not meanings: synonyms stay apart.

use std::collections::{HashMap, HashSet};

use super::{
    language, sentence,
    words::{StopWords, stem, words},
};

const PHRASE_WORDS: usize = 3;
/// Different phrases that are kept count of.
const PHRASES_MAX: usize = 200_000;

#[derive(Default)]
struct Seen {
    count: usize,
    first: usize,
    sentences: usize,
    last_sentence: usize,
    within_longer: usize,
    forms: HashMap<String, usize>,
}

/// The `max` most telling phrases, best first.
#[must_use]
pub fn extract(text: &str, max: usize) -> Vec<String> {
    let stop = StopWords::of(&language::detect(text).code);
    let sentences = sentence::split(text);
    let total = sentences.len().max(1);
    let mut seen: HashMap<Vec<String>, Seen> = HashMap::new();
    for (number, sentence) in sentences.iter().enumerate() {
        for chunk in sentence.text.split(|c: char| !(c.is_alphanumeric() || matches!(c, ' ' | '\'' | '’' | '-' | '&')))
        {
            for run in runs(chunk, stop) {
                count(&run, number + 1, &mut seen);
            }
        }
        if seen.len() > PHRASES_MAX {
            break;
        }
    }
    let mut scored: Vec<(f64, &Vec<String>, &Seen)> = seen
        .iter()
        .filter(|(phrase, seen)| phrase.len() == 1 || seen.count > 1 || total < 8)
        .map(|(phrase, seen)| (score(phrase, seen, total), phrase, seen))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.first.cmp(&b.2.first)).then(a.1.cmp(b.1)));
    choose(&scored, max)
}

/// Runs of words between stop words.
fn runs<'a>(chunk: &'a str, stop: &StopWords) -> Vec<Vec<&'a str>> {
    let mut runs = vec![Vec::new()];
    for word in words(chunk) {
        let low = word.to_lowercase().replace('’', "'");
        if stop.has(&low) || !word.chars().any(char::is_alphabetic) {
            runs.push(Vec::new());
        } else if let Some(run) = runs.last_mut() {
            run.push(word);
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn count(run: &[&str], sentence: usize, seen: &mut HashMap<Vec<String>, Seen>) {
    let stems: Vec<String> = run.iter().map(|word| stem(word)).collect();
    for length in 1..=PHRASE_WORDS.min(run.len()) {
        for start in 0..=run.len() - length {
            let entry = seen.entry(stems[start..start + length].to_vec()).or_default();
            if entry.count == 0 {
                entry.first = sentence;
            }
            if entry.last_sentence != sentence {
                entry.sentences += 1;
                entry.last_sentence = sentence;
            }
            entry.count += 1;
            // A longer phrase of two or three words holds this occurrence.
            entry.within_longer += usize::from(run.len() > length && length < PHRASE_WORDS);
            let form = run[start..start + length].join(" ");
            if entry.forms.len() < 8 || entry.forms.contains_key(&form) {
                *entry.forms.entry(form).or_default() += 1;
            }
        }
    }
}

fn score(phrase: &[String], seen: &Seen, sentences: usize) -> f64 {
    let nested = seen.within_longer as f64 * if phrase.len() == 1 { 0.5 } else { 0.3 };
    let length = (phrase.len() as f64 + 1.0).log2();
    let spread = 0.5 + (seen.sentences as f64 / sentences as f64).sqrt();
    let early = 1.0 + 0.5 / (1.0 + (seen.first as f64 - 1.0) / 5.0);
    let letters = phrase.iter().map(|word| word.chars().count()).sum::<usize>() as f64 / phrase.len() as f64;
    let short = if phrase.iter().all(|w| w.is_ascii()) && letters < 4.0 { 0.6 } else { 1.0 };
    (seen.count as f64 - nested).max(0.1) * length * spread * early * short
}

/// The best, without those that share their words with a better one.
fn choose(scored: &[(f64, &Vec<String>, &Seen)], max: usize) -> Vec<String> {
    let mut chosen = Vec::new();
    let mut used: HashSet<&String> = HashSet::new();
    for (_, phrase, seen) in scored {
        if chosen.len() >= max {
            break;
        }
        let old = phrase.iter().filter(|word| used.contains(word)).count();
        if old == phrase.len() || (old > 0 && old * 2 >= phrase.len() && phrase.len() > 2) {
            continue;
        }
        used.extend(phrase.iter());
        chosen.push(shown(&seen.forms));
    }
    chosen
}

/// The form that is written most often; in small letters when it ever is.
fn shown(forms: &HashMap<String, usize>) -> String {
    let mut best: Vec<(&String, &usize)> = forms.iter().collect();
    best.sort_by(|a, b| b.1.cmp(a.1).then(a.0.len().cmp(&b.0.len())).then(b.0.cmp(a.0)));
    let Some((form, _)) = best.first() else { return String::new() };
    let low = form.to_lowercase();
    if forms.contains_key(&low) { low } else { (*form).clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_comes_before_its_parts() {
        let text = "The reading room opened in May. A reading room needs light. Our reading room has it. \
                    Light matters to readers. Budget and staff came later.";
        let found = extract(text, 4);
        assert_eq!(found[0], "reading room", "{found:?}");
        assert!(!found.contains(&"reading".to_owned()), "{found:?}");
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert!(extract("", 5).is_empty());
        assert!(extract("the of and 12 34.", 5).is_empty());
    }
}
