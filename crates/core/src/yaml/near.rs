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
        .map(|candidate| (distance(word, candidate), !same_start(candidate), candidate))
        .filter(|(distance, _, _)| *distance <= most)
        .min_by_key(|(distance, other_start, _)| (*distance, *other_start))
        .map(|(_, _, candidate)| candidate)
}

/// Counts the insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
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
    }
}
