//! A summary in the text's own sentences: LexRank (see `rank`), a bonus for the position of a sentence, and maximal
//! marginal relevance (Carbonell and Goldstein, 1998) against repetition. It chooses and never rewrites: a sentence may
//! refer to one that was left out.

use serde::Serialize;

use super::{
    language,
    rank::{self, Ranked, likeness},
    sentence::{self, Sentence},
    words::{StopWords, words},
};

/// The most key points.
const POINTS: usize = 5;

/// A summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The central sentences in the order of the text.
    pub text: String,
    /// Further facts, one each.
    pub key_points: Vec<String>,
}

/// Summarises a text in at most `max` sentences.
#[must_use]
pub fn summarise(text: &str, max: usize) -> Summary {
    let sentences = sentence::split(text);
    let stop = StopWords::of(&language::detect(text).code);
    let ranked = rank::rank(&sentences, stop);
    let weighed = weighed(&sentences, &ranked);
    let chosen = choose(&ranked, &weighed, max, &[]);
    let points = {
        let facts: Vec<f64> = weighed.iter().enumerate().map(|(n, w)| w * factual(&sentences, &ranked, n)).collect();
        // Points that repeat the summary are better than none, which a text as short as its summary would give.
        let further = choose(&ranked, &facts, POINTS, &chosen);
        if further.is_empty() { chosen.clone() } else { further }
    };
    let at = |n: &usize| sentences[ranked.sentences[*n].0].text.clone();
    let mut text_of = chosen.iter().map(at).collect::<Vec<_>>().join(" ");
    if text_of.is_empty() {
        // A text of titles alone: its beginning stands for the whole.
        text_of = text.split_whitespace().take(60).collect::<Vec<_>>().join(" ");
    }
    Summary { text: text_of, key_points: points.iter().map(at).map(|point| plain_point(&point)).collect() }
}

/// Returns the most central sentences of a text, chosen by weight and put in the order of the text; shared by the other
/// methods.
pub(crate) fn central(sentences: &[Sentence], stop: &StopWords, max: usize) -> Vec<usize> {
    let ranked = rank::rank(sentences, stop);
    let weighed = weighed(sentences, &ranked);
    choose(&ranked, &weighed, max, &[]).into_iter().map(|n| ranked.sentences[n].0).collect()
}

fn weighed(sentences: &[Sentence], ranked: &Ranked) -> Vec<f64> {
    let weigh = |(at, _, score): &(usize, rank::Vector, f64)| {
        let sentence = &sentences[*at];
        let count = words(&sentence.text).count();
        let length = match count {
            0..=5 => 0.3,
            6..=8 => 0.8,
            9..=32 => 1.0,
            33..=45 => 0.75,
            _ => 0.4,
        };
        let place = match (sentence.paragraph, sentence.first) {
            (0, true) => 1.35,
            (0, false) => 1.1,
            (_, true) => 1.15,
            (_, false) => 1.0,
        };
        let whole = if sentence.text.ends_with([':', '?']) { 0.5 } else { 1.0 };
        score * length * place * whole * if leans(&sentence.text) { 0.7 } else { 1.0 }
    };
    ranked.sentences.iter().map(weigh).collect()
}

/// Says whether a sentence begins with a word that refers to the one before.
fn leans(text: &str) -> bool {
    const LEANING: &[&str] = &[
        "this",
        "that",
        "these",
        "those",
        "it",
        "its",
        "they",
        "their",
        "he",
        "she",
        "his",
        "her",
        "however",
        "but",
        "and",
        "so",
        "such",
        "both",
        "neither",
        "there",
        "then",
        "also",
        "instead",
        "therefore",
        "thus",
        "here",
        "one",
    ];
    words(text).next().is_some_and(|word| LEANING.contains(&word.to_lowercase().as_str()))
}

/// Scores numbers, and a length that suits one point.
fn factual(sentences: &[Sentence], ranked: &Ranked, n: usize) -> f64 {
    let text = &sentences[ranked.sentences[n].0].text;
    let numbers = words(text).filter(|word| word.starts_with(|c: char| c.is_ascii_digit())).count().min(3);
    let long = words(text).count() > 28;
    (1.0 + 0.35 * numbers as f64) * if long { 0.7 } else { 1.0 }
}

/// Chooses the heaviest sentences that differ from those chosen before, in the order of the text.
fn choose(ranked: &Ranked, weights: &[f64], max: usize, taken: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).filter(|n| !taken.contains(n)).collect();
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(a.cmp(&b)));
    let mut chosen: Vec<usize> = Vec::new();
    for n in order {
        if chosen.len() >= max {
            break;
        }
        let vector = &ranked.sentences[n].1;
        let repeats = chosen.iter().chain(taken).any(|&other| likeness(vector, &ranked.sentences[other].1) > 0.55);
        if !repeats {
            chosen.push(n);
        }
    }
    chosen.sort_unstable();
    chosen
}

/// Returns a point without the connecting word in front of it.
pub(crate) fn plain_point(text: &str) -> String {
    const LEADS: &[&str] =
        &["However, ", "Moreover, ", "In addition, ", "Furthermore, ", "As a result, ", "Therefore, ", "Finally, "];
    let rest = LEADS.iter().find_map(|lead| text.strip_prefix(lead)).unwrap_or(text);
    let mut chars = rest.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_kept_in_order() {
        let text = "The library opened a new branch in May. The branch lends books and tools. Visitors came from all \
                    over the city to see the branch.";
        let summary = summarise(text, 5);
        assert!(summary.text.starts_with("The library opened") && summary.text.ends_with("see the branch."));
        assert!(!summary.key_points.is_empty());
        assert!(summarise(text, 1).text.matches('.').count() == 1);
    }

    #[test]
    fn the_same_is_not_said_twice() {
        let text = "Loans of books rose by nine percent. Loans of books rose by nine percent. Staff costs stayed flat.";
        assert_eq!(summarise(text, 5).text.matches("Loans of books").count(), 1);
    }

    #[test]
    fn a_text_without_sentences_gives_its_beginning() {
        assert_eq!(summarise("Only A Title", 3).text, "Only A Title");
    }

    #[test]
    fn points_lose_their_leading_word() {
        assert_eq!(plain_point("However, loans fell."), "Loans fell.");
    }
}
