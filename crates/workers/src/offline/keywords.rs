//! The subject of a text, in its own words: C-value (Frantzi, Ananiadou and Mima, 2000). It counts a phrase less if the
//! phrase stands only within longer ones, and weighs it by how early it comes and how widely it is spread. Phrases have
//! up to three words; a stop word or a mark ends one. A phrase that comes once must stand where a noun stands. Forms
//! are counted, not meanings: synonyms stay apart. In scripts without spaces, runs of Han or Katakana are words.

use std::collections::{HashMap, HashSet};

use super::{
    language, sentence,
    words::{StopWords, stem, words},
};

const PHRASE_WORDS: usize = 3;
/// Sentences below which a phrase that comes once may be telling.
const SHORT: usize = 12;
/// Different phrases that are counted.
const PHRASES_MAX: usize = 200_000;

#[derive(Default)]
struct Seen {
    count: usize,
    first: usize,
    sentences: usize,
    last_sentence: usize,
    within_longer: usize,
    noun: bool,
    forms: HashMap<String, usize>,
}

/// Words before a noun.
const BEFORE: &str = "a an the of my our your his her their its this these some any in on at for with by near from to \
                      der die das den dem des ein eine im zur zum le la les du de un une au aux el los una del";
/// Words after a noun, where the verb is not the phrase's own.
const AFTER: &str = "of and or for is are was were has have will can which who und ist sind war et est sont y es son";

/// Words between two stop words or marks, and those stop words.
#[derive(Default)]
struct Run<'a> {
    words: Vec<&'a str>,
    before: String,
    after: String,
}

/// Returns the `max` most telling phrases, best first.
#[must_use]
pub fn extract(text: &str, max: usize) -> Vec<String> {
    let code = language::detect(text).code;
    let sentences = sentence::split(text);
    let total = sentences.len().max(1);
    let mut seen: HashMap<Vec<String>, Seen> = HashMap::new();
    for (number, sentence) in sentences.iter().enumerate() {
        for chunk in sentence.text.split(|c: char| !(c.is_alphanumeric() || matches!(c, ' ' | '\'' | '’' | '-' | '&')))
        {
            for run in runs(chunk, &code) {
                count(&run, number + 1, &mut seen);
            }
        }
        if seen.len() > PHRASES_MAX {
            break;
        }
    }
    let telling = |seen: &Seen| seen.count > 1 || (seen.noun && total < SHORT);
    let score_all = |all: bool| {
        let kept = seen.iter().filter(|(_, seen)| all || telling(seen));
        let mut scored: Vec<_> = kept.map(|(phrase, seen)| (score(phrase, seen, total), phrase, seen)).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.first.cmp(&b.2.first)).then(a.1.cmp(b.1)));
        choose(&scored, max)
    };
    let found = score_all(false);
    if found.is_empty() { score_all(true) } else { found }
}

/// Returns the runs of words between stop words.
fn runs<'a>(chunk: &'a str, code: &str) -> Vec<Run<'a>> {
    let stop = StopWords::of(code);
    let mut runs = vec![Run::default()];
    for whole in words(chunk) {
        for word in split_unspaced(without_elision(whole, code)) {
            let low = word.to_lowercase().replace('’', "'");
            if stop.has(&low) || !word.chars().any(char::is_alphabetic) {
                if let Some(run) = runs.last_mut() {
                    run.after.clone_from(&low);
                }
                runs.push(Run { before: low, ..Run::default() });
            } else if word.len() < whole.len() && !word.is_ascii() && code != "fra" && code != "ita" {
                // A part of an unspaced run stands alone: a particle stood between.
                runs.push(Run { words: vec![word], ..Run::default() });
                runs.push(Run::default());
            } else if let Some(run) = runs.last_mut() {
                run.words.push(word);
            }
        }
    }
    runs.retain(|run| !run.words.is_empty());
    runs
}

/// Returns the French or Italian word behind its article: `l'été` is `été`.
fn without_elision<'a>(word: &'a str, code: &str) -> &'a str {
    match word.split_once(['\'', '’']) {
        Some((article, rest)) if matches!(code, "fra" | "ita") && article.chars().count() <= 2 => rest,
        _ => word,
    }
}

/// Returns a word; or, in a script without spaces, its runs of Han and of Katakana.
fn split_unspaced(word: &str) -> Vec<&str> {
    let class = |c: char| match c {
        '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '々' => 1,
        '\u{30a0}'..='\u{30ff}' => 2,
        '\u{3040}'..='\u{309f}' => 3,
        _ => 0,
    };
    if word.is_ascii() || !word.chars().any(|c| class(c) > 0) {
        return vec![word];
    }
    let mut parts = Vec::new();
    let mut start = 0;
    let mut last = 0;
    for (at, c) in word.char_indices() {
        if class(c) != last {
            parts.push((last, &word[start..at]));
            (start, last) = (at, class(c));
        }
    }
    parts.push((last, &word[start..]));
    parts.into_iter().filter(|(class, part)| *class != 3 && part.chars().count() > 1).map(|(_, part)| part).collect()
}

fn count(run: &Run<'_>, sentence: usize, seen: &mut HashMap<Vec<String>, Seen>) {
    let is_in = |list: &str, word: &str| list.split_whitespace().any(|other| other == word);
    let noun = is_in(BEFORE, &run.before) && (run.after.is_empty() || is_in(AFTER, &run.after));
    let run = &run.words;
    let named = run.len() > 1 && run.iter().all(|word| word.starts_with(char::is_uppercase));
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
            entry.noun |= (noun || named) && length == run.len();
            // A longer phrase of two or three words contains this occurrence.
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

/// Chooses the best, without those that share their words with a better one.
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

/// Returns the form that is written most often; in small letters when it ever is.
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
    fn a_phrase_that_comes_once_must_stand_like_a_noun() {
        let found = extract("My order arrived yesterday with a cracked screen. Please send the missing cable.", 5);
        assert_eq!(found, ["cracked screen", "missing cable"]);
    }

    #[test]
    fn scripts_without_spaces_have_words_too() {
        let found = extract("図書館の来館者数は増えました。図書館は日曜日も開きます。", 3);
        assert!(found.contains(&"図書館".to_owned()), "{found:?}");
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert!(extract("", 5).is_empty());
        assert!(extract("the of and 12 34.", 5).is_empty());
    }
}
