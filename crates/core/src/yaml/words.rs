//! Words of other systems (Airflow, Argo, GitHub Actions, Prefect, Kestra, Temporal, LiteLLM, Docker, systemd ...) and
//! the keys of this format for them. An unknown key is looked up by its meaning before it is compared by its spelling.

use super::{
    words_files::{CONFIG, SCRIPT, WORKER},
    words_workflow::{SMALL, STEP, WORKFLOW},
};

/// A table, words, and the key to write instead. Words are in snake case, separated by blanks.
pub(super) type Row = (&'static str, &'static str, &'static str);

/// Returns the key to write for an unknown one. Returns `None` when the word is not known.
pub(super) fn advice(table: &str, word: &str) -> Option<&'static str> {
    if word.len() > 40 {
        return None;
    }
    let word = snake(word);
    let found = ROWS.iter().flat_map(|rows| rows.iter());
    let mut fitting = found.filter(|(at, words, _)| *at == table && words.split(' ').any(|known| known == word));
    fitting.next().map(|(_, _, advice)| *advice)
}

/// Converts `dependsOn`, `depends-on` and `DEPENDS_ON` to `depends_on`.
fn snake(word: &str) -> String {
    let mut snake = String::with_capacity(word.len() + 4);
    let mut small = false;
    for letter in word.chars() {
        if letter.is_ascii_uppercase() && small {
            snake.push('_');
        }
        small = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        snake.push(if matches!(letter, '-' | ' ' | '.') { '_' } else { letter.to_ascii_lowercase() });
    }
    snake
}

const ROWS: [&[Row]; 6] = [STEP, WORKFLOW, SMALL, WORKER, SCRIPT, CONFIG];

pub(super) const RETRY: &str = "write `retry: { max_attempts: N }`, which counts the first attempt too";
pub(super) const TIMEOUT: &str = "write `timeout:` with a unit, such as `timeout: 30s`";
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_however_they_are_spelt() {
        for word in ["dependsOn", "depends_on", "depends-on", "DEPENDS_ON", "Depends On"] {
            assert_eq!(advice("step", word), Some("write `needs: [step, ...]`"), "{word}");
        }
        for (word, part) in [
            ("retries", "retry: { max_attempts: N }"),
            ("maxRetries", "retry: { max_attempts: N }"),
            ("when", "`if:`"),
            ("with_items", "for_each"),
            ("max_concurrency", "max_parallel"),
            ("env", "no environment"),
            ("uses", "worker: NAME"),
            ("inputs", "with:"),
            ("timeout_seconds", "timeout: 30s"),
            ("model_name", "worker file"),
        ] {
            assert!(advice("step", word).is_some_and(|advice| advice.contains(part)), "{word}");
        }
        assert_eq!((advice("step", "banana"), advice("banana", "retries")), (None, None));
    }

    #[test]
    fn every_word_stands_once_in_its_table() {
        let mut seen = std::collections::HashSet::new();
        for (table, words, advice) in ROWS.iter().flat_map(|rows| rows.iter()) {
            assert!(!advice.is_empty());
            for word in words.split(' ') {
                assert_eq!(snake(word), word);
                assert!(seen.insert((table, word)), "{table}: {word}");
            }
        }
    }
}
