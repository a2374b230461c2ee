//! A first look at a document: its central findings, measures of it, and the advice it gives itself. Findings come from
//! `summary`, advice from cue words ("should", "recommend"), after Paice's indicator phrases (1981). English alone; it
//! repeats what the text says and draws no conclusion of its own.

use serde::Serialize;

use super::{
    category, keywords, sentence, sentiment,
    summary::{central, plain_point},
    words::{StopWords, words},
};

/// A first look at a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Analysis {
    /// The central findings in the text's own words.
    pub insights: Vec<String>,
    /// Length, subject, terms and mood in a few sentences.
    pub analysis: String,
    /// The advice in the text.
    pub recommendations: Vec<String>,
}

/// Words that mark advice.
const CUES: &[&str] = &[
    " should ",
    " must ",
    " we recommend ",
    " recommends ",
    " recommended ",
    " we propose ",
    " proposes ",
    " we advise ",
    " advises ",
    " ought to ",
    " needs to ",
    " need to ",
    " we suggest ",
    " suggests that ",
    " asked to approve ",
    " it is important to ",
    " we ask ",
];
/// Words that turn a cue into a report.
const NOT_ADVICE: &[&str] = &[" said that ", " asked whether ", " should be read as ", " should have "];

/// Analyses a document.
#[must_use]
pub fn analyse(text: &str) -> Analysis {
    let sentences = sentence::split(text);
    let stop = StopWords::of("eng");
    let advice: Vec<usize> = (0..sentences.len())
        .filter(|&at| {
            let low = format!(" {} ", sentences[at].text.to_lowercase());
            let has = |list: &[&str]| list.iter().any(|words| low.contains(words));
            has(CUES) && !has(NOT_ADVICE) && !low.trim_end().ends_with('?')
        })
        .collect();
    let say = |at: &usize| plain_point(&sentences[*at].text);
    let central = central(&sentences, stop, 8);
    let insights = central.iter().filter(|at| !advice.contains(at)).take(5).map(say).collect();
    let count: usize = sentences.iter().map(|sentence| words(&sentence.text).count()).sum();
    let subject = category::classify(text, &[]).map_or_else(|| "general".to_owned(), |subject| subject.category);
    let feeling = sentiment::analyse(text);
    let terms = keywords::extract(text, 5).join(", ");
    let average = (count as f64 / sentences.len().max(1) as f64).round();
    let minutes = (count as f64 / 220.0).ceil().max(1.0);
    let analysis = format!(
        "The document has {count} words in {} sentences, {average} words each on average, and takes about {minutes} min \
         to read. Its vocabulary points to the subject {}. The terms that carry it are: {}. The tone is {}, the \
         sentiment {}.",
        sentences.len(),
        subject,
        if terms.is_empty() { "none" } else { &terms },
        feeling.tone,
        feeling.sentiment,
    );
    Analysis { insights, analysis, recommendations: advice.iter().take(8).map(say).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_told_from_findings() {
        let text = "Loans rose in every branch of the library. The board should extend the opening hours of the library. \
                    Staff of the library were asked about the hours.";
        let found = analyse(text);
        assert_eq!(found.recommendations, ["The board should extend the opening hours of the library."]);
        assert!(!found.insights.is_empty() && !found.insights.contains(&found.recommendations[0]));
        assert!(found.analysis.contains("3 sentences"), "{}", found.analysis);
    }
}
