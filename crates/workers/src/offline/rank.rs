//! The centrality of each sentence: LexRank, after Erkan and Radev, "LexRank: Graph-based Lexical Centrality as
//! Salience in Text Summarization" (2004), in its continuous form.

use std::collections::HashMap;

use super::{
    sentence::Sentence,
    words::{StopWords, stem, words},
};

/// The most sentences that are ranked, because each is compared with each other.
const RANKED_MAX: usize = 400;
const DAMPING: f64 = 0.85;
const ROUNDS: usize = 30;

/// The weight of each stem of a sentence; the vector has length 1.
pub(crate) type Vector = HashMap<String, f64>;

/// The sentences that were ranked, with their weights.
pub(crate) struct Ranked {
    /// Index of the sentence, its vector and its score; in the order of the text.
    pub(crate) sentences: Vec<(usize, Vector, f64)>,
}

/// Ranks the sentences of a text.
pub(crate) fn rank(sentences: &[Sentence], stop: &StopWords) -> Ranked {
    let stems: Vec<Vec<String>> = sentences.iter().map(|sentence| stems_of(&sentence.text, stop)).collect();
    let mut in_sentences: HashMap<&str, usize> = HashMap::new();
    for list in &stems {
        let mut once: Vec<&str> = list.iter().map(String::as_str).collect();
        once.sort_unstable();
        once.dedup();
        for word in once {
            *in_sentences.entry(word).or_default() += 1;
        }
    }
    let chosen = candidates(&stems, &in_sentences);
    let total = sentences.len() as f64;
    let vectors: Vec<Vector> = chosen
        .iter()
        .map(|&at| {
            let mut vector = Vector::new();
            for word in &stems[at] {
                let rarity = (1.0 + total / in_sentences.get(word.as_str()).copied().unwrap_or(1) as f64).ln();
                *vector.entry(word.clone()).or_default() += rarity;
            }
            normalised(vector)
        })
        .collect();
    let scores = centrality(&vectors);
    Ranked { sentences: chosen.into_iter().zip(vectors).zip(scores).map(|((at, v), s)| (at, v, s)).collect() }
}

fn stems_of(text: &str, stop: &StopWords) -> Vec<String> {
    let meaningful = |word: &String| !stop.has(word) && word.chars().any(char::is_alphabetic);
    words(text).map(str::to_lowercase).filter(meaningful).map(|word| stem(&word)).collect()
}

/// Returns the sentences with most of the frequent words of a long text; all of a short one.
fn candidates(stems: &[Vec<String>], in_sentences: &HashMap<&str, usize>) -> Vec<usize> {
    let mut all: Vec<usize> = (0..stems.len()).filter(|&at| !stems[at].is_empty()).collect();
    if all.len() <= RANKED_MAX {
        return all;
    }
    let weight = |at: usize| {
        let list = &stems[at];
        let sum: usize = list.iter().map(|word| in_sentences.get(word.as_str()).copied().unwrap_or(0)).sum();
        sum as f64 / (list.len() as f64 + 3.0)
    };
    let mut weighed: Vec<(f64, usize)> = all.drain(..).map(|at| (weight(at), at)).collect();
    weighed.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = weighed.into_iter().take(RANKED_MAX).map(|(_, at)| at).collect();
    chosen.sort_unstable();
    chosen
}

fn normalised(mut vector: Vector) -> Vector {
    let length = vector.values().map(|w| w * w).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.values_mut().for_each(|w| *w /= length);
    }
    vector
}

/// Returns the similarity of two sentences, 0 to 1.
pub(crate) fn likeness(a: &Vector, b: &Vector) -> f64 {
    let (small, large) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    small.iter().filter_map(|(word, weight)| Some(weight * large.get(word)?)).sum()
}

fn centrality(vectors: &[Vector]) -> Vec<f64> {
    let count = vectors.len();
    let mut edges: Vec<Vec<(usize, f64)>> = vec![Vec::new(); count];
    for a in 0..count {
        for b in 0..a {
            let weight = likeness(&vectors[a], &vectors[b]);
            if weight > 0.02 {
                edges[a].push((b, weight));
                edges[b].push((a, weight));
            }
        }
    }
    let sums: Vec<f64> = edges.iter().map(|list| list.iter().map(|(_, w)| w).sum()).collect();
    let mut scores = vec![1.0; count];
    for _ in 0..ROUNDS {
        let next = |at: usize| {
            let heard: f64 = edges[at].iter().map(|&(from, weight)| scores[from] * weight / sums[from]).sum();
            1.0 - DAMPING + DAMPING * heard
        };
        scores = (0..count).map(next).collect();
    }
    scores
}
