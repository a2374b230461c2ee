//! "Did you mean": the known word with the smallest edit distance.

/// Returns the known word nearest to `word`, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = match word.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    let same_start = |candidate: &str| candidate.chars().next() == word.chars().next();
    known
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= most && word.len() <= 80)
        .map(|candidate| (strsim::osa_distance(word, candidate), !same_start(candidate), candidate))
        // A word of which nothing is left is another word.
        .filter(|(distance, _, _)| *distance <= most && *distance < word.chars().count())
        // Of equally near ones the first in the alphabet, in whatever order they come.
        .min()
        .map(|(_, _, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["needs", "worker", "with", "timeout"];
        assert_eq!(nearest("need", known.into_iter()), Some("needs"));
        assert_eq!(nearest("wroker", known.into_iter()), Some("worker"));
        assert_eq!(nearest("banana", known.into_iter()), None);
        assert_eq!(nearest("q", ["a", "b"].into_iter()), None);
        assert_eq!(nearest("ac", ["ab", "aa"].into_iter()), nearest("ac", ["aa", "ab"].into_iter()));
    }
}
