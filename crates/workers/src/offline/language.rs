//! The language of a text: trigrams, after Cavnar and Trenkle, "N-Gram-Based Text Categorization" (1994), as the
//! `whatlang` crate has them. About 70 languages; short texts (under 50 characters) are often mistaken.

use serde::Serialize;

/// Characters of a long text that are read.
const LOOKED_AT: usize = 20_000;

/// A guess at the language.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Language {
    /// Its English name; `unknown` for a text without letters.
    pub language: String,
    /// Its ISO 639-3 code, or `und`.
    pub code: String,
    /// The script, such as `Latin`.
    pub script: String,
    /// Confidence, 0 to 1.
    pub confidence: f64,
    /// Whether the guess can be relied on.
    pub reliable: bool,
}

/// Guesses the language.
#[must_use]
pub fn detect(text: &str) -> Language {
    let head: String = text.chars().take(LOOKED_AT).collect();
    match whatlang::detect(&head) {
        Some(info) => Language {
            language: info.lang().eng_name().to_owned(),
            code: info.lang().code().to_owned(),
            // The crate names this script after one of the languages that it writes.
            script: info.script().name().replace("Mandarin", "Han"),
            confidence: (info.confidence() * 100.0).round() / 100.0,
            reliable: info.is_reliable() && head.chars().filter(|c| c.is_alphabetic()).count() >= 40,
        },
        None => Language {
            language: "unknown".to_owned(),
            code: "und".to_owned(),
            script: "unknown".to_owned(),
            confidence: 0.0,
            reliable: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_languages_are_told_apart() {
        for (text, code) in [
            ("The annual report shows that more people than ever came to borrow books.", "eng"),
            ("Der Jahresbericht zeigt, dass mehr Menschen als je zuvor Bücher ausgeliehen haben.", "deu"),
            (
                "図書館の年次報告書です。来館者数は昨年より増えました。新しい本も多く入りました。皆さんのおかげです。",
                "jpn",
            ),
        ] {
            let found = detect(text);
            assert_eq!((found.code.as_str(), found.reliable), (code, true), "{found:?}");
        }
        assert_eq!(detect("12345 --- !!!").code, "und");
    }
}
