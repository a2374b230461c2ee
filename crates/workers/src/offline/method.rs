//! The methods by the names that worker files use.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A classical method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The language.
    Language,
    /// The sentiment (English).
    Sentiment,
    /// The subject, in the text's own words.
    Keywords,
    /// The most central sentences.
    Summary,
    /// The category among some subjects (English).
    Category,
    /// Questions that the text answers (English).
    Questions,
    /// Findings, measures and advice in the text's own words (English).
    Analysis,
    /// No method: a model is needed.
    None,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Language => "language",
            Method::Sentiment => "sentiment",
            Method::Keywords => "keywords",
            Method::Summary => "summary",
            Method::Category => "category",
            Method::Questions => "questions",
            Method::Analysis => "analysis",
            Method::None => "none",
        })
    }
}
